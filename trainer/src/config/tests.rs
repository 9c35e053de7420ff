use super::*;
use crate::anneal::Schedule;
use crate::ops::sign::Weights;

fn load(settings: &[&str]) -> Result<Config> {
    let settings: Vec<String> = settings.iter().map(|s| (*s).to_owned()).collect();
    Config::load("mnist", &settings)
}

fn message(settings: &[&str]) -> String {
    load(settings).expect_err("refused").to_string()
}

#[test]
fn settings_change_values_of_any_type() -> Result<()> {
    let settings = [
        "train.epochs=3",
        "data.limit=100",
        "threshold.schedule=cosine",
        "network.beta=0.5",
    ];
    let config = load(&settings)?;
    assert_eq!((config.train.epochs, config.data.limit), (3, Some(100)));
    assert_eq!(config.threshold.schedule, Schedule::Cosine);
    assert_eq!(config.network.beta, 0.5);
    Ok(())
}

#[test]
fn the_resolved_copy_is_the_same_configuration() -> Result<()> {
    let config = load(&["threshold.final=[1.5, 2.0]", "data.limit=100"])?;
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("config.toml");
    std::fs::write(&path, config.to_toml()?).expect("written");
    assert_eq!(Config::load(&path.to_string_lossy(), &[])?, config);
    Ok(())
}

