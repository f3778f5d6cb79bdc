//! Asking, deciding, taking back, founding, over a real store.

use crate::world::{HOUR_MS, MAX, Place, acme, wish};
use desk::reach::{self, Target};
use desk::{Failure, approve, read, request, stop, trust};
use model::body::{Body, RequestProof};
use model::commitment::Opening;
use model::fixture::{self, START_MS, identity, log_in, name, public, seed, signed};
use model::id::GrantId;
use model::signature::Signed;
use model::statement::{Approval, Denial, Revocation, Role, Workflow};

pub(crate) fn target(place: &str, pick: Option<&str>) -> Target {
    Target {
        account: name("root"),
        place: place.into(),
        pick: pick.map(str::to_owned),
    }
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Failure>) -> &'static str {
    result.expect_err("this must fail").code()
}

pub(crate) fn field<T: std::fmt::Debug>(result: Result<T, Failure>) -> &'static str {
    match result {
        Err(Failure::Field { field, .. }) => field,
        other => panic!("expected a field, got {other:?}"),
    }
}

fn candidates<T: std::fmt::Debug>(result: Result<T, Failure>) -> (&'static str, Vec<String>) {
    match result {
        Err(Failure::Refused { code, candidates, .. }) => (code, candidates),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// The workflow in force, changed and signed again.
async fn reset(place: &Place, change: impl FnOnce(&mut Workflow)) {
    let caller = place.caller(seed::ALICE).await;
    let mut workflow = reach::workflows(&place.desk, &caller)
        .await
        .unwrap()
        .remove(0)
        .statement;
    change(&mut workflow);
    workflow.signed_ms += 1;
    let body = Body::Workflow(signed(&[seed::OWNER_ROOT], &caller.origin, workflow));
    trust::submit(&place.desk, body).await.unwrap();
}

/// R010, R013: without the owner's approval there is no way in, and the refusal says so; with it there is.
#[tokio::test]
async fn r010_the_owners_approval_opens_the_way_and_nothing_else_does() {
    let place = Place::founded().await;
    let alice = place.callers(seed::ALICE).await;
    let to = target("web1.acme", None);
    place
        .refused("open", "no_grant", reach::resolve(&place.desk, &alice, &to).await)
        .await;
    let request = place.ask(&wish()).await;
    place
        .refused(
            "open",
            "customer_approval_missing",
            reach::resolve(&place.desk, &alice, &to).await,
        )
        .await;
    let by_operator = place.approve(MAX, request).await;
    assert_eq!(by_operator.grant, None);
    assert_eq!(by_operator.missing.unwrap().organisation, name("Acme Ltd"));
    place
        .refused(
            "open",
            "customer_approval_missing",
            reach::resolve(&place.desk, &alice, &to).await,
        )
        .await;
    let grant = place.approve(seed::OLGA, request).await.grant.unwrap();
    let found = reach::resolve(&place.desk, &alice, &to).await.unwrap();
    assert_eq!((found.environment, found.wanted.grant), (acme(), grant));
    let deploy = Target {
        account: name("deploy"),
        ..to
    };
    place
        .refused(
            "open",
            "account_not_granted",
            reach::resolve(&place.desk, &alice, &deploy).await,
        )
        .await;
}

#[tokio::test]
async fn the_grant_stands_behind_its_approval_in_one_step() {
    let place = Place::founded().await;
    let request = place.ask(&wish()).await;
    let decided = place.approve(seed::OLGA, request).await;
    let log = place.log().await;
    let at = usize::try_from(decided.index).unwrap();
    assert_eq!(log[at].id, decided.entry);
    let Body::Granted(granted) = &log[at + 1].body else {
        panic!("no grant")
    };
    assert_eq!(
        (Some(granted.grant), granted.approvals.as_slice()),
        (decided.grant, &[decided.entry][..])
    );
    assert_eq!(log[at].time_ms, log[at + 1].time_ms);
}

/// Two approvers of a rule of two decide at the same moment: both count, and there is one grant.
#[tokio::test(flavor = "multi_thread")]
async fn approvals_at_once_give_one_grant() {
    let place = Place::founded().await;
    reset(&place, |workflow| workflow.approvals[0].count = 2).await;
    for _ in 0..8 {
        let request = place.ask(&wish()).await;
        let (first, second) = (
            place.approval(seed::OLGA, request).await,
            place.approval(seed::OSCAR, request).await,
        );
        let (olga, oscar) = (place.callers(seed::OLGA).await, place.callers(seed::OSCAR).await);
        let (first, second) = tokio::join!(
            approve::submit_approval(&place.desk, &olga, first),
            approve::submit_approval(&place.desk, &oscar, second)
        );
        let grants: Vec<GrantId> = [first.unwrap(), second.unwrap()]
            .iter()
            .filter_map(|d| d.grant)
            .collect();
        assert_eq!(grants.len(), 1);
    }
}

/// R014: what the approver sees is what the log holds, and what is signed repeats it.
#[tokio::test]
async fn r014_an_approver_sees_everything() {
    let place = Place::founded().await;
    let request = place.ask(&wish()).await;
    let olga = place.callers(seed::OLGA).await;
    let (view, approval) = approve::approval_statement(&place.desk, &olga, request).await.unwrap();
    assert_eq!(view.reason.as_deref(), Some("openssl update"));
    assert_eq!(view.ticket.as_deref(), Some("CHG123"));
    let requester = (view.requester.as_str(), view.requester_organisation.as_str());
    assert_eq!(requester, ("alice", "Northwind MSP"));
    assert_eq!(model::bytes::Digest::of(view.entry.as_bytes()), view.hash);
    let repeated = (approval.request_hash, &approval.scope);
    assert_eq!(repeated, (view.hash, &view.statement.scope));
    assert_eq!(view.statement.scope.until_ms - view.statement.scope.from_ms, HOUR_MS);
}

/// Tries `signed` as `seed`; it must be refused on record and count for nothing.
async fn no_approval(place: &Place, seed: u8, signed: Signed<Approval>, code: &str) {
    let request = signed.statement.request;
    let callers = place.callers(seed).await;
    let submitted = approve::submit_approval(&place.desk, &callers, signed).await;
    place.refused("approve", code, submitted).await;
    let view = approve::view(&place.desk, &callers, request).await.unwrap();
    assert!(view.approvals.is_empty() && view.missing.is_some());
}

/// R038: nobody decides their own request, also not with a second key and the role to approve.
#[tokio::test]
async fn r038_a_requester_never_approves() {
    let place = Place::founded().await;
    let request = place.ask(&wish()).await;
    let approval = place.approval(seed::OLGA, request).await.statement;
    let origin = place.caller(seed::OLGA).await.origin;
    let roles = vec![Role::Request, Role::Approve];
    let mut both = fixture::World::default().enrolment(seed::ALICE, "alice", "Northwind MSP", roles);
    both.keys.push(public(50));
    let both = Body::Enrolled(signed(&[seed::OPERATOR_ROOT], &origin, both));
    trust::submit(&place.desk, both).await.unwrap();
    for key in [seed::ALICE, 50] {
        let callers = place.callers(key).await;
        let shown = approve::approval_statement(&place.desk, &callers, request).await;
        place.refused("approve", "own_request", shown).await;
        let mut own = approval.clone();
        own.approver = identity(seed::ALICE);
        no_approval(&place, key, signed(&[key], &origin, own), "own_request").await;
    }
}

#[tokio::test]
async fn an_approval_is_the_approvers_own_and_word_for_word() {
    let place = Place::founded().await;
    let request = place.ask(&wish()).await;
    let approval = place.approval(seed::OLGA, request).await.statement;
    let origin = place.caller(seed::OLGA).await.origin;
    let by = |seed: u8, statement: &Approval| signed(&[seed], &origin, statement.clone());
    no_approval(&place, seed::ALICE, by(seed::ALICE, &approval), "other_person").await;
    no_approval(&place, seed::OLGA, by(seed::ALICE, &approval), "not_own_key").await;
    let mut wider = approval.clone();
    wider.scope.until_ms += 1;
    no_approval(&place, seed::OLGA, by(seed::OLGA, &wider), "scope_differs").await;
    let mut edited = by(seed::OLGA, &approval);
    edited.statement.at_ms += 1;
    no_approval(&place, seed::OLGA, edited, "bad_signature").await;
    let bob = place.callers(seed::BOB).await;
    let shown = approve::approval_statement(&place.desk, &bob, request).await;
    place.refused("approve", "may_not_approve", shown).await;
}

#[tokio::test]
async fn an_erased_reason_is_not_shown_and_breaks_nothing() {
    let place = Place::founded().await;
    let request = place.ask(&wish()).await;
    let olga = place.callers(seed::OLGA).await;
    let view = approve::view(&place.desk, &olga, request).await.unwrap();
    let entry = &place.log().await[usize::try_from(view.index).unwrap()];
    let erased = place
        .desk
        .store()
        .delete_blob(&acme(), entry.blobs[0].sha256)
        .await
        .unwrap();
    assert_eq!(erased, 1);
    let view = approve::view(&place.desk, &olga, request).await.unwrap();
    assert_eq!((view.reason, view.ticket, view.openings), (None, None, None));
    assert!(place.approve(seed::OLGA, request).await.grant.is_some());
}

#[tokio::test]
async fn a_request_is_seen_by_those_concerned() {
    let place = Place::founded().await;
    let request = place.ask(&wish()).await;
    for seed in [seed::ALICE, seed::OLGA, seed::BOB, MAX] {
        let callers = place.callers(seed).await;
        assert_eq!(read::requests(&place.desk, &callers).await.unwrap().len(), 1);
        assert!(
            approve::view(&place.desk, &place.callers(seed).await, request)
                .await
                .is_ok()
        );
    }
    let mallory = place.callers(seed::MALLORY).await;
    assert_eq!(code(approve::view(&place.desk, &mallory, request).await), "absent");
    assert_eq!(place.attempts().await.pop(), Some(("read".into(), "not_yours".into())));
    let unknown = model::id::RequestId::new(START_MS, [1; 10]);
    assert_eq!(code(approve::view(&place.desk, &mallory, unknown).await), "absent");
}

#[tokio::test]
async fn a_denial_ends_a_request() {
    let place = Place::founded().await;
    let request = place.ask(&wish()).await;
    let approval = place.approval(seed::OLGA, request).await;
    let denial = |by: u8| Denial {
        request,
        request_hash: approval.statement.request_hash,
        approver: identity(by),
        at_ms: START_MS,
    };
    let origin = place.caller(seed::OLGA).await.origin;
    let alice = place.callers(seed::ALICE).await;
    let own = signed(&[seed::ALICE], &origin, denial(seed::ALICE));
    place
        .refused(
            "deny",
            "may_not_approve",
            approve::submit_denial(&place.desk, &alice, own).await,
        )
        .await;
    let olga = place.callers(seed::OLGA).await;
    let no = signed(&[seed::OLGA], &origin, denial(seed::OLGA));
    approve::submit_denial(&place.desk, &olga, no).await.unwrap();
    let late = approve::submit_approval(&place.desk, &olga, approval).await;
    place.refused("approve", "request_closed", late).await;
    let to = target("web1", None);
    place
        .refused("open", "request_denied", reach::resolve(&place.desk, &alice, &to).await)
        .await;
}

type Change = fn(&mut request::Wish);

/// R014: a request that lacks something names it.
#[tokio::test]
async fn r014_a_wish_names_what_it_lacks() {
    let place = Place::founded().await;
    let alice = place.callers(seed::ALICE).await;
    let cases: [(&str, Change); 8] = [
        ("reason", |w| w.reason = None),
        ("reason", |w| w.reason = Some(" \n ".into())),
        ("reason", |w| w.reason = Some("x".repeat(5000))),
        ("resources", |w| w.resources.clear()),
        ("accounts", |w| w.accounts.clear()),
        ("length_ms", |w| w.length_ms = Some(0)),
        ("length_ms", |w| w.length_ms = Some(9 * HOUR_MS)),
        ("workflow", |w| w.workflow = Some(name("cooking"))),
    ];
    for (wanted, change) in cases {
        let mut wish = wish();
        change(&mut wish);
        assert_eq!(field(request::prepare(&place.desk, &alice, &wish).await), wanted);
    }
    let mut elsewhere = wish();
    elsewhere.environment = Some(name("globex"));
    assert_eq!(
        field(request::prepare(&place.desk, &alice, &elsewhere).await),
        "environment"
    );
    let olga = place.callers(seed::OLGA).await;
    assert_eq!(
        candidates(request::prepare(&place.desk, &olga, &wish()).await),
        ("resource_unknown", vec![])
    );
    reset(&place, |workflow| workflow.purposes.push(name("audits"))).await;
    assert_eq!(field(request::prepare(&place.desk, &alice, &wish()).await), "purpose");
    let mut accounts = wish();
    accounts.accounts.push(name("oracle"));
    let refused = request::prepare(&place.desk, &alice, &accounts).await;
    assert_eq!(candidates(refused), ("no_workflow", vec!["patching".into()]));
}

#[tokio::test]
async fn a_selector_becomes_an_explicit_list() {
    let place = Place::founded().await;
    let origin = place.caller(seed::BOB).await.origin;
    for host in ["web2", "db1"] {
        let mut resource = fixture::World::default().resource();
        resource.name = name(host);
        resource.host = format!("10.0.0.{}", host.len());
        trust::submit(
            &place.desk,
            Body::Resource(signed(&[seed::OWNER_ROOT], &origin, resource)),
        )
        .await
        .unwrap();
    }
    reset(&place, |w| w.resources = vec![name("db1"), name("web1"), name("web2")]).await;
    let alice = place.callers(seed::ALICE).await;
    let mut all = wish();
    all.resources = vec!["web*".into(), "web1".into()];
    let prepared = request::prepare(&place.desk, &alice, &all).await.unwrap();
    assert_eq!(prepared.statement.scope.resources, [name("web1"), name("web2")]);
    all.resources = vec!["10.0.0.3".into()];
    let prepared = request::prepare(&place.desk, &alice, &all).await.unwrap();
    assert_eq!(prepared.statement.scope.resources, [name("db1")]);
    all.resources = vec!["10.0.0.9".into()];
    let unknown = candidates(request::prepare(&place.desk, &alice, &all).await);
    assert_eq!(unknown.0, "resource_unknown");
    assert_eq!(unknown.1.len(), 3);
}

#[tokio::test]
async fn a_request_is_the_callers_own_and_opens_what_it_commits_to() {
    let place = Place::founded().await;
    let alice = place.callers(seed::ALICE).await;
    let prepared = request::prepare(&place.desk, &alice, &wish()).await.unwrap();
    let statement = prepared.statement.clone();
    let by = |seed| RequestProof::Signature(fixture::signature(seed, &prepared.origin, &statement));
    let mallory = place.caller(seed::MALLORY).await;
    let openings = &prepared.openings;
    let foreign = request::submit(&place.desk, &mallory, statement.clone(), by(seed::ALICE), openings).await;
    place.refused("request", "other_person", foreign).await;
    let forged = request::submit(&place.desk, &alice[0], statement.clone(), by(seed::MALLORY), openings).await;
    place.refused("request", "not_own_key", forged).await;
    let mut other = openings.clone();
    other.fields[0] = Opening::new("reason", [1; 32], b"another reason");
    let hidden = request::submit(&place.desk, &alice[0], statement.clone(), by(seed::ALICE), &other).await;
    assert_eq!(field(hidden), "openings");
    let mut more = openings.clone();
    more.fields.push(Opening::new("x", [1; 32], b"x"));
    let more = request::submit(&place.desk, &alice[0], statement.clone(), by(seed::ALICE), &more).await;
    assert_eq!(field(more), "openings");
    // Typed over SSH, the log-in is the proof.
    let typed = RequestProof::LogIn(log_in(seed::ALICE, "alice", 9));
    request::submit(&place.desk, &alice[0], statement.clone(), typed, openings)
        .await
        .unwrap();
    let again = request::submit(&place.desk, &alice[0], statement.clone(), by(seed::ALICE), openings).await;
    assert!(again.is_err());
}

#[tokio::test]
async fn names_mean_one_thing_or_are_refused_with_the_list() {
    let place = Place::founded().await;
    let grant = place.granted().await;
    let alice = place.callers(seed::ALICE).await;
    for typed in ["web1.acme", "web1", "127.0.0.1", "WEB1.acme"] {
        let found = reach::resolve(&place.desk, &alice, &target(typed, None)).await.unwrap();
        assert_eq!(found.wanted.grant, grant, "{typed}");
    }
    let unknown = reach::resolve(&place.desk, &alice, &target("web9", None)).await;
    assert_eq!(candidates(unknown), ("resource_unknown", vec!["web1.acme".into()]));
    assert_eq!(place.attempts().await.pop().unwrap().1, "resource_unknown");

    // Another environment has a `web1` at the same address.
    place.found("globex").await;
    let alice = place.callers(seed::ALICE).await;
    assert_eq!(alice.len(), 2);
    for typed in ["web1", "127.0.0.1"] {
        let several = reach::resolve(&place.desk, &alice, &target(typed, None)).await;
        assert_eq!(
            candidates(several),
            ("name_not_unique", vec!["web1.acme".into(), "web1.globex".into()])
        );
    }
    assert!(
        reach::resolve(&place.desk, &alice, &target("web1.acme", None))
            .await
            .is_ok()
    );
    let other = reach::resolve(&place.desk, &alice, &target("web1.globex", None)).await;
    assert_eq!(code(other), "no_grant");
    let both = request::Wish {
        resources: vec!["web1.acme".into(), "web1.globex".into()],
        ..wish()
    };
    assert_eq!(field(request::prepare(&place.desk, &alice, &both).await), "resources");
}

#[tokio::test]
async fn of_several_grants_one_is_named() {
    let place = Place::founded().await;
    place.granted().await;
    let mut second = wish();
    second.ticket = Some("CHG 456".into());
    let request = place.ask(&second).await;
    let grant = place.approve(seed::OLGA, request).await.grant.unwrap();
    let alice = place.callers(seed::ALICE).await;
    let (code, list) = candidates(reach::resolve(&place.desk, &alice, &target("web1", None)).await);
    assert_eq!((code, list.len()), ("several_grants", 2));
    assert!(list.contains(&request.to_string()));
    for pick in [request.to_string(), grant.to_string(), "CHG 456".into()] {
        let found = reach::resolve(&place.desk, &alice, &target("web1", Some(&pick)))
            .await
            .unwrap();
        assert_eq!(found.wanted.grant, grant, "{pick}");
    }
    place
        .refused(
            "open",
            "no_grant",
            reach::resolve(&place.desk, &alice, &target("web1", Some("CHG9"))).await,
        )
        .await;
}

#[tokio::test]
async fn a_grant_that_ended_says_how() {
    let place = Place::founded().await;
    let alice = place.callers(seed::ALICE).await;
    let to = target("web1", None);
    let grant = place.granted().await;
    let ls = reach::ls(&place.desk, &alice).await.unwrap();
    assert_eq!(
        (ls[0].places.len(), ls[0].grants.len(), ls[0].requests.len()),
        (1, 1, 0)
    );
    assert_eq!(ls[0].places[0].accounts, [name("root"), name("deploy")]);
    // Revoked, by those who may.
    let origin = alice[0].origin.clone();
    let revocation = |by: u8, signer: u8| {
        let by = identity(by);
        signed(
            &[signer],
            &origin,
            Revocation {
                grant,
                by,
                at_ms: START_MS,
            },
        )
    };
    let mallory = place.callers(seed::MALLORY).await;
    let foreign = stop::revoke(&place.desk, &mallory, revocation(seed::MALLORY, seed::MALLORY)).await;
    place.refused("revoke", "may_not_revoke", foreign).await;
    let olga = place.callers(seed::OLGA).await;
    stop::revoke(&place.desk, &olga, revocation(seed::OLGA, seed::OLGA))
        .await
        .unwrap();
    place
        .refused("open", "grant_revoked", reach::resolve(&place.desk, &alice, &to).await)
        .await;
    let again = stop::revoke(&place.desk, &olga, revocation(seed::OLGA, seed::OLGA)).await;
    place.refused("revoke", "revoked_twice", again).await;
    // Another, whose workflow changes; another, whose window ends.
    place.granted().await;
    reset(&place, |workflow| workflow.window_ms_max = HOUR_MS / 2).await;
    place
        .refused("open", "policy_changed", reach::resolve(&place.desk, &alice, &to).await)
        .await;
    let request = place.ask(&wish()).await;
    place
        .refused(
            "open",
            "customer_approval_missing",
            reach::resolve(&place.desk, &alice, &to).await,
        )
        .await;
    place.approve(seed::OLGA, request).await;
    assert!(reach::resolve(&place.desk, &alice, &to).await.is_ok());
    place.pass(HOUR_MS / 2);
    place
        .refused("open", "grant_expired", reach::resolve(&place.desk, &alice, &to).await)
        .await;
    let ls = reach::ls(&place.desk, &alice).await.unwrap();
    assert!(
        ls[0]
            .grants
            .iter()
            .all(|grant| grant.scope.until_ms > place.desk.now_ms())
    );
}
