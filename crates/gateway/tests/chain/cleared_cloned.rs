//! One clearance, two dials.
fn twice(cleared: &publisher::Cleared<model::chain::Session>) -> model::chain::Session {
    cleared.clone().into_session()
}

fn main() {
    let _ = twice;
}
