//! A permit made without the judge.
fn main() {
    let mut world = model::fixture::World::default();
    let grant = world.granted();
    let wanted = world.wanted(grant);
    let facts = model::judge::OpenFacts::gather(&world.state, &wanted, world.now_ms).unwrap();
    let decision = model::judge::decide(&facts).unwrap();
    let _ = model::chain::Permit { facts, decision, basis: vec![] };
}
