use candle_core::{Device, Tensor};
use rand::RngExt;

use super::*;
use crate::ops::norm::Grouping;
use crate::seed::{Purpose, stream};

/// The layers run back one by one give what candle's graph over the same operations gives.
fn check_backward(settings: &[&str]) -> Result<()> {
    let mut all = vec!["network.steps=3".to_owned()];
    all.extend(settings.iter().map(|setting| (*setting).to_owned()));
    let config = Config::load("mnist", &all)?;
    let network = Network::new(&config, [9, 8, 2], 1)?;
    let mut random = stream(1, Purpose::Order, [0, 0]);
    let mut uniform = |count| {
        (0..count)
            .map(|_| random.random::<f32>())
            .collect::<Vec<_>>()
    };
    let batch = Tensor::from_vec(uniform(7 * 9 * 8 * 2), (7, 9, 8, 2), &Device::Cpu)?;
    let forward = network.forward(&batch, Mode::Train { update: 1 })?;
    let (rows, classes) = forward.output.dims2()?;
    let of_output = Tensor::from_vec(uniform(rows * classes), (rows, classes), &Device::Cpu)?;
    let ours = network.backward(&forward, &of_output)?;
    let plain = (&forward.output * &of_output)?.sum_all()?.backward()?;
    assert_eq!(ours.len(), network.parameters().count());
    for (index, (parameter, ours)) in network.parameters().zip(&ours).enumerate() {
        let Some(plain) = plain.get(&parameter.value) else {
            panic!("no gradient of {}", parameter.name);
        };
        assert_eq!(ours.dims(), plain.dims(), "{}", parameter.name);
        let largest = |x: &Tensor| x.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>();
        let norm = network.layers[index / 3].norm;
        let trained = match index % 3 {
            0 => true,
            1 => matches!(norm, Norm::Batch | Norm::Step),
            _ => norm != Norm::None,
        };
        if !trained {
            assert_eq!(largest(ours)?, 0.0, "{} has a gradient", parameter.name);
            continue;
        }
        let difference = largest(&(ours - plain)?)? / largest(plain)?.max(1.0);
        assert!(
            difference < 1e-5,
            "{} differs by {difference}",
            parameter.name
        );
        // A shift before another batch norm of the same values has none but for rounding.
        assert!(largest(plain)? > 0.0, "{} has no gradient", parameter.name);
    }
    Ok(())
}

#[test]
fn a_kernel_larger_than_the_padded_map_is_named() -> Result<()> {
    for (layers, expected) in [
        (
            "{ kind = 'conv', channels = 3, kernel = [1, 7], padding = [0, 2] }, \
             { kind = 'conv', channels = 3, kernel = [3, 7], stride = [1, 4], padding = [0, 1], pool = [1, 2] }",
            "layer 2 (conv): a kernel of 3 x 7 and a pool of 1 x 2 needs a map of at least 3 x 11, \
             this one is 9 x 8 with its padding",
        ),
        (
            "{ kind = 'conv', channels = 3, kernel = [12, 7], padding = [1, 0] }",
            "layer 1 (conv): a kernel of 12 x 7 needs a map of at least 12 x 7, this one is 11 x 8 \
             with its padding",
        ),
    ] {
        let layers = format!("network.layers=[{layers}, {{ kind = 'linear', outputs = 5 }}]");
        let config = Config::load("mnist", &[layers])?;
        let error = Network::new(&config, [9, 8, 2], 1).expect_err("refused");
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    Ok(())
}

#[test]
fn backward_is_that_of_the_graph() -> Result<()> {
    check_backward(&[r#"network.layers=[
        { kind = "conv", channels = 3, kernel = 3, pool = 2 },
        { kind = "conv", channels = 4, kernel = 2 },
        { kind = "linear", outputs = 6 },
        { kind = "linear", outputs = 5 }]"#])
}

/// Kernels, strides, paddings and pools that differ by side, with binary and float weights.
#[test]
fn backward_of_rectangular_layers_is_that_of_the_graph() -> Result<()> {
    for weights in ["binary", "float"] {
        check_backward(&[
            r#"network.layers=[
            { kind = "conv", channels = 3, kernel = [2, 3], stride = [1, 2], padding = [3, 0] },
            { kind = "conv", channels = 4, kernel = [3, 1], padding = [1, 2], pool = [2, 1] },
            { kind = "conv", channels = 5, kernel = [1, 2], stride = [1, 2], padding = [0, 1], pool = [1, 2] },
            { kind = "linear", outputs = 6 },
            { kind = "linear", outputs = 5 }]"#,
            &format!("network.weights={weights}"),
        ])?;
    }
    Ok(())
}

/// As in the reference: batch norm by step, a bias in the last layer, dropout, counts.
#[test]
fn backward_of_counts_biases_and_dropout_is_that_of_the_graph() -> Result<()> {
    for shape in [
        "fast-sigmoid",
        "arctan",
        "sigmoid",
        "triangular",
        "straight-through",
    ] {
        check_backward(&[
            r#"network.layers=[
            { kind = "conv", channels = 3, kernel = 3, pool = 2, dropout = 0.2 },
            { kind = "linear", outputs = 6, norm = "none" },
            { kind = "linear", outputs = 5, norm = "bias", dropout = 0.3 }]"#,
            "network.readout=count",
            "network.norm=step",
            "network.slope=0.2",
            &format!("network.surrogate={shape}"),
            "network.surrogate_unit=absolute",
            "network.straight_through=identity",
        ])?;
    }
    Ok(())
}

#[test]
fn backward_of_membranes_and_float_weights_is_that_of_the_graph() -> Result<()> {
    check_backward(&[
        r#"network.layers=[
        { kind = "conv", channels = 3, kernel = 3, pool = 2 },
        { kind = "linear", outputs = 5 }]"#,
        "train.loss=mse-membrane",
        "network.weights=float",
        "network.initial_weights=fan-in",
    ])
}

/// The running statistics follow the steps one after the other, as in the reference.
#[test]
fn statistics_of_steps_are_absorbed_in_their_order() -> Result<()> {
    let settings = ["network.norm=step".to_owned(), "network.steps=2".to_owned()];
    let config = Config::load("mnist", &settings)?;
    let mut network = Network::new(&config, [28, 28, 1], 1)?;
    let statistics = |groups: usize, channels: usize| Statistics {
        mean: (0..groups * channels)
            .map(|i| (i / channels) as f32 + 1.0)
            .collect(),
        variance: vec![1.0; groups * channels],
        rows: 10,
        grouping: Grouping { groups, points: 1 },
    };
    network.absorb(
        &[Some(statistics(1, 16)), Some(statistics(2, 64)), None],
        0.5,
    );
    let means: Vec<f32> = network.running_mut().map(|(_, r)| r.mean[0]).collect();
    // Twice half way to 1; half way to 1 and then to 2; untouched.
    assert_eq!(means, [0.75, 1.25, 0.0]);
    Ok(())
}
