//! One commit, two outcomes.
fn twice(committed: &store::Committed<model::chain::Session>) -> store::Committed<model::chain::Session> {
    Clone::clone(committed)
}

fn main() {
    let _ = twice;
}
