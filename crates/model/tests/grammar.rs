//! The grammar as a table: which entry may follow which, who signs it, what it must name. One accepted and at least
//! one refused case per type of entry; `docs/formats/entry.md` prints the same table.
#![allow(
    clippy::cast_possible_truncation,
    clippy::type_complexity,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

use model::apply::Refused;
use model::body::{
    ActionEnded, ActionRefused, AttemptRefused, Body, EndCause, Gap, GapCause, Lost, NodeStarted, RefusalsCounted,
};
use model::entity::{EntityKey, RequestStatus, SessionStatus};
use model::fixture::{World, commitment, identity, name, seed, signed};
use model::id::{ActionId, BootId, RequestId, SessionId};
use model::signature::Signed;
use model::statement::{ActionClass, Denial, Disablement, Gate, Role};

fn code(result: Result<(), Refused>) -> &'static str {
    result.expect_err("the entry must be refused").code()
}

fn pending(world: &mut World) -> RequestId {
    let (entry, body, _) = world.request(seed::ALICE);
    let Body::Requested(requested) = &body else {
        unreachable!()
    };
    let id = requested.statement.request;
    world.append_as(entry, body, None, vec![]);
    id
}

fn running(world: &mut World) -> SessionId {
    let grant = world.granted();
    world.open(grant)
}

#[test]
fn a_whole_session_is_accepted() {
    let mut world = World::default();
    let session = running(&mut world);
    world.exec(session, "uname -a", 0);
    world.progress(session, World::recorded(2, 1));
    world.close(session, World::recorded(3, 2));
    let state = world.state.session(&EntityKey::session(session)).unwrap();
    assert_eq!(state.status, SessionStatus::Ended(EndCause::ClientClosed));
    assert_eq!((state.actions, state.live.len(), state.seq), (1, 0, 3));
}

#[test]
fn genesis_is_first_once_and_under_its_own_roots() {
    let mut world = World::default();
    let again = Body::Genesis(signed(&[seed::OWNER_ROOT], "acme.gateway.example", world.genesis()));
    assert_eq!(code(world.try_body(again, None)), "genesis_not_first");
    let mut blank = World::blank(Default::default());
    let origin = blank.terms.origin.clone();
    let by_operator = Body::Genesis(signed(&[seed::OPERATOR_ROOT], &origin, blank.genesis()));
    assert_eq!(code(blank.try_body(by_operator, None)), "not_under_root");
    let mut one_root = blank.genesis();
    one_root.owner_roots.truncate(1);
    assert_eq!(
        code(blank.try_body(Body::Genesis(signed(&[seed::OWNER_ROOT], &origin, one_root)), None)),
        "one_root"
    );
    let mut one_recipient = blank.genesis();
    one_recipient.owner_recipients.truncate(1);
    assert_eq!(
        code(blank.try_body(Body::Genesis(signed(&[seed::OWNER_ROOT], &origin, one_recipient)), None)),
        "one_recipient"
    );
    let mut unmeetable = blank.genesis();
    unmeetable.gate = Gate::Witnesses(1);
    assert_eq!(
        code(blank.try_body(Body::Genesis(signed(&[seed::OWNER_ROOT], &origin, unmeetable)), None)),
        "gate_unmeetable"
    );
    let other_log = Body::Genesis(signed(&[seed::OWNER_ROOT], "other.example", blank.genesis()));
    assert_eq!(code(blank.try_body(other_log, None)), "bad_signature");
    let nothing = Body::NodeStarted(NodeStarted {
        boot: BootId::from_bytes([0; 16]),
        software: "0".into(),
    });
    assert_eq!(code(blank.try_body(nothing, None)), "absent");
}

#[test]
fn engagements_are_signed_by_the_owner() {
    let mut world = World::default();
    let origin = world.terms.origin.clone();
    let own = Body::Engagement(signed(&[seed::OPERATOR_ROOT], &origin, world.engagement()));
    assert_eq!(code(world.try_body(own, None)), "not_under_root");
    let mut shared = world.engagement();
    shared.operator_roots = vec![model::fixture::public(seed::OWNER_ROOT)];
    assert_eq!(
        code(world.try_body(Body::Engagement(signed(&[seed::OWNER_ROOT], &origin, shared)), None)),
        "shared_root"
    );
    assert!(
        world
            .try_body(
                Body::Engagement(signed(&[seed::OWNER_ROOT_2], &origin, world.engagement())),
                None
            )
            .is_ok()
    );
}

