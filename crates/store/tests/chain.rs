//! What is committed comes from the store: each case must fail to compile, and its twin must compile.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must stop")]

#[test]
fn nothing_committed_is_made_by_hand() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/twin.rs");
    cases.compile_fail("tests/ui/committed_by_hand.rs");
    cases.compile_fail("tests/ui/committed_cloned.rs");
    cases.compile_fail("tests/ui/outcome_without_gate.rs");
}
