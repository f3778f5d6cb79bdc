//! A committed step made by hand.
fn forge(environment: model::name::EnvironmentName, store: store::StoreId) -> store::Committed<()> {
    store::Committed { environment, store, entries: vec![], outcome: () }
}

fn main() {
    let _ = forge;
}
