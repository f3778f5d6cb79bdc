//! An opening that is only committed, called cleared.
fn cleared(committed: store::Committed<model::chain::Session>) -> publisher::Cleared<model::chain::Session> {
    let opening = committed.entries()[0];
    let environment = committed.environment().clone();
    let (_, outcome) = committed.into_gated();
    publisher::Cleared { environment, opening, outcome }
}

fn main() {
    let _ = cleared;
}
