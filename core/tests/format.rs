//! The model format: a committed file of each version, and what is refused.

mod words;

use bitspike_core::kernel::Kernel;
use bitspike_core::lif::{Membrane, Reset};
use bitspike_core::model::{
    InputKind, InputPool, LayerParameters, LayerSpec, Metadata, Model, ModelError, NetworkSpec,
    Operation, Pool, PoolKind, Readout, Sizes, Spread, WeightOrder, pack_words, parts, write,
};
use bitspike_core::network::Network;
use words::words_of;

const V1_MIXED: &[u8] = include_bytes!("models/v1-mixed.bsnn");

/// Signs that follow from a position, without a pattern that a kernel could hide behind.
fn sign(position: usize) -> i8 {
    if (position * 2_654_435_761) >> 7 & 1 == 0 {
        1
    } else {
        -1
    }
}

/// A network with one layer of each kind: the source of `models/v1-mixed.bsnn`.
fn mixed() -> NetworkSpec {
    let conv = LayerSpec {
        input_pool: None,
        operation: Operation::Conv2d {
            channels: 5,
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
        },
        pool: Some(Pool {
            window: [2, 2],
            stride: [2, 2],
        }),
        order: WeightOrder::InputMajor,
        membrane: Membrane::I16,
        fraction: -1,
        beta: 29491,
        reset: Reset::Subtract,
        thresholds: Spread::Channel,
        biases: Some(Spread::Channel),
    };
    let hidden = LayerSpec {
        operation: Operation::Conv2d {
            channels: 7,
            kernel: [2, 2],
            stride: [1, 1],
            padding: [0, 0],
        },
        pool: None,
        fraction: 4,
        biases: None,
        reset: Reset::Zero,
        ..conv
    };
    let output = LayerSpec {
        operation: Operation::Linear { outputs: 3 },
        order: WeightOrder::OutputMajor,
        membrane: Membrane::I32,
        fraction: 0,
        beta: 0,
        reset: Reset::None,
        thresholds: Spread::Layer,
        biases: Some(Spread::Neuron),
        ..hidden
    };
    NetworkSpec {
        input: InputKind::U8,
        shape: [6, 6, 1],
        steps: 4,
        readout: Readout::Membrane,
        logit_scale: 1e-5,
        layers: heapless::Vec::from_slice(&[conv, hidden, output]).expect("three layers fit"),
    }
}

fn written(spec: &NetworkSpec) -> Vec<u32> {
    let weights = [9 * 5, 20 * 7, 28 * 3].map(|count| (0..count).map(sign).collect::<Vec<_>>());
    let layers = [
        LayerParameters {
            weights: &weights[0],
            thresholds: &[400, 300, 500, 350, 450],
            biases: &[-20, 0, 31, 7, -9],
        },
        LayerParameters {
            weights: &weights[1],
            thresholds: &[16, 24, 8, 40, 16, 32, 20],
            biases: &[],
        },
        LayerParameters {
            weights: &weights[2],
            thresholds: &[4],
            biases: &[1, -2, 0],
        },
    ];
    let metadata = Metadata {
        version: Metadata::VERSION,
        task: "format test",
        classes: "one\ntwo\nthree",
        encoding: "direct",
        provenance: "core/tests/format.rs",
    };
    let mut file = vec![0; 1024];
    let words = write(spec, &layers, &[32767, 1200, 800], &metadata, &mut file)
        .expect("the model is valid");
    file.truncate(words);
    file
}

fn to_bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Writing gives the committed file, byte for byte; `BITSPIKE_BLESS=1` overwrites it.
#[test]
fn the_committed_file_is_what_is_written() {
    let bytes = to_bytes(&written(&mixed()));
    if std::env::var_os("BITSPIKE_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models/v1-mixed.bsnn");
        std::fs::write(path, &bytes).expect("the file can be written");
        return;
    }
    assert_eq!(
        bytes, V1_MIXED,
        "a change of the format needs a new version, see docs/"
    );
}

