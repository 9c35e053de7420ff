//! Each kernel against the reference on the cases that every device runs too.

mod cases;

#[test]
fn every_kernel_equals_the_reference_on_the_devices_cases() {
    let mut buffers = Box::new(cases::Buffers::new());
    // Interpreted, a case takes seconds.
    if cfg!(miri) {
        cases::run(&mut buffers, 20).unwrap();
        return;
    }
    let passed = cases::run(&mut buffers, 20_000).unwrap();
    assert!(passed.cases > 5_000, "{passed:?}");
    assert!(passed.runs > 2 * passed.cases, "{passed:?}");
    assert!(passed.spikes as usize > passed.cases, "{passed:?}");
}
