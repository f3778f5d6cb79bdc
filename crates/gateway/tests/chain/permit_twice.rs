//! A permit used twice.
fn main() {
    let mut world = model::fixture::World::default();
    let grant = world.granted();
    let wanted = world.wanted(grant);
    let (first, second) = (world.opening(), world.opening());
    let permit = model::judge::judge_open(&world.state, &wanted, world.now_ms).unwrap();
    let _ = permit.open(first);
    let _ = permit.open(second);
}