/// Old models keep loading, to the same state and decision.
#[test]
fn version_1_loads_and_runs() {
    let words = words_of(V1_MIXED);
    let model = Model::new(&words).expect("version 1 loads");
    assert_eq!(
        model.metadata().expect("metadata is there").classes,
        "one\ntwo\nthree"
    );
    let mut memory = vec![0; Sizes::of(&words).memory_words()];
    let mut network = Network::new(&model, &mut memory).expect("the memory is as stated");
    let picture: Vec<u8> = (0..36).map(|i| (i * 7 % 256) as u8).collect();
    let decision = network.run(model.input(&picture).expect("36 values"));
    let scores: Vec<i64> = (0..3).map(|class| network.score(class)).collect();
    assert_eq!((decision.class, scores), (GOLDEN.0, GOLDEN.1.to_vec()));
}

/// Decision and scores of `version_1_loads_and_runs`, equal to those of an interpreter written
/// in Python from the numerics page alone (tests/vectors/reference.py).
const GOLDEN: (usize, [i64; 3]) = (2, [-131_068, -4_800, 3_200]);

#[test]
fn every_flipped_bit_is_refused() {
    let intact = words_of(V1_MIXED);
    assert!(Model::new(&intact).is_ok());
    for bit in 0..intact.len() * 32 {
        let mut words = intact.clone();
        if cfg!(miri) && bit % 197 > 0 {
            continue;
        }
        words[bit / 32] ^= 1 << (bit % 32);
        let error = Model::new(&words).expect_err("one bit is noticed");
        let named = match bit / 32 {
            0 => matches!(error, ModelError::Magic { .. }),
            1 => matches!(error, ModelError::Version { .. }),
            2 => matches!(error, ModelError::Cut { .. } | ModelError::Trailing { .. }),
            _ => matches!(error, ModelError::Checksum { .. }),
        };
        assert!(named, "bit {bit}: {error}");
    }
}

#[test]
fn every_cut_is_refused_by_name() {
    let intact = words_of(V1_MIXED);
    for words in 1..intact.len() {
        let error = Model::new(&intact[..words]).expect_err("a cut file is refused");
        assert!(
            matches!(error, ModelError::Cut { .. }),
            "{words} words: {error}"
        );
    }
    // No whole word more is missing: the last word lacks bytes.
    for cut in 1..4 {
        let words = words_of(&V1_MIXED[..V1_MIXED.len() - cut]);
        let error = Model::new(&words);
        assert!(error.is_err() || words == intact, "{cut} bytes");
    }
    let mut longer = intact;
    longer.push(0);
    assert!(matches!(
        Model::new(&longer),
        Err(ModelError::Trailing { .. })
    ));
    assert!(matches!(Model::new(&[]), Err(ModelError::Cut { .. })));
}

fn pooled(kind: PoolKind, window: [u16; 2]) -> Option<InputPool> {
    let stride = [1, 1];
    Some(InputPool {
        kind,
        pool: Pool { window, stride },
    })
}

