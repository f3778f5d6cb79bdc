//! What is only committed, given to be dialed.
use gateway::ssh::ask::Opened;

fn give(opened: Opened, committed: store::Committed<model::chain::Session>) -> Opened {
    Opened { cleared: committed, ..opened }
}

fn main() {
    let _ = give;
}