/// An approver that the operator enrols by itself is refused.
#[test]
fn nobody_enrols_for_another_organisation() {
    let mut world = World::default();
    let origin = world.terms.origin.clone();
    let approver = world.enrolment(40, "eve", "Acme Ltd", vec![Role::Approve]);
    assert_eq!(
        code(world.try_body(
            Body::Enrolled(signed(&[seed::OPERATOR_ROOT], &origin, approver.clone())),
            None
        )),
        "not_under_root"
    );
    assert!(
        world
            .try_body(Body::Enrolled(signed(&[seed::OWNER_ROOT], &origin, approver)), None)
            .is_ok()
    );
}

/// R020: a key belongs to one identity, so two people cannot share a credential.
#[test]
fn r020_a_key_of_two_identities_is_refused() {
    let mut world = World::default();
    let origin = world.terms.origin.clone();
    let mut second = world.enrolment(41, "shared", "Northwind MSP", vec![Role::Request]);
    second.keys = vec![model::fixture::public(seed::ALICE)];
    assert_eq!(
        code(world.try_body(Body::Enrolled(signed(&[seed::OPERATOR_ROOT], &origin, second)), None)),
        "key_shared"
    );
}

#[test]
fn an_ended_identity_stays_ended() {
    let mut world = World::default();
    let origin = world.terms.origin.clone();
    assert_eq!(
        code(world.try_body(world.disablement(seed::OWNER_ROOT, seed::ALICE), None)),
        "not_under_root"
    );
    let body = world.disablement(seed::OPERATOR_ROOT, seed::ALICE);
    world.append(body);
    let again = Body::Enrolled(signed(
        &[seed::OPERATOR_ROOT],
        &origin,
        world.enrolment(seed::ALICE, "alice", "Northwind MSP", vec![Role::Request]),
    ));
    assert_eq!(code(world.try_body(again, None)), "identity_ended");
    let (_, request, _) = world.request(seed::ALICE);
    assert_eq!(code(world.try_body(request, None)), "identity_ended");
    let unknown = signed(
        &[seed::OPERATOR_ROOT],
        &origin,
        Disablement {
            environment: name("acme"),
            identity: identity(99),
        },
    );
    assert_eq!(code(world.try_body(Body::Disabled(unknown), None)), "absent");
}

#[test]
fn resources_and_workflows_are_the_owners() {
    let mut world = World::default();
    let origin = world.terms.origin.clone();
    assert_eq!(
        code(world.try_body(
            Body::Resource(signed(&[seed::OPERATOR_ROOT], &origin, world.resource())),
            None
        )),
        "not_under_root"
    );
    assert_eq!(
        code(world.try_body(
            Body::Workflow(signed(&[seed::OPERATOR_ROOT], &origin, world.workflow())),
            None
        )),
        "not_under_root"
    );
    let mut no_consent = world.workflow();
    no_consent.approvals[0].organisation = name("Northwind MSP");
    assert_eq!(
        code(world.try_body(Body::Workflow(signed(&[seed::OWNER_ROOT], &origin, no_consent)), None)),
        "customer_approval_missing"
    );
    let mut one_person = world.workflow();
    one_person.backup = one_person.owner;
    assert_eq!(
        code(world.try_body(Body::Workflow(signed(&[seed::OWNER_ROOT], &origin, one_person)), None)),
        "owner_is_backup"
    );
    let mut operator_owned = world.workflow();
    operator_owned.owner = identity(seed::ALICE);
    assert_eq!(
        code(world.try_body(
            Body::Workflow(signed(&[seed::OWNER_ROOT], &origin, operator_owned)),
            None
        )),
        "owner_not_entitled"
    );
}

/// An old statement, however validly signed, is not put in force again.
#[test]
fn an_old_policy_or_enrolment_cannot_come_back() {
    let mut world = World::default();
    let origin = world.terms.origin.clone();
    let old = signed(&[seed::OWNER_ROOT], &origin, world.workflow());
    world.now_ms += 1000;
    let mut narrower = world.workflow();
    narrower.window_ms_max = 60_000;
    let engagement = Body::Engagement(signed(&[seed::OWNER_ROOT], &origin, world.engagement()));
    let resource = Body::Resource(signed(&[seed::OWNER_ROOT], &origin, world.resource()));
    let enrolment = world.enrolment(seed::ALICE, "alice", "Northwind MSP", vec![Role::Request]);
    let enrolment = Body::Enrolled(signed(&[seed::OPERATOR_ROOT], &origin, enrolment));
    world.append(Body::Workflow(signed(&[seed::OWNER_ROOT], &origin, narrower)));
    assert_eq!(code(world.try_body(Body::Workflow(old), None)), "statement_not_newer");
    for body in [engagement, resource, enrolment] {
        world.append(body.clone());
        assert_eq!(code(world.try_body(body, None)), "statement_not_newer");
    }
}