/// Refusals behind an intact checksum: the writer is the only way to make them.
#[test]
fn wrong_specs_are_refused_by_name() {
    let refused = |change: fn(&mut NetworkSpec), name: &str| {
        let mut spec = mixed();
        change(&mut spec);
        let layers = [LayerParameters {
            weights: &[],
            thresholds: &[],
            biases: &[],
        }; 3];
        let metadata = Metadata {
            version: Metadata::VERSION,
            ..Metadata::default()
        };
        let mut file = vec![0; 1024];
        let error = write(&spec, &layers, &[], &metadata, &mut file).expect_err(name);
        assert!(
            error.to_string().contains(name),
            "expected \"{name}\" in: {error}"
        );
    };
    refused(|spec| spec.steps = 0, "0 steps");
    refused(|spec| spec.steps = 65_537, "65537 steps");
    refused(|spec| spec.shape = [0, 6, 1], "0 input values");
    refused(|spec| spec.shape = [256, 256, 1], "65536 input values");
    refused(|spec| spec.layers.clear(), "0 layers");
    refused(|spec| spec.layers[1].beta = 32_769, "layer 1: the beta");
    refused(|spec| spec.layers[0].fraction = 17, "layer 0: the fraction");
    refused(
        |spec| spec.layers[0].fraction = -17,
        "layer 0: the fraction",
    );
    refused(
        |spec| spec.layers[2].reset = Reset::Subtract,
        "without reset",
    );
    refused(
        |spec| spec.readout = Readout::Population { groups: 2 },
        "equal groups",
    );
    refused(
        |spec| spec.layers[2].operation = Operation::Linear { outputs: 0 },
        "layer 2: 0 units",
    );
    refused(
        |spec| {
            let operation = &mut spec.layers[0].operation;
            if let Operation::Conv2d { kernel, .. } = operation {
                *kernel = [9, 9];
            }
        },
        "layer 0: the kernel",
    );
    refused(
        |spec| {
            spec.layers[0].pool = Some(Pool {
                window: [7, 7],
                stride: [1, 1],
            })
        },
        "layer 0: the pooling window",
    );
    refused(
        |spec| {
            spec.layers[2].pool = Some(Pool {
                window: [1, 1],
                stride: [1, 1],
            })
        },
        "layer 2: pooling of a linear layer",
    );
    refused(|spec| spec.input = InputKind::Bipolar, "bipolar input");
    refused(
        |spec| spec.layers[0].input_pool = pooled(PoolKind::Max, [2, 2]),
        "layer 0: max pooling of graded input",
    );
    refused(
        |spec| {
            spec.input = InputKind::Bipolar;
            spec.layers[0].input_pool = pooled(PoolKind::Sum, [2, 2]);
        },
        "layer 0: pooling of bipolar input",
    );
    refused(
        |spec| spec.layers[1].input_pool = pooled(PoolKind::Sum, [9, 1]),
        "layer 1: the input pooling window",
    );
    refused(
        |spec| {
            if let Operation::Conv2d { stride, .. } = &mut spec.layers[1].operation {
                *stride = [0, 1];
            }
        },
        "layer 1: the kernel",
    );
    refused(
        |spec| {
            spec.shape = [250, 250, 1];
            spec.layers[0].pool = Some(Pool {
                window: [250, 250],
                stride: [1, 1],
            });
            if let Operation::Conv2d {
                kernel, padding, ..
            } = &mut spec.layers[0].operation
            {
                (*kernel, *padding) = ([250, 250], [125, 125]);
            }
        },
        "layer 0: synaptic sums",
    );
}

#[test]
fn wrong_parameters_are_refused_by_name() {
    let mut spec = mixed();
    spec.layers.truncate(1);
    spec.readout = Readout::Count;
    let refused = |thresholds: &[i32], biases: &[i32], name: &str| {
        let weights = [1; 45];
        let layers = [LayerParameters {
            weights: &weights,
            thresholds,
            biases,
        }];
        let metadata = Metadata {
            version: Metadata::VERSION,
            ..Metadata::default()
        };
        let error = write(&spec, &layers, &[], &metadata, &mut [0; 1024]).expect_err(name);
        assert!(
            error.to_string().contains(name),
            "expected \"{name}\" in: {error}"
        );
    };
    refused(&[1, 1, 0, 1, 1], &[0; 5], "layer 0: threshold 2 is 0");
    refused(
        &[1, 1, 1, 1, 40_000],
        &[0; 5],
        "layer 0: parameter 4 is 40000",
    );
    refused(
        &[1; 5],
        &[0, -32_769, 0, 0, 0],
        "layer 0: parameter 1 is -32769",
    );
    refused(&[1; 4], &[0; 5], "layer 0: 4 thresholds, not 5");
}

