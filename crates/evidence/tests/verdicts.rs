//! Verdicts over histories that a malicious operator made: the control that was broken fails, what rests on it is
//! unknown because of it, and everything else passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod scene;

use evidence::verify::{Verified, verify};
use model::verdict::{ControlId, Outcome, Verdict};
use scene::Scene;

fn verified(scene: &Scene) -> Verified {
    let trust = scene.trust();
    verify(&scene.pack()[..], Some(&trust), &mut |_| ()).unwrap()
}

fn verdict(scene: &Scene) -> Verdict {
    let verified = verified(scene);
    verified
        .explain(scene.session)
        .unwrap_or_else(|e| panic!("{e}: {:?}", verified.report))
}

/// What rests on what.
fn rests_on(control: ControlId) -> &'static [ControlId] {
    match control {
        ControlId::Ap2 | ControlId::Ap3 => &[ControlId::Ap1],
        ControlId::Sc1 => &[ControlId::Ap1, ControlId::Re1],
        ControlId::Re2 => &[ControlId::Re1],
        ControlId::Ex1 => &[ControlId::Ev2],
        _ => &[],
    }
}

fn expected(control: ControlId, broken: &[ControlId]) -> Outcome {
    let hindered = rests_on(control).iter().any(|on| broken.contains(on));
    // Without a valid approval there is nothing to hold consent, duties and scope against.
    let moot = broken.contains(&ControlId::Ap1) && rests_on(control).contains(&ControlId::Ap1);
    if broken.contains(&control) && !moot {
        Outcome::Fail
    } else if hindered {
        Outcome::Unknown
    } else {
        Outcome::Pass
    }
}

fn assert_expected(broken: &[ControlId]) {
    let verdict = verdict(&Scene::with(broken));
    assert_eq!(verdict.integrity, Outcome::Pass, "{broken:?}: {verdict:#?}");
    for result in &verdict.controls {
        assert_eq!(
            result.outcome,
            expected(result.control, broken),
            "{} with {broken:?} broken: {verdict:#?}",
            result.control
        );
        if result.outcome == Outcome::Unknown {
            assert!(result.code.starts_with("because_CS-"), "{result:?}");
        }
    }
    let worst = if broken.is_empty() {
        Outcome::Pass
    } else {
        Outcome::Fail
    };
    assert_eq!(verdict.overall, worst);
}

#[test]
fn r002_an_honest_session_passes_every_control() {
    assert_expected(&[]);
}

#[test]
fn r002_exactly_the_broken_control_fails() {
    for control in ControlId::ALL {
        assert_expected(&[control]);
    }
}

#[test]
fn r002_pairs_fail_together() {
    for (at, one) in ControlId::ALL.into_iter().enumerate() {
        for other in ControlId::ALL.into_iter().skip(at + 1) {
            assert_expected(&[one, other]);
        }
    }
}
