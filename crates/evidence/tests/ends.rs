//! Ends, interruptions and weaker surroundings: what is pending, what is unknown, and what the reader is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod scene;

use evidence::verify::{Verified, verify};
use model::body::{Body, EndCause, Ended, Gap, GapCause, Lost};
use model::fixture::{World, seed};
use model::statement::{ActionClass, Gate};
use model::verdict::{ControlId, ControlResult, Outcome, Verdict};
use scene::Scene;

fn verdict(scene: &Scene) -> Verdict {
    let verified = verified(scene);
    verified
        .explain(scene.session)
        .unwrap_or_else(|e| panic!("{e}: {:#?}", verified.report))
}

fn verified(scene: &Scene) -> Verified {
    verify(&scene.pack()[..], Some(&scene.trust()), &mut |_| ()).unwrap()
}

fn result(verdict: &Verdict, control: ControlId) -> &ControlResult {
    verdict.controls.iter().find(|c| c.control == control).unwrap()
}

fn codes(verdict: &Verdict, outcome: Outcome) -> Vec<String> {
    let with = verdict.controls.iter().filter(|c| c.outcome == outcome);
    with.map(|c| format!("{} {}", c.control, c.code)).collect()
}

/// A session that is open, with one action done and everything recorded.
fn running() -> (
    Scene,
    model::body::Recorded,
    (model::apply::Snapshot, model::body::Opened, model::entry::Placed),
) {
    let mut scene = Scene::founded();
    let grant = scene.permission();
    let (session, opened, attachments) = scene.opened(grant);
    scene.session = session;
    let (opening, dek) = scene.begin((session, opened, attachments), None);
    scene.act(session, &opening);
    let recorded = scene.record(session, dek);
    (scene, recorded, opening)
}

fn ended(cause: EndCause, recorded: model::body::Recorded) -> Ended {
    Ended {
        bytes_in: u64::from(scene::TYPED),
        bytes_out: u64::from(scene::SHOWN),
        bytes_journaled: u64::from(scene::TYPED + scene::SHOWN),
        ..World::ended(cause, recorded)
    }
}

#[test]
fn an_open_session_is_pending() {
    let (mut scene, ..) = running();
    // What is recorded after the last progress is not yet the log's to tell.
    scene.extents.get_mut(&scene.session).unwrap().truncate(1);
    let open = verdict(&scene);
    assert_eq!((open.overall, open.completeness), (Outcome::Pending, Outcome::Pending));
    assert!(codes(&open, Outcome::Fail).is_empty());
    assert!(!open.expired && !open.monitored);
    let said = verified(&scene).report.result();
    assert!(said.contains("(session not ended), and vouched for"), "{said}");
    // The log goes on past its window, and nothing ends it.
    scene.world.now_ms += 2 * 3_600_000;
    let late = scene.world.disablement(seed::OWNER_ROOT, seed::OSCAR);
    scene.put(late, None, vec![]);
    assert_eq!(codes(&verdict(&scene), Outcome::Fail), ["CS-EX-1 end_missing"]);
}

#[test]
fn a_lost_session_is_unknown_where_nobody_else_counted() {
    let (mut scene, recorded, _) = running();
    let lost = Lost {
        seen_ms: scene.world.now_ms,
        recorded,
    };
    scene.put(Body::Lost(lost), Some(scene.session), vec![]);
    let lost = verdict(&scene);
    assert_eq!((lost.overall, lost.completeness), (Outcome::Unknown, Outcome::Unknown));
    assert_eq!(
        codes(&lost, Outcome::Unknown),
        [
            "CS-SC-1 because_CS-RE-1",
            "CS-EX-1 interrupted",
            "CS-RE-1 crash_no_second_counter",
            "CS-RE-2 because_CS-RE-1"
        ]
    );
    assert!(lost.remarks.iter().any(|r| r.starts_with("interrupted")));
    let said = verified(&scene).report.result();
    assert!(said.contains("(session interrupted)"), "{said}");
}

#[test]
fn a_kill_that_comes_late_fails_the_end() {
    for (late_ms, outcome) in [(400, Outcome::Pass), (5000, Outcome::Fail)] {
        let (mut scene, recorded, _) = running();
        let order = scene.world.kill(seed::OLGA, scene.session);
        let due_ms = scene.world.now_ms;
        scene.put(order, Some(scene.session), vec![]);
        scene.world.now_ms += late_ms;
        let mut end = ended(EndCause::Killed, recorded);
        (end.due_ms, end.late_ms) = (Some(due_ms), Some(late_ms));
        scene.put(Body::Ended(end), Some(scene.session), vec![]);
        let verdict = verdict(&scene);
        assert_eq!(result(&verdict, ControlId::Ex1).outcome, outcome, "{verdict:#?}");
    }
}

