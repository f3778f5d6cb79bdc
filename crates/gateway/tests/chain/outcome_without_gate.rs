//! A session taken from a commit without the gate.
fn skip(committed: store::Committed<model::chain::Session>) -> model::chain::Session {
    committed.outcome
}

fn main() {
    let _ = skip;
}
