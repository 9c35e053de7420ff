//! Chains of small layers of many shapes, on which the cost table is fitted and judged.
//!
//! They fit the 16 KiB of RAM of the smallest machine, and one run measures every layer. No shape is
//! in both sets, nor is a density.

use bitspike_core::model::InputKind;

use super::{BETA, LayerShape, Topology};

/// Names of layers by their number.
const NAMES: [&str; 6] = ["1", "2", "3", "4", "5", "6"];

const fn conv(index: usize, outputs: u16, kernel: u16, pool: u16) -> LayerShape {
    LayerShape {
        name: NAMES[index],
        outputs,
        kernel: Some(kernel),
        pool,
    }
}

const fn linear(index: usize, outputs: u16) -> LayerShape {
    LayerShape {
        name: NAMES[index],
        outputs,
        kernel: None,
        pool: 1,
    }
}

const fn chain(
    name: &'static str,
    shape: [u16; 3],
    layers: &'static [LayerShape],
    densities: &'static [f64],
) -> Topology {
    Topology {
        name,
        input: InputKind::Spikes,
        shape,
        steps: 1,
        layers,
        densities,
        hidden_rate: None,
        last_beta: BETA,
    }
}

const fn pixels(name: &'static str, shape: [u16; 3], layers: &'static [LayerShape]) -> Topology {
    Topology {
        name,
        input: InputKind::U8,
        shape,
        steps: 4,
        layers,
        densities: &[0.10],
        hidden_rate: None,
        last_beta: 0,
    }
}

/// What the table is fitted on.
pub const FITTED: &[Topology] = &[
    chain(
        "fit-a",
        [12, 12, 8],
        &[
            conv(0, 16, 3, 1),
            conv(1, 24, 5, 2),
            linear(2, 128),
            linear(3, 40),
            linear(4, 20),
            linear(5, 10),
        ],
        &[0.01, 0.1, 0.4],
    ),
    chain(
        "fit-b",
        [1, 1, 300],
        &[
            linear(0, 200),
            linear(1, 100),
            linear(2, 64),
            linear(3, 33),
            linear(4, 16),
            linear(5, 8),
        ],
        &[0.01, 0.1, 0.4],
    ),
    chain(
        "fit-c",
        [8, 8, 32],
        &[
            conv(0, 48, 3, 1),
            conv(1, 32, 5, 1),
            linear(2, 96),
            linear(3, 12),
        ],
        &[0.03, 0.2, 0.5],
    ),
    chain(
        "fit-d",
        [16, 16, 2],
        &[conv(0, 8, 5, 2), conv(1, 64, 3, 2), linear(2, 700)],
        &[0.05, 0.3],
    ),
    pixels("fit-p", [28, 28, 1], &[conv(0, 16, 5, 2), linear(1, 10)]),
    pixels("fit-q", [16, 16, 1], &[conv(0, 8, 3, 1), linear(1, 10)]),
    pixels("fit-r", [20, 20, 1], &[linear(0, 48), linear(1, 10)]),
    pixels("fit-t", [14, 14, 1], &[conv(0, 20, 7, 2), linear(1, 10)]),
    pixels("fit-u", [8, 8, 1], &[linear(0, 120), linear(1, 10)]),
    pixels("fit-s", [12, 12, 1], &[conv(0, 33, 5, 1), linear(1, 10)]),
];

/// What it is judged by.
pub const HELD_OUT: &[Topology] = &[
    chain(
        "held-a",
        [10, 10, 4],
        &[
            conv(0, 32, 3, 2),
            conv(1, 40, 3, 1),
            linear(2, 160),
            linear(3, 24),
            linear(4, 5),
        ],
        &[0.02, 0.07, 0.25],
    ),
    chain(
        "held-b",
        [1, 1, 512],
        &[
            linear(0, 256),
            linear(1, 80),
            linear(2, 48),
            linear(3, 28),
            linear(4, 12),
        ],
        &[0.02, 0.07, 0.25],
    ),
    chain(
        "held-c",
        [9, 9, 16],
        &[
            conv(0, 20, 5, 1),
            conv(1, 10, 3, 1),
            linear(2, 64),
            linear(3, 30),
        ],
        &[0.02, 0.07, 0.25],
    ),
];
