fn main() {
    let _ = model::chain::Step { drafts: vec![], basis: vec![], outcome: () };
}
