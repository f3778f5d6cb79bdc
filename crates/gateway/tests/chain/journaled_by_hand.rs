//! Bytes called written that were not.
fn forge<T>(value: T, written: journal::Journaled<()>) -> journal::Journaled<T> {
    journal::Journaled { value, session: written.session, position: written.position }
}

fn main() {
    let _ = forge::<()>;
}
