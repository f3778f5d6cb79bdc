//! What the failing cases do, done right.
fn target(cleared: publisher::Cleared<model::chain::Session>) -> model::chain::Session {
    cleared.into_session()
}

fn main() {
    let _ = target;
}
