//! What the failing cases do, done right.
fn main() {
    let mut world = model::fixture::World::default();
    let grant = world.granted();
    let wanted = world.wanted(grant);
    let opening = world.opening();
    let permit = model::judge::judge_open(&world.state, &wanted, world.now_ms).unwrap();
    let step = permit.open(opening);
    let (drafts, basis, session) = step.into_parts();
    assert_eq!((drafts.len(), basis.len()), (1, 7));
    assert_eq!(session.facts.grant, grant);
}
