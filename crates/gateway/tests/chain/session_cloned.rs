//! A session copied.
fn twice(session: &model::chain::Session) -> model::chain::Session {
    session.clone()
}

fn main() {
    let _ = twice;
}