/// The parts of `models/v1-mixed.bsnn`, one left out at a time.
#[test]
fn a_model_that_needs_a_part_that_is_left_out_is_refused_by_name() {
    const FILE: [u32; V1_MIXED.len() / 4] = pack_words(V1_MIXED);
    const NEEDED: u32 = parts::of(&FILE);
    fn loaded<const PARTS: u32>() -> Result<(), ModelError> {
        Model::<3, PARTS>::sized(&FILE).map(|_| ())
    }
    assert_eq!(
        NEEDED,
        parts::REFERENCE
            | parts::HALVES
            | parts::EVENT
            | parts::ROWS
            | parts::WIDE
            | parts::UNPACKED
            | parts::UNSIGNED
            | parts::MEMBRANE
    );
    assert_eq!(loaded::<NEEDED>(), Ok(()));
    let refused = |layer| Err(ModelError::Part { layer });
    assert_eq!(loaded::<{ NEEDED & !parts::REFERENCE }>(), refused(0));
    assert_eq!(loaded::<{ NEEDED & !parts::HALVES }>(), refused(0));
    assert_eq!(loaded::<{ NEEDED & !parts::EVENT }>(), refused(1));
    assert_eq!(loaded::<{ NEEDED & !parts::ROWS }>(), refused(2));
    assert_eq!(loaded::<{ NEEDED & !parts::WIDE }>(), refused(2));
    assert_eq!(loaded::<{ NEEDED & !parts::UNPACKED }>(), refused(2));
    assert_eq!(loaded::<{ NEEDED & !parts::UNSIGNED }>(), refused(2));
    assert_eq!(loaded::<{ NEEDED & !parts::MEMBRANE }>(), refused(2));
    let error = loaded::<0>().expect_err("nothing is there").to_string();
    assert!(error.contains("layer 2: it needs a part"), "{error}");
    // What is no model needs everything.
    assert_eq!(parts::of(&[0; 20]), parts::ALL);
}

/// The same bits by the parts that the model needs as by all, whatever kernel is asked for.
#[test]
fn the_parts_that_a_model_needs_are_enough() {
    const FILE: [u32; V1_MIXED.len() / 4] = pack_words(V1_MIXED);
    static WORDS: [u32; FILE.len()] = FILE;
    static MODEL: Model<'_, 3, { parts::of(&FILE) }> = Model::included(&WORDS);
    assert_eq!(MODEL.verify(), Ok(()));
    let whole = Model::new(&WORDS).expect("version 1 loads");
    let words = whole.sizes().memory_words();
    let (mut memory, mut other) = (vec![0; words], vec![0; words]);
    let mut network = Network::new(&MODEL, &mut memory).expect("as stated");
    let mut expected = Network::new(&whole, &mut other).expect("as stated");
    for kernel in [None, Some(Kernel::Dense), Some(Kernel::Graded)] {
        if let Some(kernel) = kernel {
            network.force_kernel(kernel);
        }
        for step in 0u8..8 {
            let picture: Vec<u8> = (0..36u8).map(|i| i.wrapping_mul(7 + step)).collect();
            network.step(MODEL.input(&picture).expect("36 values"));
            expected.step(whole.input(&picture).expect("36 values"));
            for layer in 0..3 {
                assert_eq!(network.spikes(layer), expected.spikes(layer));
                assert_eq!(
                    network.membrane_words(layer),
                    expected.membrane_words(layer)
                );
            }
            assert_eq!(network.decision(), expected.decision());
        }
    }
}