/// The gateway says that the client left; the order to end it had stood for a minute.
#[test]
fn an_order_that_nobody_obeyed_fails_the_end() {
    let (mut scene, recorded, _) = running();
    let order = scene.world.kill(seed::OLGA, scene.session);
    scene.put(order, Some(scene.session), vec![]);
    scene.world.now_ms += 60_000;
    scene.put(
        Body::Ended(ended(EndCause::ClientClosed, recorded)),
        Some(scene.session),
        vec![],
    );
    assert_eq!(codes(&verdict(&scene), Outcome::Fail), ["CS-EX-1 outlived"]);
}

#[test]
fn an_action_after_the_revocation_fails_the_end_alone() {
    let (mut scene, recorded, opening) = running();
    let revoked = scene.world.revocation(seed::OLGA, opening.1.grant);
    scene.put(revoked, None, vec![]);
    scene.act(scene.session, &opening);
    scene.put(
        Body::Ended(ended(EndCause::ClientClosed, recorded)),
        Some(scene.session),
        vec![],
    );
    let verdict = verdict(&scene);
    assert_eq!(
        codes(&verdict, Outcome::Fail),
        ["CS-EX-1 grant_revoked"],
        "{verdict:#?}"
    );
    assert_eq!(codes(&verdict, Outcome::Unknown), ["CS-PO-1 because_CS-EX-1"]);
}

#[test]
fn an_action_outside_the_grant_fails_the_scope_alone() {
    let (mut scene, recorded, opening) = running();
    let (entry, body, openings) = scene.intent(scene.session, &opening, ActionClass::Forward);
    let Body::Intended(intended) = &body else {
        unreachable!()
    };
    let action = intended.action;
    scene.put_as(entry, body, Some(scene.session), scene::openings_blob(&openings));
    let done = model::body::ActionEnded {
        action,
        exit_status: None,
        exit_signal: None,
        bytes_in: 0,
        bytes_out: 0,
        frame: 3,
    };
    scene.put(Body::ActionEnded(done), Some(scene.session), vec![]);
    scene.put(
        Body::Ended(ended(EndCause::ClientClosed, recorded)),
        Some(scene.session),
        vec![],
    );
    let verdict = verdict(&scene);
    assert_eq!(
        codes(&verdict, Outcome::Fail),
        ["CS-SC-1 action_not_granted"],
        "{verdict:#?}"
    );
    assert_eq!(codes(&verdict, Outcome::Unknown), ["CS-PO-1 because_CS-SC-1"]);
}

#[test]
fn an_effect_without_a_decision_fails_the_telemetry() {
    let (mut scene, recorded, _) = running();
    let done = model::body::ActionEnded {
        action: model::id::ActionId::from_bytes([7; 16]),
        exit_status: Some(0),
        exit_signal: None,
        bytes_in: 0,
        bytes_out: 0,
        frame: 3,
    };
    scene.put(Body::ActionEnded(done), Some(scene.session), vec![]);
    scene.put(
        Body::Ended(ended(EndCause::ClientClosed, recorded)),
        Some(scene.session),
        vec![],
    );
    assert_eq!(codes(&verdict(&scene), Outcome::Fail), ["CS-RE-2 action_unknown"]);
}

#[test]
fn gaps_are_told_and_account_for_slow_disks() {
    for (stated, outcome) in [(true, Outcome::Pass), (false, Outcome::Fail)] {
        let (mut scene, recorded, _) = running();
        if stated {
            let gap = Gap {
                session: scene.session,
                first: 2,
                next: Some(2),
                cause: GapCause::SyncSlow,
            };
            scene.put(Body::Gap(gap), Some(scene.session), vec![]);
        }
        let end = Ended {
            sync_gap_ms_max: 9000,
            ..ended(EndCause::ClientClosed, recorded)
        };
        scene.put(Body::Ended(end), Some(scene.session), vec![]);
        let verdict = verdict(&scene);
        assert_eq!(result(&verdict, ControlId::Re1).outcome, outcome, "{verdict:#?}");
        let told = verdict
            .remarks
            .iter()
            .any(|r| r == "gaps: 1, of which 0 leave frames in doubt");
        assert_eq!(told, stated);
        let because = &result(&verdict, ControlId::Re1).because;
        let said = if stated {
            "1 gap on record notwithstanding"
        } else {
            "a frame waited 9000 ms"
        };
        assert!(because.contains(said), "{because}");
    }
}

