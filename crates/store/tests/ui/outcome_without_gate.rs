fn skip(committed: store::Committed<model::chain::Session>) -> model::chain::Session {
    committed.outcome
}

fn main() {
    let _ = skip;
}
