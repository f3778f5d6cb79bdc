//! The chain cannot be made by hand: each case must fail to compile, and its twin must compile.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must stop")]

#[test]
fn permits_and_steps_come_from_the_judge() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/twin.rs");
    cases.compile_fail("tests/ui/permit_by_hand.rs");
    cases.compile_fail("tests/ui/permit_twice.rs");
    cases.compile_fail("tests/ui/step_by_hand.rs");
    cases.compile_fail("tests/ui/session_cloned.rs");
}

#[test]
fn an_opening_without_a_permit_is_refused() {
    let mut world = model::fixture::World::default();
    let grant = world.granted();
    let (session, body, _) = world.opened(grant);
    let draft = model::chain::Draft::new(world.entry_id(), body).in_session(session);
    assert!(matches!(
        model::chain::Step::record(vec![draft]),
        Err(model::chain::StepError::NeedsPermit("session.opened"))
    ));
}
