//! The GPU's kernels compile to PTX for every generation that CUDA 13 knows.

use cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};

const LIF: &str = include_str!("../../trainer/src/ops/lif.cu");

/// The entry points, each with its pointers; a structure of 64 bytes follows them.
const ENTRIES: [(&str, usize); 2] = [("lif_forward", 2), ("lif_backward", 5)];

const GENERATIONS: [&str; 5] = [
    "compute_75",
    "compute_80",
    "compute_86",
    "compute_90",
    "compute_120",
];

#[test]
#[ignore = "needs NVRTC: cargo xtask test --only PTX"]
fn the_kernels_of_neurons_compile_for_every_generation() {
    for arch in GENERATIONS {
        let options = CompileOptions {
            // As the trainer compiles them.
            fmad: Some(false),
            arch: Some(arch),
            ..CompileOptions::default()
        };
        let ptx = compile_ptx_with_opts(LIF, options)
            .unwrap_or_else(|error| panic!("{arch}: {error}"))
            .to_src();
        let target = arch.replace("compute", ".target sm");
        assert!(ptx.contains(&target), "{arch}: {ptx}");
        for (entry, pointers) in ENTRIES {
            let (_, rest) = ptx
                .split_once(&format!(".visible .entry {entry}("))
                .unwrap_or_else(|| panic!("{arch} lacks {entry}: {ptx}"));
            let (parameters, rest) = rest.split_once(')').expect("parameters");
            let found = parameters.matches(".param .u64").count();
            assert_eq!(found, pointers, "{entry}: {parameters}");
            assert!(parameters.contains("[64]"), "{entry}: {parameters}");
            let body = rest.split(".visible .entry").next().unwrap_or_default();
            assert!(body.contains("st.global"), "{entry} writes nothing: {body}");
            // What decides about spikes rounds after every operation; `expf` is made of them.
            if entry == "lif_forward" {
                assert!(!body.contains("fma.rn.f32"), "{arch}: {body}");
            }
        }
    }
}
