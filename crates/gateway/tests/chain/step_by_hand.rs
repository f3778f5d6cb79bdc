//! A step made without a permit.
fn main() {
    let _ = model::chain::Step { drafts: vec![], basis: vec![], outcome: () };
}
