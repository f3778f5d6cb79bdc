//! Sessions told: record, timeline, lineage, verdict as text; and what is reported when a part is missing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

mod scene;

use evidence::binding::{Unbound, unbound};
use evidence::lineage::Lineage;
use evidence::record::{PolicyVerdict, Record, RecordError};
use evidence::render;
use evidence::timeline::Timeline;
use evidence::verify::{Verified, verify};
use model::body::Body;
use model::verdict::{ControlId, Outcome};
use scene::Scene;

fn verified(scene: &Scene) -> Verified {
    verify(&scene.pack()[..], Some(&scene.trust()), &mut |_| ()).unwrap()
}

/// Opened on a grant that no approval gave; everything else is done well.
fn unapproved() -> Scene {
    let mut scene = Scene::founded();
    let (entry, body, openings) = scene.world.request(model::fixture::seed::ALICE);
    let Body::Requested(requested) = &body else {
        unreachable!()
    };
    let request = requested.statement.request;
    scene.put_as(entry, body, None, scene::openings_blob(&openings));
    let grant = scene.world.grant(request);
    let Body::Granted(granted) = &grant else { unreachable!() };
    let id = granted.grant;
    scene.put(grant, None, vec![]);
    // The operator's own software believes in the grant that it forged.
    let mut believed = scene.world.state.clone();
    believed.accept(scene.forged(id));
    let real = std::mem::replace(&mut scene.world.state, believed);
    let opened = scene.opened(id);
    scene.world.state = real;
    scene.session = scene.run_opened(opened, Some(id));
    scene
}

#[test]
fn r006_r108_a_record_holds_approvers_scope_actions_and_policy() {
    let scene = Scene::honest();
    let verified = verified(&scene);
    let record = Record::of(&verified.reading().unwrap(), scene.session).unwrap();
    assert_eq!(record.approvers.len(), 1);
    assert_eq!(record.approvers[0].person.handle, "olga");
    assert_eq!(record.owner.as_ref().unwrap().handle, "bob");
    assert_eq!(record.actions.len(), 1);
    let act = &record.actions[0];
    assert!(matches!(act.policy, PolicyVerdict::Inside { .. }));
    assert_eq!(act.command.as_ref().unwrap().as_bytes(), b"uname -a");
    assert_eq!(
        (act.actor.handle.as_str(), act.resource.as_str(), act.session),
        ("alice", "web1", scene.session)
    );
    assert!(record.activity_evidence && record.control_evidence);
    let json = record.to_json().unwrap();
    assert_eq!(Record::parse(json.as_bytes()), Ok(record));
    // Any of the four taken away, and it is no record.
    let whole: serde_json::Value = serde_json::from_str(&json).unwrap();
    let without = |path: &str| {
        let mut cut = whole.clone();
        let (parent, key) = path.rsplit_once('/').unwrap();
        cut.pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(key)
            .unwrap();
        Record::parse(cut.to_string().as_bytes())
    };
    for path in [
        "/approvers",
        "/scope",
        "/actions",
        "/actions/0/policy",
        "/approvers/0/person",
        "/verdict",
    ] {
        assert!(matches!(without(path), Err(RecordError::Shape(_))), "{path}");
    }
    let newer = json.replacen("\"v\": 1", "\"v\": 2", 1);
    assert_eq!(Record::parse(newer.as_bytes()), Err(RecordError::Newer(2)));
}

#[test]
fn r057_r062_r110_one_timeline_tells_it_all() {
    let scene = Scene::honest();
    let verified = verified(&scene);
    let timeline = Timeline::of(&verified.reading().unwrap(), scene.session).unwrap();
    let kinds: Vec<&str> = timeline.lines.iter().map(|line| line.kind).collect();
    assert_eq!(
        kinds,
        [
            "identity.enrolled",
            "workflow.set",
            "request.made",
            "request.approved",
            "grant.issued",
            "session.opened",
            "action.intended",
            "action.ended",
            "session.progress",
            "session.ended"
        ]
    );
    for line in &timeline.lines {
        assert_eq!(line.owner.as_ref().unwrap().handle, "bob");
        assert_eq!(line.purpose.as_ref().unwrap().as_str(), "security patches");
    }
    let action = timeline
        .lines
        .iter()
        .find(|line| line.kind == "action.intended")
        .unwrap();
    assert_eq!((action.offset_us, action.frame), (Some(1000), Some(0)));
    insta::assert_snapshot!("timeline", render::timeline(&timeline));
}

/// The session's entries name one another; leave one out, and the chain does not close.
#[test]
fn r111_the_chain_is_linked_and_an_omission_breaks_it() {
    let scene = Scene::honest();
    let timeline = Timeline::of(&verified(&scene).reading().unwrap(), scene.session).unwrap();
    let mut last = None;
    for line in timeline
        .lines
        .iter()
        .filter(|line| line.kind != "session.progress")
        .skip(5)
    {
        assert_eq!(line.prev, last, "{}", line.kind);
        last = Some(line.hash);
    }
    let mut omitted = Scene::honest();
    let at = omitted.world.log.len() - 3;
    assert!(String::from_utf8_lossy(&omitted.world.log[at]).contains("action.ended"));
    omitted.world.log.remove(at);
    omitted.covered.clear();
    let report = verified(&omitted).report;
    assert_eq!(report.status.exit_code(), 1);
    assert!(
        report
            .claims
            .iter()
            .any(|c| c.detail.contains("session_chain") || c.detail.contains("session_sequence"))
    );
}

