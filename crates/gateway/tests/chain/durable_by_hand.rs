//! Bytes called synced that were only written.
fn forge<T>(written: journal::Journaled<T>) -> journal::Durable<T> {
    journal::Durable { value: written.release() }
}

fn main() {
    let _ = forge::<()>;
}
