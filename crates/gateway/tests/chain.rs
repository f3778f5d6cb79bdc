//! The chain from judgement to effect cannot be shortened: each case must fail to compile, and its twin must compile.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must stop")]

#[path = "chain/twins.rs"]
#[allow(dead_code, reason = "that they compile is the point")]
mod twins;

#[test]
fn no_link_is_made_by_hand() {
    let cases = trybuild::TestCases::new();
    for case in [
        "permit_by_hand",
        "permit_twice",
        "step_by_hand",
        "session_cloned",
        "committed_by_hand",
        "committed_cloned",
        "outcome_without_gate",
        "cleared_by_hand",
        "cleared_cloned",
        "dial_committed",
        "journaled_by_hand",
        "durable_by_hand",
    ] {
        cases.compile_fail(format!("tests/chain/{case}.rs"));
    }
}

#[test]
fn a_permit_opens_one_session() {
    let (drafts, basis, session) = twins::step_from_a_permit().into_parts();
    assert_eq!((drafts.len(), basis.len()), (1, 7));
    assert_eq!(drafts[0].session, Some(session.id));
}