#[test]
fn without_witnesses_custody_and_time_are_unknown() {
    let mut scene = Scene::founded();
    let terms = model::fixture::LogTerms {
        gate: Gate::None,
        witnesses: vec![],
        ..scene::terms(&scene.log_key, &scene.witness)
    };
    scene.world = World::new(terms);
    let grant = scene.permission();
    let (session, mut opened, attachments) = scene.opened(grant);
    opened.time = model::body::TimeBasis::Unwitnessed("no witness is named".into());
    scene.session = scene.run_opened((session, opened, attachments), None);
    let verdict = verdict(&scene);
    assert_eq!(
        codes(&verdict, Outcome::Unknown),
        ["CS-EX-1 because_CS-EV-2", "CS-EV-1 not_cosigned", "CS-EV-2 unwitnessed"]
    );
    for remark in [
        "custody: operator alone",
        "gate: none",
        "time: unwitnessed (no witness is named)",
    ] {
        assert!(
            verdict.remarks.iter().any(|r| r == remark),
            "{remark}: {:?}",
            verdict.remarks
        );
    }
}

/// Cutting the list of controls, or lowering the gate, hides nothing.
#[test]
fn an_opening_that_pins_less_is_judged_in_full() {
    let mut scene = Scene::founded();
    let grant = scene.permission();
    let mut opened = scene.opened(grant);
    opened.1.controls = vec![ControlId::Re1];
    scene.session = scene.run_opened(opened, None);
    let fewer = verdict(&scene);
    assert_eq!(fewer.controls.len(), ControlId::ALL.len());
    assert_eq!(codes(&fewer, Outcome::Fail), ["CS-PO-1 pins_differ"]);
    let mut scene = Scene::founded();
    let grant = scene.permission();
    let mut opened = scene.opened(grant);
    opened.1.gate = Gate::None;
    scene.session = scene.run_opened(opened, None);
    assert_eq!(codes(&verdict(&scene), Outcome::Fail), ["CS-EV-1 pins_differ"]);
}

/// Things done in a session that nobody opened.
#[test]
fn a_session_that_was_never_opened_fails() {
    let (mut scene, _, opening) = running();
    let ghost = model::id::SessionId::from_bytes([3; 16]);
    let (entry, body, openings) = scene.intent(ghost, &opening, ActionClass::Exec);
    scene.put_as(entry, body, Some(ghost), scene::openings_blob(&openings));
    scene.extents.get_mut(&scene.session).unwrap().truncate(1);
    let verified = verified(&scene);
    let verdict = verified.explain(ghost).unwrap();
    assert_eq!(codes(&verdict, Outcome::Fail), ["CS-AP-1 never_opened"]);
    assert_eq!(verdict.overall, Outcome::Fail);
    assert_eq!(verified.report.status.exit_code(), 1);
}

/// Whatever is left out of a log or doubled in it, every control has an answer, and the answers fit one another.
#[test]
fn rules_are_total() {
    use proptest::prelude::*;
    let scene = Scene::honest();
    let verified = verified(&scene);
    let grounds = verified.grounds().unwrap();
    let log = &scene.world.log;
    let picks = proptest::collection::vec(0..log.len(), 0..log.len() * 2);
    proptest!(ProptestConfig::with_cases(64), |(picks in picks, keep in any::<bool>())| {
        let chosen: Vec<&[u8]> = if keep {
            log.iter().enumerate().filter(|(at, _)| *at == 0 || !picks.contains(at)).map(|(_, e)| e.as_slice()).collect()
        } else {
            std::iter::once(&0).chain(&picks).map(|at| log[*at].as_slice()).collect()
        };
        let world = evidence::replay::World::replay(evidence::replay::Select::All, chosen).unwrap();
        for dossier in world.sessions() {
            let verdict = evidence::explain::explain(&world, grounds, dossier.session).unwrap();
            let worst = model::verdict::worst(verdict.controls.iter().map(|c| c.outcome));
            prop_assert_eq!(verdict.overall, worst);
            prop_assert!(verdict.controls.iter().all(|c| !c.code.is_empty() && !c.because.is_empty()));
            let refused = dossier.opening.as_ref().is_none_or(|at| world.refusal(at.placed.index).is_some());
            prop_assert!(!refused || verdict.overall == Outcome::Fail, "{:#?}", verdict);
        }
    });
}