#[test]
fn requests_stay_inside_the_workflow() {
    let mut world = World::default();
    let cases: [(&str, fn(&mut model::statement::Scope)); 6] = [
        ("purpose_not_in_workflow", |s| s.purpose = name("curiosity")),
        ("resource_not_in_workflow", |s| s.resources = vec![name("db1")]),
        ("account_not_in_workflow", |s| s.accounts = vec![name("oracle")]),
        ("action_not_in_workflow", |s| s.actions = vec![ActionClass::Forward]),
        ("window_empty", |s| s.until_ms = s.from_ms),
        ("window_too_long", |s| s.until_ms = s.from_ms + 9 * 3_600_000),
    ];
    for (wanted, change) in cases {
        let mut scope = world.scope();
        change(&mut scope);
        let (_, body, _) = world.request_for(seed::ALICE, scope);
        assert_eq!(code(world.try_body(body, None)), wanted);
    }
    let (_, body, _) = world.request(seed::OLGA);
    assert_eq!(code(world.try_body(body, None)), "may_not_request");
}

/// R014: the five fields are signed; none can be altered afterwards.
#[test]
fn r014_an_approval_repeats_the_request_word_for_word() {
    let mut world = World::default();
    let request = pending(&mut world);
    let Body::Approved(approval) = world.approval(seed::OLGA, request) else {
        unreachable!()
    };
    let mut edited = approval.clone();
    edited.statement.scope.until_ms += 1;
    assert_eq!(code(world.try_body(Body::Approved(edited), None)), "bad_signature");
    let mut wider = approval.statement.clone();
    wider.scope.until_ms += 1;
    let origin = world.terms.origin.clone();
    assert_eq!(
        code(world.try_body(Body::Approved(signed(&[seed::OLGA], &origin, wider)), None)),
        "scope_differs"
    );
    let mut other = approval.statement.clone();
    other.request_hash = model::bytes::Digest::of(b"another request");
    assert_eq!(
        code(world.try_body(Body::Approved(signed(&[seed::OLGA], &origin, other)), None)),
        "request_changed"
    );
    let other_key: Signed<_> = signed(&[seed::OSCAR], &origin, approval.statement);
    assert_eq!(code(world.try_body(Body::Approved(other_key), None)), "not_own_key");
}

/// R038: the requester never approves, also not with a second key.
#[test]
fn r038_nobody_approves_their_own_request() {
    let mut world = World::default();
    let origin = world.terms.origin.clone();
    let mut both = world.enrolment(
        seed::ALICE,
        "alice",
        "Northwind MSP",
        vec![Role::Request, Role::Approve],
    );
    both.keys.push(model::fixture::public(50));
    world.append(Body::Enrolled(signed(&[seed::OPERATOR_ROOT], &origin, both)));
    let request = pending(&mut world);
    assert_eq!(
        code(world.try_body(world.approval(seed::ALICE, request), None)),
        "own_request"
    );
    let Body::Approved(approval) = world.approval(seed::ALICE, request) else {
        unreachable!()
    };
    let second_key = signed(&[50], &origin, approval.statement);
    assert_eq!(code(world.try_body(Body::Approved(second_key), None)), "own_request");
}

#[test]
fn a_decided_request_stays_decided() {
    let mut world = World::default();
    let request = pending(&mut world);
    let hash = world.state.request(&EntityKey::request(request)).unwrap().hash;
    let denial = Denial {
        request,
        request_hash: hash,
        approver: identity(seed::OLGA),
        at_ms: world.now_ms,
    };
    let origin = world.terms.origin.clone();
    world.append(Body::Denied(signed(&[seed::OLGA], &origin, denial)));
    assert_eq!(
        world.state.request(&EntityKey::request(request)).unwrap().status,
        RequestStatus::Denied
    );
    assert_eq!(
        code(world.try_body(world.approval(seed::OSCAR, request), None)),
        "request_closed"
    );
    let grant = world.grant(request);
    assert_eq!(code(world.try_body(grant, None)), "request_closed");
}