/// What the writer cannot make, behind a right checksum.
#[test]
fn damaged_sections_are_refused_by_name() {
    let refused = |byte: usize, value: u8, name: &str| {
        let mut bytes = V1_MIXED.to_vec();
        bytes[byte] = value;
        let mut words = words_of(&bytes);
        words[3] = checksum(&words);
        let error = Model::new(&words).and_then(|model| model.metadata().map(|_| ()));
        let error = error.expect_err(name);
        assert!(
            error.to_string().contains(name),
            "expected \"{name}\" in: {error}"
        );
    };
    refused(4, 2, "model format version 2");
    // Word 6: one more word of parameters than the file has.
    refused(24, V1_MIXED[24] + 1, "do not add up");
    // The network section is 66 bytes from byte 52 on, the metadata section follows at 120.
    refused(118, 1, "do not add up");
    refused(52, 4, "section of layers");
    refused(62, 17, "17 layers");
    refused(62, 2, "section of layers");
    refused(120, 2, "section of metadata");
    refused(175, 1, "section of metadata");
    refused(28, V1_MIXED[28] + 1, "membrane words");
    refused(32, V1_MIXED[32] + 1, "spike words");
    refused(36, V1_MIXED[36] + 1, "scratch words");
    refused(40, V1_MIXED[40] + 1, "input bytes");
    refused(44, V1_MIXED[44] + 1, "widest layer");
    refused(48, V1_MIXED[48] + 1, "layers");
    // The last gain, 800, is the low half of the last word.
    let gain = V1_MIXED.len() - 4;
    refused(gain + 1, 0x83, "layer 2: gain 2 is 33568");
}

/// The checksum is right: only the padding is wrong.
#[test]
fn a_set_padding_bit_is_refused() {
    let mut words = words_of(V1_MIXED);
    let model = Model::new(&words).expect("version 1 loads");
    // The first weight word holds five outputs of the first tap, and 27 padding bits.
    let first = model.weights(&model.layers()[0]);
    let at = (first.as_ptr() as usize - words.as_ptr() as usize) / 4;
    words[at] |= 1 << 31;
    words[3] = checksum(&words);
    assert_eq!(
        Model::new(&words).err(),
        Some(ModelError::Padding { layer: 0 })
    );
}

/// Three thresholds and biases of 16 bits: a half word behind each list, and behind the gains.
#[test]
fn a_set_half_word_of_padding_is_refused() {
    let mut spec = mixed();
    spec.layers.truncate(1);
    spec.layers[0].reset = Reset::None;
    spec.layers[0].operation = Operation::Linear { outputs: 3 };
    spec.layers[0].pool = None;
    let layer = LayerParameters {
        weights: &[1; 36 * 3],
        thresholds: &[7, 8, 9],
        biases: &[-1, -2, -3],
    };
    let metadata = Metadata {
        version: Metadata::VERSION,
        ..Metadata::default()
    };
    let mut file = vec![0; 256];
    let end = write(&spec, &[layer], &[1, 2, 3], &metadata, &mut file).expect("it is valid");
    file.truncate(end);
    // Two words each, the last ones of the file: thresholds, biases, gains.
    for at in [end - 5, end - 3, end - 1] {
        let mut file = file.clone();
        assert_eq!(file[at] >> 16, 0);
        Model::new(&file).expect("intact");
        file[at] |= 1 << 31;
        file[3] = checksum(&file);
        let error = Model::new(&file).err();
        assert_eq!(error, Some(ModelError::Padding { layer: 0 }), "word {at}");
    }
}

#[test]
fn a_logit_scale_that_is_not_finite_is_refused() {
    for (scale, bits) in [
        (f32::NAN, "0x7fc00000"),
        (f32::INFINITY, "0x7f800000"),
        (f32::NEG_INFINITY, "0xff800000"),
    ] {
        let mut words = words_of(V1_MIXED);
        // Byte 58 of the file: behind input, shape, steps and read-out.
        let mut bytes = to_bytes(&words);
        bytes[58..62].copy_from_slice(&scale.to_le_bytes());
        words.copy_from_slice(&words_of(&bytes));
        words[3] = checksum(&words);
        let error = Model::new(&words).expect_err("not finite").to_string();
        assert!(error.contains("logit scale"), "{error}");
        assert!(error.contains(bits), "{error}");
    }
}

