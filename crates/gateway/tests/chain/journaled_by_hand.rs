//! Bytes called written that were not.
fn forge<T>(value: T) -> journal::Journaled<T> {
    journal::Journaled { value, position: 0, session: unreachable!() }
}

fn main() {
    let _ = forge::<()>;
}