/// R013: without the owner's approval there is no grant.
#[test]
fn r013_a_grant_needs_the_owners_approval() {
    let mut world = World::default();
    let request = pending(&mut world);
    let early = world.grant(request);
    assert_eq!(code(world.try_body(early, None)), "customer_approval_missing");
    let approval = world.approval(seed::OLGA, request);
    world.append(approval);
    let Body::Granted(mut wider) = world.grant(request) else {
        unreachable!()
    };
    wider.scope.until_ms += 1;
    assert_eq!(code(world.try_body(Body::Granted(wider), None)), "scope_differs");
    let Body::Granted(mut weaker) = world.grant(request) else {
        unreachable!()
    };
    weaker.controls.pop();
    assert_eq!(code(world.try_body(Body::Granted(weaker), None)), "pins_differ");
    let grant = world.grant(request);
    world.append(grant);
}

#[test]
fn revocation_is_for_the_entitled_and_final() {
    let mut world = World::default();
    let grant = world.granted();
    assert_eq!(
        code(world.try_body(world.revocation(seed::MALLORY, grant), None)),
        "may_not_revoke"
    );
    let body = world.revocation(seed::ALICE, grant);
    assert!(world.try_body(body, None).is_ok());
    let body = world.revocation(seed::BOB, grant);
    world.append(body);
    assert_eq!(
        code(world.try_body(world.revocation(seed::OLGA, grant), None)),
        "revoked_twice"
    );
    let (session, opened, _) = world.opened(grant);
    assert_eq!(code(world.try_body(opened, Some(session))), "grant_revoked");
}

/// R022: outside its window a grant opens nothing.
#[test]
fn r022_nothing_opens_outside_the_window() {
    let mut world = World::default();
    let grant = world.granted();
    world.now_ms += 3_600_000;
    let (session, opened, _) = world.opened(grant);
    assert_eq!(code(world.try_body(opened, Some(session))), "grant_expired");
}

#[test]
fn an_opening_repeats_what_the_grant_pins() {
    let mut world = World::default();
    let grant = world.granted();
    let (session, body, _) = world.opened(grant);
    let Body::Opened(opened) = body else { unreachable!() };
    let cases: [(&str, fn(&mut model::body::Opened)); 8] = [
        ("account_not_granted", |o| o.account = name("deploy")),
        ("resource_not_granted", |o| o.resource = name("db1")),
        ("other_person", |o| o.identity = identity(seed::MALLORY)),
        ("not_own_key", |o| {
            o.proof = model::fixture::log_in(seed::MALLORY, "root", 7)
        }),
        ("pins_differ", |o| o.until_ms += 1),
        ("pins_differ", |o| o.level = 1),
        ("principal", |o| o.certificate.principal = "root".into()),
        ("certificate_window", |o| o.certificate.valid_before_s += 86_400),
    ];
    for (wanted, change) in cases {
        let mut edited = opened.clone();
        change(&mut edited);
        assert_eq!(code(world.try_body(Body::Opened(edited), Some(session))), wanted);
    }
    assert_eq!(code(world.try_body(Body::Opened(opened.clone()), None)), "no_session");
    let first = world.open(grant);
    let used = world.state.session(&EntityKey::session(first)).unwrap().opened_at;
    let Body::Opened(earlier) = model::entry::Placed::parse(used, &world.log[used as usize])
        .unwrap()
        .entry
        .body
    else {
        unreachable!()
    };
    let mut replayed = opened;
    replayed.proof = earlier.proof;
    assert_eq!(
        code(world.try_body(Body::Opened(replayed), Some(session))),
        "proof_reused"
    );
}

#[test]
fn actions_stay_in_scope_and_end_once() {
    let mut world = World::default();
    let session = running(&mut world);
    let (_, _, body, _) = world.intended(session, ActionClass::Forward, None);
    assert_eq!(code(world.try_body(body, Some(session))), "action_not_granted");
    let (_, _, Body::Intended(mut other), _) = world.intended(session, ActionClass::Exec, Some(b"id")) else {
        unreachable!()
    };
    other.decision.policy = model::bytes::Digest::of(b"another policy");
    assert_eq!(
        code(world.try_body(Body::Intended(other), Some(session))),
        "policy_changed"
    );
    let unknown = ActionEnded {
        action: ActionId::from_bytes([0; 16]),
        exit_status: None,
        exit_signal: None,
        bytes_in: 0,
        bytes_out: 0,
        frame: 0,
    };
    assert_eq!(
        code(world.try_body(Body::ActionEnded(unknown), Some(session))),
        "action_unknown"
    );
    let action = ActionId::from_bytes([1; 16]);
    let refused = ActionRefused {
        action,
        class: None,
        wanted: "x11-req".into(),
        command: None,
        code: "refused".into(),
    };
    world.append_in(session, Body::ActionRefused(refused.clone()));
    let kill = world.kill(seed::OLGA, session);
    world.append_in(session, kill);
    let (_, _, body, _) = world.intended(session, ActionClass::Exec, Some(b"id"));
    assert_eq!(code(world.try_body(body, Some(session))), "session_killed");
    world.close(session, World::recorded(1, 1));
    assert_eq!(
        code(world.try_body(Body::ActionRefused(refused), Some(session))),
        "session_closed"
    );
}

