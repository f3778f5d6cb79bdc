//! What the types of the chain cannot say is refused when it is tried.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must stop")]

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