/// Each number of the sections that can be written longer, one at a time: byte `0x83` `0x00` is 3.
#[test]
fn overlong_numbers_are_refused() {
    let lengthened = |at: usize, section: usize, metadata: bool| {
        let mut bytes = V1_MIXED.to_vec();
        bytes[at] |= 0x80;
        // A zero more behind it, one byte less of padding: the sections keep their words.
        bytes.insert(at + 1, 0);
        let padding = if metadata {
            120 + section
        } else {
            52 + section
        };
        assert_eq!(bytes.remove(padding + 1), 0, "padding");
        let mut words = words_of(&bytes);
        words[if metadata { 5 } else { 4 }] += 1;
        words[3] = checksum(&words);
        Model::new(&words).and_then(|model| model.metadata().map(|_| ()))
    };
    let words = words_of(V1_MIXED);
    let (network, section) = (words[4] as usize, words[5] as usize);
    assert!(network % 4 != 0 && section % 4 != 0, "room for a byte each");
    // Input, height and the number of layers in the head; an enumeration, the channels, the
    // reset and the spread of the biases in layer 0; see the example on the format's page.
    for at in [0x34, 0x35, 0x38, 0x3e, 0x40, 0x41, 0x53, 0x56] {
        let error = lengthened(at, network, false).expect_err("it is longer than needed");
        let expected = ModelError::Overlong {
            section: "layers",
            bytes: 1,
        };
        assert_eq!(error, expected, "byte {at:#x}");
    }
    // The length of the task's name, behind the version.
    let error = lengthened(121, section, true).expect_err("it is longer than needed");
    let expected = ModelError::Overlong {
        section: "metadata",
        bytes: 1,
    };
    assert_eq!(error, expected);
}

/// The sections add up, but the layers need a word of parameters more, or less.
#[test]
fn parameters_that_the_layers_do_not_need_are_refused_by_name() {
    for more in [false, true] {
        let mut words = words_of(V1_MIXED);
        let change = |word: u32, by: u32| if more { word + by } else { word - by };
        if more {
            words.push(0);
        } else {
            words.pop();
        }
        words[2] = change(words[2], 4);
        words[6] = change(words[6], 1);
        words[3] = checksum(&words);
        let Err(ModelError::Count {
            what,
            expected,
            got,
        }) = Model::new(&words)
        else {
            panic!("not refused by the count");
        };
        assert_eq!(what, "parameter words");
        assert_eq!(got, change(expected as u32, 1) as usize);
    }
}

/// The CRC of a file, its own word left out.
fn checksum(words: &[u32]) -> u32 {
    let mut bytes = to_bytes(&words[..3]);
    bytes.extend(to_bytes(&words[4..]));
    crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes)
}

#[test]
fn wrong_inputs_are_refused_by_name() {
    let words = words_of(V1_MIXED);
    let model = Model::new(&words).expect("version 1 loads");
    let error = model.input(&[0; 35]).expect_err("one value is missing");
    assert!(error.to_string().contains("35 bytes"), "{error}");
    assert!(model.input_words(&[0; 2]).is_err());
}

mod arbitrary {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
            prop_assert!(Model::new(&words_of(&bytes)).is_err());
        }

        /// Random content behind a right checksum never panics.
        #[test]
        fn random_sections_never_panic(
            positions in prop::collection::vec((4usize..2000, any::<u32>()), 1..12),
        ) {
            let mut words = words_of(V1_MIXED);
            let end = words.len();
            for (position, value) in positions {
                words[4 + (position - 4) % (end - 4)] = value;
            }
            words[3] = checksum(&words);
            if let Ok(model) = Model::new(&words) {
                let mut memory = vec![0; model.sizes().memory_words()];
                let mut network = Network::new(&model, &mut memory).expect("as stated");
                if let Ok(input) = model.input(&vec![90; model.sizes().input_bytes]) {
                    network.run(input);
                }
            }
        }
    }
}