/// R111: omitting, repeating or reordering one entry of a session breaks its chain.
#[test]
fn r111_a_session_is_a_chain() {
    let mut world = World::default();
    let session = running(&mut world);
    world.exec(session, "id", 0);
    let last = model::entry::Entry::parse(world.log.last().unwrap()).unwrap();
    let mut again = model::entry::Placed::parse(world.log.len() as u64, world.log.last().unwrap()).unwrap();
    assert_eq!(
        model::apply::apply(&world.state, &again).unwrap_err().code(),
        "action_unknown"
    );
    again.entry.body = Body::ActionRefused(ActionRefused {
        action: ActionId::from_bytes([1; 16]),
        class: None,
        wanted: "x".into(),
        command: None,
        code: "x".into(),
    });
    assert_eq!(
        model::apply::apply(&world.state, &again).unwrap_err().code(),
        "session_sequence"
    );
    let mut forked = again;
    forked.entry.session.as_mut().unwrap().seq = last.session.unwrap().seq + 1;
    assert_eq!(
        model::apply::apply(&world.state, &forked).unwrap_err().code(),
        "session_chain"
    );
}

#[test]
fn kills_gaps_progress_and_losses_fit_an_open_session() {
    let mut world = World::default();
    let session = running(&mut world);
    assert_eq!(
        code(world.try_body(world.kill(seed::MALLORY, session), Some(session))),
        "may_not_revoke"
    );
    world.progress(session, World::recorded(10, 2));
    let shrunk = model::body::ProgressLine {
        session,
        recorded: World::recorded(9, 2),
    };
    assert_eq!(
        code(world.try_body(Body::Progress(model::body::Progress { sessions: vec![shrunk] }), None)),
        "recording_shrank"
    );
    let gap = Gap {
        session,
        first: 10,
        next: None,
        cause: GapCause::NoSpace,
    };
    world.append_in(session, Body::Gap(gap.clone()));
    let mut killed = World::ended(EndCause::Killed, World::recorded(11, 3));
    killed.due_ms = Some(world.now_ms);
    killed.late_ms = Some(5);
    assert_eq!(
        code(world.try_body(Body::Ended(killed.clone()), Some(session))),
        "not_killed"
    );
    killed.cause = EndCause::Expired;
    killed.due_ms = None;
    assert_eq!(code(world.try_body(Body::Ended(killed), Some(session))), "due_missing");
    let lost = Lost {
        seen_ms: world.now_ms,
        recorded: World::recorded(11, 3),
    };
    world.append_in(session, Body::Lost(lost.clone()));
    assert_eq!(code(world.try_body(Body::Lost(lost), Some(session))), "session_closed");
    assert_eq!(code(world.try_body(Body::Gap(gap), Some(session))), "session_closed");
}

#[test]
fn refused_callers_are_on_record() {
    let mut world = World::default();
    let entry = world.entry_id();
    let attempt = |identity| {
        Body::AttemptRefused(AttemptRefused {
            identity,
            operation: "open".into(),
            object: commitment(entry, "object", "root+db1"),
            code: "x".into(),
        })
    };
    assert!(world.try_body(attempt(identity(seed::ALICE)), None).is_ok());
    assert_eq!(code(world.try_body(attempt(identity(99)), None)), "absent");
    let counted = RefusalsCounted {
        listener: "ssh".into(),
        from_ms: 0,
        until_ms: 60_000,
        counts: vec![],
    };
    assert!(world.try_body(Body::RefusalsCounted(counted), None).is_ok());
    let session = running(&mut world);
    assert_eq!(
        code(world.try_body(attempt(identity(seed::ALICE)), Some(session))),
        "session_unasked"
    );
    let foreign = Body::NodeStarted(NodeStarted {
        boot: BootId::from_bytes([0; 16]),
        software: "0".into(),
    });
    assert_eq!(code(world.try_body(foreign, None)), "other_boot");
}

#[test]
fn every_type_has_a_row_here_and_in_the_format() {
    let table = include_str!("../../../docs/formats/entry.md");
    for kind in Body::KINDS.iter().chain(model::body::RESERVED) {
        assert!(
            table.contains(&format!("`{kind}`")),
            "docs/formats/entry.md has no row for {kind}"
        );
    }
}