#[test]
fn r040_a_lineage_is_whole_or_says_where_it_breaks() {
    let scene = Scene::honest();
    let verified = verified(&scene);
    let lineage = Lineage::of(&verified.reading().unwrap(), scene.session).unwrap();
    assert!(lineage.is_whole());
    let to: Vec<&str> = lineage.links.iter().map(|link| link.to).collect();
    assert_eq!(
        to,
        [
            "session", "identity", "grant", "request", "ticket", "approval", "policy"
        ]
    );
    assert!(lineage.links.iter().all(|link| link.hash.is_some()));
    insta::assert_snapshot!("lineage", render::lineage(&lineage));
    // A forged grant.
    let scene = unapproved();
    let lineage = Lineage::of(&self::verified(&scene).reading().unwrap(), scene.session).unwrap();
    let broken: Vec<&str> = lineage
        .links
        .iter()
        .filter(|l| l.broken.is_some())
        .map(|l| l.to)
        .collect();
    assert_eq!(broken, ["session", "grant", "approval"]);
    // A grant that is not there: the opening was put into another history.
    let mut scene = Scene::honest();
    let grant = scene
        .world
        .log
        .iter()
        .position(|e| String::from_utf8_lossy(e).contains("grant.issued"))
        .unwrap();
    scene.world.log.remove(grant);
    let world = scene.replayed();
    let verified = self::verified(&Scene::honest());
    let reading = evidence::reading::Reading {
        world: &world,
        ..verified.reading().unwrap()
    };
    let lineage = Lineage::of(&reading, scene.session).unwrap();
    assert!(
        lineage
            .links
            .iter()
            .any(|l| l.to == "grant" && l.broken.as_deref() == Some("was never issued"))
    );
    // The policy edited between grant and opening.
    let mut scene = Scene::founded();
    let grant = scene.permission();
    let mut edited = scene.world.workflow();
    edited.window_ms_max += 1;
    let body = Body::Workflow(model::fixture::signed(
        &[model::fixture::seed::OWNER_ROOT],
        scene::ORIGIN,
        edited,
    ));
    scene.put(body, None, vec![]);
    scene.session = scene.run(grant);
    let lineage = Lineage::of(&self::verified(&scene).reading().unwrap(), scene.session).unwrap();
    let policy = lineage.links.iter().find(|l| l.to == "policy").unwrap();
    assert_eq!(policy.broken.as_deref(), Some("was not in force at the opening"));
}

#[test]
fn r003_r125_a_recorded_session_without_approval_is_activity_without_control() {
    let scene = unapproved();
    let verified = verified(&scene);
    let verdict = verified.explain(scene.session).unwrap();
    assert_eq!(verdict.overall, Outcome::Fail);
    assert_eq!(
        (verdict.approved, verdict.monitored, verdict.attributable),
        (false, true, true)
    );
    let failed: Vec<ControlId> = verdict
        .controls
        .iter()
        .filter(|c| c.outcome == Outcome::Fail)
        .map(|c| c.control)
        .collect();
    assert_eq!(failed, [ControlId::Ap1], "{verdict:#?}");
    let unknown: Vec<ControlId> = verdict
        .controls
        .iter()
        .filter(|c| c.outcome == Outcome::Unknown)
        .map(|c| c.control)
        .collect();
    assert_eq!(
        unknown,
        [ControlId::Ap2, ControlId::Ap3, ControlId::Po1, ControlId::Sc1]
    );
    assert!(
        verdict
            .controls
            .iter()
            .all(|c| c.outcome != Outcome::Unknown || c.code == "because_CS-AP-1")
    );
    let record = Record::of(&verified.reading().unwrap(), scene.session).unwrap();
    assert!(record.activity_evidence && !record.control_evidence && record.approvers.is_empty());
    insta::assert_snapshot!("unapproved_verdict", render::verdict(&verdict));
    insta::assert_snapshot!("unapproved_report", render::report(&verified.report));
}

#[test]
fn r003_r133_answers_follow_their_controls() {
    for (broken, answers) in [
        (None, [true; 6]),
        (Some(ControlId::Ap1), [false, true, true, false, false, true]),
        (Some(ControlId::Ap2), [false, true, true, true, true, true]),
        (Some(ControlId::Sc1), [true, true, true, true, false, true]),
        (Some(ControlId::Ex1), [true, true, true, true, true, false]),
        (Some(ControlId::Re2), [true, false, true, true, true, true]),
        (Some(ControlId::Id1), [true, true, false, true, true, true]),
    ] {
        let scene = Scene::with(broken.as_slice());
        let v = verified(&scene).explain(scene.session).unwrap();
        let found = [
            v.approved,
            v.monitored,
            v.attributable,
            v.authorised,
            v.bounded,
            v.expired,
        ];
        assert_eq!(found, answers, "{broken:?}");
    }
}

#[test]
fn r052_nothing_stands_alone() {
    let scene = Scene::honest();
    let found = verified(&scene);
    assert_eq!(unbound(found.world().unwrap(), found.grounds().unwrap()), []);
    let scene = unapproved();
    let found = verified(&scene);
    let alone = unbound(found.world().unwrap(), found.grounds().unwrap());
    assert_eq!(alone, [Unbound::NoApproval(scene.session)]);
}

#[test]
fn an_honest_session_reads_well() {
    let scene = Scene::honest();
    let verified = verified(&scene);
    let verdict = verified.explain(scene.session).unwrap();
    insta::assert_snapshot!("honest_verdict", render::verdict(&verdict));
    insta::assert_snapshot!("honest_report", render::report(&verified.report));
}