#[test]
fn every_known_key_is_a_key_of_the_types() -> Result<()> {
    let config = load(&[
        "data.limit=100",
        "train.half_cosine=9",
        "train.clip_gradient=1.0",
        "train.patience=3",
        "data.stretch=0.1",
        "data.frames.step=1.0",
        "data.frames.history=2",
        "data.source.format=csv",
        "data.source.train=a",
        "data.source.test=b",
        "data.source.classes=2",
        "data.source.test_takes=1",
        "data.source.sensor.height=1",
        "data.source.sensor.width=2",
        "data.source.sensor.polarities=1",
        "network.layers=[{kind='conv', channels=1, kernel=1, stride=2, padding=[0, 1], beta=0.5, norm='bias'}, {kind='linear', outputs=2}]",
    ])?;
    let text = config.to_toml()?;
    for key in keys::KEYS {
        let leaf = key.rsplit('.').next().unwrap_or(key);
        assert!(text.contains(leaf), "{key} in {text}");
    }
    Ok(())
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest() {
    assert_eq!(
        message(&["train.epoch=3"]),
        "unknown configuration key `train.epoch`; did you mean `train.epochs`?"
    );
    assert!(message(&["bach=3"]).ends_with("did you mean `train.batch`?"));
}

#[test]
fn a_value_out_of_range_is_refused_by_name() {
    assert!(message(&["train.epochs=0"]).starts_with("train.epochs must be"));
    assert!(message(&["network.steps=0"]).starts_with("network.steps must be"));
    assert!(message(&["threshold.final=[1.0]"]).contains("2 hidden layers"));
    assert!(message(&["train.epochs=many"]).contains("epochs"));
}

fn first_layer(keys: &str) -> String {
    format!("network.layers=[{{kind='conv', channels=1, {keys}}}, {{kind='linear', outputs=2}}]")
}

#[test]
fn sides_are_two_numbers_or_one_for_both() -> Result<()> {
    let config = load(&[&first_layer("kernel=5, stride=2, pool=[2, 2]")])?;
    let layer = config.network.layers[0];
    let same = load(&[&first_layer(
        "kernel=[5, 5], stride=[2, 2], padding=0, pool=2",
    )])?;
    assert_eq!(layer, same.network.layers[0]);
    let config = load(&[&first_layer(
        "kernel=[1, 7], stride=[1, 4], padding=[0, 3], pool=[1, 2]",
    )])?;
    let expected = Layer::Conv {
        channels: 1,
        kernel: [1, 7],
        stride: [1, 4],
        padding: [0, 3],
        pool: [1, 2],
        beta: None,
        norm: None,
        dropout: 0.0,
    };
    assert_eq!(config.network.layers[0], expected);
    let text = config.to_toml()?;
    let sides = |text: &str| text.parse::<Table>().expect("TOML")["network"]["layers"][0].clone();
    assert_eq!(sides(&text)["kernel"].to_string(), "[1, 7]");
    // What a configuration could not say before stays out of those that do not say it.
    let square = sides(&load(&[&first_layer("kernel=5")])?.to_toml()?);
    let square = square.as_table().expect("a table");
    let keys: Vec<_> = square.keys().map(String::as_str).collect();
    assert_eq!(keys, ["channels", "dropout", "kernel", "kind", "pool"]);
    assert_eq!(square["kernel"].to_string(), "5");
    Ok(())
}

#[test]
fn wrong_sides_are_refused_by_layer_and_key() {
    for (keys, expected) in [
        ("kernel=0", "layer 1 has kernel = 0; it must be 1 to 65535"),
        (
            "kernel=[1, -7]",
            "layer 1 has kernel = [1, -7]; it must be 1",
        ),
        (
            "kernel=[1, 7, 1]",
            "layer 1 has kernel = [1, 7, 1]; it must be",
        ),
        ("kernel=[7]", "layer 1 has kernel = [7]; it must be"),
        ("kernel=1.5", "layer 1 has kernel = 1.5; it must be"),
        ("kernel=65536", "layer 1 has kernel = 65536; it must be"),
        (
            "kernel=1, stride=[1, 0]",
            "layer 1 has stride = [1, 0]; it must be 1",
        ),
        (
            "kernel=1, padding=-1",
            "layer 1 has padding = -1; it must be 0",
        ),
        (
            "kernel=1, pool=[0, 1]",
            "layer 1 has pool = [0, 1]; it must be 1",
        ),
        ("kernel='5'", "layer 1 has kernel = \"5\"; it must be 1"),
    ] {
        let message = message(&[&first_layer(keys)]);
        assert!(message.contains(expected), "{message}");
    }
    assert!(message(&[&first_layer("pool=2")]).contains("kernel"));
}

#[test]
fn every_shipped_configuration_is_sound_under_each_condition() -> Result<()> {
    for name in Config::shipped() {
        for condition in [
            None,
            Some(Condition::Float),
            Some(Condition::Binary),
            Some(Condition::Annealed),
        ] {
            let config = Config::load_condition(name, condition, &[])?;
            let float = condition == Some(Condition::Float);
            assert_eq!(config.network.weights == Weights::Float, float, "{name}");
            let still = config.threshold.schedule == Schedule::None;
            if let Some(condition) = condition {
                assert_eq!(
                    still,
                    condition != Condition::Annealed,
                    "{name} {condition:?}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn a_loss_that_the_readout_does_not_give_is_refused() {
    assert!(message(&["train.loss=mse-count"]).starts_with("train.loss must be"));
    assert!(
        message(&["network.readout=count", "train.loss=mse-membrane"])
            .starts_with("train.loss must be")
    );
    assert!(message(&["network.readout=count", "threshold.final=[1.0, 2.0]"]).contains("3 layers"));
}

#[test]
fn the_first_difference_is_named() -> Result<()> {
    let difference = load(&[])?.difference(&load(&["train.batch=64"])?)?;
    assert_eq!(
        difference,
        Some(("train.batch".into(), "128".into(), "64".into()))
    );
    let limit = load(&[])?.difference(&load(&["data.limit=64"])?)?;
    assert_eq!(
        limit,
        Some(("data.limit".into(), "not set".into(), "64".into()))
    );
    Ok(())
}

fn load_text(text: &str, condition: Option<Condition>) -> Result<Config> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("mine.toml");
    std::fs::write(&path, text).expect("written");
    Config::load_condition(&path.to_string_lossy(), condition, &[])
}

#[test]
fn a_base_holds_but_for_what_the_file_says() -> Result<()> {
    let mine = load_text(
        "base = 'mnist'\n[threshold]\nfinal = [1.5, 2.0]\n[network]\nlayers = [\n\
         {kind = 'conv', channels = 8, kernel = 3},\n{kind = 'linear', outputs = 20},\n\
         {kind = 'linear', outputs = 10}]\n",
        None,
    )?;
    let expected = load(&[
        "threshold.final=[1.5, 2.0]",
        "network.layers=[{kind='conv', channels=8, kernel=3}, {kind='linear', outputs=20}, \
         {kind='linear', outputs=10}]",
    ])?;
    assert_eq!(mine, expected);
    assert!(!mine.to_toml()?.contains("base"));
    Ok(())
}

#[test]
fn a_base_may_have_one_of_its_own_and_conditions() -> Result<()> {
    let text = "base = 'deep'\n[condition.annealed]\nthreshold.final = 7.0\n";
    let of = |condition| load_text(text, Some(condition));
    let deep = |condition| Config::load_condition("deep", Some(condition), &[]);
    assert_eq!(of(Condition::Binary)?, deep(Condition::Binary)?);
    let annealed = of(Condition::Annealed)?;
    assert_eq!(annealed.threshold.last.values(6), [7.0; 6]);
    assert_eq!(annealed.train, deep(Condition::Annealed)?.train);

    // `fashion-mnist` has a base itself.
    let text = "base = 'fashion-mnist'\n[data]\nname = 'mnist'\nshift = 2\n";
    let nested = load_text(text, None)?;
    assert_eq!(nested, load(&[])?);
    Ok(())
}

#[test]
fn a_base_that_does_not_ship_is_refused_by_name() {
    let message = |text| load_text(text, None).expect_err("refused").to_string();
    assert!(message("base = 'mist'").contains("base is `mist`; a configuration that ships"));
    assert!(message("base = 3").contains("base must be a name in quotes"));
    assert!(
        message("base = 'mnist'\n[train]\nepoch = 3")
            .contains("unknown configuration key `train.epoch`")
    );
    assert!(message("base = 'mnist'\ntrain = 3").contains("expected struct Train"));
}
