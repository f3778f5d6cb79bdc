//! A session's life at the desk: opening, actions, progress, orders to end, certificates, what a dead node leaves behind.

use crate::world::{HOUR_MS, Place, acme, desk_over, open_store, wish};
use desk::session::{self, Doing};
use desk::watch::{self, Orders, Reason};
use desk::{Failure, certificate, open, read, stop, trust};
use model::body::{ActionEnded, Body, EndCause, Gap, GapCause, Lost, ProgressLine};
use model::bytes::Digest;
use model::chain::Session;
use model::commitment::Openings;
use model::entity::{EntityKey, SessionState, SessionStatus};
use model::entry::{BlobKind, Entry};
use model::fixture::{self, START_MS, World, identity, name, public, seed, signed};
use model::id::{GrantId, SessionId};
use model::statement::{ActionClass, Disablement, Kill, Revocation};
use ssh_key::certificate::CertType;
use std::sync::Arc;
use std::time::Duration;
use store::Committed;
use store::faults::{Failure as Fault, Point};

async fn opened(place: &Place) -> (GrantId, Committed<Session>) {
    let grant = place.granted().await;
    let session = open::open_session(&place.desk, &acme(), &place.arrival(grant))
        .await
        .unwrap();
    (grant, session)
}

async fn state(place: &Place, id: SessionId) -> SessionState {
    let key = EntityKey::session(id);
    let environment = acme();
    let gathered = place
        .desk
        .store()
        .gather(&environment, |state| state.session(&key).cloned());
    gathered.await.unwrap()
}

fn exec(command: &[u8]) -> Doing<'_> {
    Doing {
        class: ActionClass::Exec,
        command: Some(command),
        pty: false,
        channel: 0,
        frame: 1,
        offset_us: 10,
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, Failure>) -> &'static str {
    result.expect_err("this must fail").code()
}

async fn sealed(place: &Place, entry: usize, kind: BlobKind) -> Vec<u8> {
    let log = place.log().await;
    let blob = log[entry].blobs.iter().find(|blob| blob.kind == kind).unwrap();
    place
        .desk
        .store()
        .blob(&acme(), blob.sha256)
        .await
        .unwrap()
        .unwrap()
        .bytes
        .unwrap()
}

#[tokio::test]
async fn an_opening_holds_what_was_judged_and_wraps_the_key_to_the_owner() {
    let place = Place::founded().await;
    let (grant, session) = opened(&place).await;
    let at = usize::try_from(session.entries()[0].index).unwrap();
    let log = place.log().await;
    let Body::Opened(body) = &log[at].body else {
        panic!("no opening")
    };
    assert_eq!((body.grant, body.identity), (grant, identity(seed::ALICE)));
    assert_eq!(body.certificate.principal, "cs:acme:web1:root");
    assert_eq!(body.certificate.valid_after_s, START_MS / 1000 - 90);
    assert_eq!(body.certificate.valid_before_s, START_MS / 1000 + 120);
    assert_eq!(body.certificate.serial.len(), 16);
    assert_eq!(session.session().certificate, body.certificate);
    let wraps = sealed(&place, at, BlobKind::Wraps).await;
    assert_eq!(Digest::of(&wraps), body.wraps);
    let key = store::open_with(&place.owner_identity, &wraps).unwrap();
    assert_eq!(*key, [7; 32]);
    let openings = sealed(&place, at, BlobKind::Openings).await;
    let openings = store::open_with(&place.owner_identity, &openings).unwrap();
    let openings: Openings = model::json::from_slice(&openings).unwrap();
    assert_eq!(
        openings.open("client", body.client).unwrap().as_bytes(),
        b"192.0.2.7:50022"
    );
}

/// R013: each missing condition is refused with its own code, on record before the answer.
#[tokio::test]
async fn r013_what_may_not_be_opened_is_refused_on_record() {
    let place = Place::founded().await;
    let grant = place.granted().await;
    let mut arrival = place.arrival(grant);
    arrival.wanted.account = name("deploy");
    place
        .refused(
            "open",
            "account_not_granted",
            open::open_session(&place.desk, &acme(), &arrival).await,
        )
        .await;
    let mut arrival = place.arrival(grant);
    arrival.wanted.identity = identity(seed::MALLORY);
    arrival.wanted.key = public(seed::MALLORY);
    place
        .refused(
            "open",
            "other_person",
            open::open_session(&place.desk, &acme(), &arrival).await,
        )
        .await;
    let mut arrival = place.arrival(grant);
    arrival.proof = fixture::log_in(seed::MALLORY, "root", 3);
    place
        .refused(
            "open",
            "not_own_key",
            open::open_session(&place.desk, &acme(), &arrival).await,
        )
        .await;
    let arrival = place.arrival(grant);
    drop(open::open_session(&place.desk, &acme(), &arrival).await.unwrap());
    place
        .refused(
            "open",
            "proof_reused",
            open::open_session(&place.desk, &acme(), &arrival).await,
        )
        .await;
    place.pass(HOUR_MS);
    let late = open::open_session(&place.desk, &acme(), &place.arrival(grant)).await;
    place.refused("open", "grant_expired", late).await;
}

/// Whatever comes between the judgement and the commit, nothing opens after the revocation.
#[tokio::test(flavor = "multi_thread")]
async fn an_opening_never_follows_a_revocation() {
    let place = Place::founded().await;
    let olga = place.callers(seed::OLGA).await;
    for _ in 0..20 {
        let grant = place.granted().await;
        let statement = Revocation {
            grant,
            by: identity(seed::OLGA),
            at_ms: START_MS,
        };
        let revocation = signed(&[seed::OLGA], &olga[0].origin, statement);
        let arrival = place.arrival(grant);
        let environment = acme();
        let (opened, revoked) = tokio::join!(
            open::open_session(&place.desk, &environment, &arrival),
            stop::revoke(&place.desk, &olga, revocation)
        );
        let revoked = revoked.unwrap();
        match opened {
            Ok(session) => assert!(session.entries()[0].index < revoked.index),
            Err(failure) => assert_eq!(failure.code(), "grant_revoked"),
        }
    }
}

/// R034: an approval after the fact opens nothing; what was opened before it does not exist.
#[tokio::test]
async fn r034_no_session_precedes_its_approval() {
    let place = Place::founded().await;
    let request = place.ask(&wish()).await;
    let guessed = GrantId::new(START_MS, [1; 10]);
    let early = open::open_session(&place.desk, &acme(), &place.arrival(guessed)).await;
    place.refused("open", "absent", early).await;
    let grant = place.approve(seed::OLGA, request).await.grant.unwrap();
    let session = open::open_session(&place.desk, &acme(), &place.arrival(grant))
        .await
        .unwrap();
    let kinds: Vec<&str> = place.log().await.iter().map(|entry| entry.body.kind()).collect();
    let approved = kinds.iter().position(|kind| *kind == "request.approved").unwrap();
    assert!(u64::try_from(approved).unwrap() < session.entries()[0].index);
}

#[tokio::test]
async fn actions_are_entered_before_they_begin_and_after_they_end() {
    let place = Place::founded().await;
    let (_, session) = opened(&place).await;
    let id = session.session().id;
    let action = session::intend(&place.desk, &acme(), id, &exec(b"uname -a \xff"))
        .await
        .unwrap();
    let at = usize::try_from(action.entries()[0].index).unwrap();
    let openings = sealed(&place, at, BlobKind::Openings).await;
    let openings: Openings =
        model::json::from_slice(&store::open_with(&place.owner_identity, &openings).unwrap()).unwrap();
    assert_eq!(openings.fields[0].value.as_bytes(), b"uname -a \xff");
    assert_eq!(state(&place, id).await.live.len(), 1);
    let ended = ActionEnded {
        action: action.action().id,
        exit_status: Some(0),
        exit_signal: None,
        bytes_in: 0,
        bytes_out: 7,
        frame: 3,
    };
    session::end_action(&place.desk, &acme(), action.action(), ended)
        .await
        .unwrap();
    assert_eq!(state(&place, id).await.live.len(), 0);

    // R022: nothing begins after the window.
    place.pass(HOUR_MS);
    assert_eq!(
        code(session::intend(&place.desk, &acme(), id, &exec(b"ls")).await),
        "grant_expired"
    );
}

/// What is not granted, what no grant covers, and what is too long for an entry.
#[tokio::test]
async fn refused_actions_are_entered_in_their_session() {
    let place = Place::founded().await;
    let (_, session) = opened(&place).await;
    let id = session.session().id;
    let forward = Doing {
        class: ActionClass::Forward,
        ..exec(b"db1:5432")
    };
    assert_eq!(
        code(session::intend(&place.desk, &acme(), id, &forward).await),
        "action_not_granted"
    );
    session::refuse_action(&place.desk, &acme(), id, "x11-req", None, "never_forwarded")
        .await
        .unwrap();
    let long = vec![b'a'; 41 * 1024];
    assert_eq!(
        code(session::intend(&place.desk, &acme(), id, &exec(&long)).await),
        "command_too_long"
    );
    let controls = vec![7; 39 * 1024];
    assert_eq!(
        code(session::intend(&place.desk, &acme(), id, &exec(&controls)).await),
        "too_long"
    );
    let wanted = |entry: Entry| match entry.body {
        Body::ActionRefused(body) => Some((body.wanted, body.code)),
        _ => None,
    };
    let refused: Vec<_> = place.log().await.into_iter().filter_map(wanted).collect();
    let of = |wanted: &str, code: &str| (wanted.to_owned(), code.to_owned());
    assert_eq!(
        refused,
        [
            of("forward", "action_not_granted"),
            of("x11-req", "never_forwarded"),
            of("exec", "command_too_long"),
            of("exec", "too_long")
        ]
    );
    assert_eq!(state(&place, id).await.refused, 4);
}

#[tokio::test]
async fn progress_leaves_out_what_has_ended() {
    let place = Place::founded().await;
    let (grant, first) = opened(&place).await;
    let second = open::open_session(&place.desk, &acme(), &place.arrival(grant))
        .await
        .unwrap();
    let (first, second) = (first.session().id, second.session().id);
    let line = |session, frames| ProgressLine {
        session,
        recorded: World::recorded(frames, frames),
    };
    session::progress(&place.desk, &acme(), &[line(first, 1), line(second, 1)])
        .await
        .unwrap();
    session::gap(&place.desk, &acme(), first, (1, None), GapCause::NoSpace)
        .await
        .unwrap();
    let ended = World::ended(EndCause::RecorderStopped, World::recorded(1, 1));
    session::end_session(&place.desk, &acme(), first, ended).await.unwrap();
    session::progress(&place.desk, &acme(), &[line(first, 2), line(second, 2)])
        .await
        .unwrap();
    session::progress(&place.desk, &acme(), &[line(first, 3)])
        .await
        .unwrap();
    session::progress(&place.desk, &acme(), &[]).await.unwrap();
    assert_eq!(state(&place, second).await.recorded, Some(World::recorded(2, 2)));
    let first = state(&place, first).await;
    assert_eq!((first.recorded, first.gaps), (Some(World::recorded(1, 1)), 1));
    assert_eq!(first.status, SessionStatus::Ended(EndCause::RecorderStopped));
}

#[tokio::test]
async fn a_node_that_died_leaves_sessions_that_the_next_start_loses() {
    let place = Place::founded().await;
    let (_, session) = opened(&place).await;
    let id = session.session().id;
    assert_eq!(session::left_behind(&place.desk, &acme()).await.unwrap(), []);
    place.desk.store().close().await;
    let desk = desk_over(open_store(place.directory.path(), &place.clock, &place.faults, 2).await);
    session::node_started(&desk, &acme()).await.unwrap();
    let left = session::left_behind(&desk, &acme()).await.unwrap();
    assert_eq!(left.iter().map(|state| state.session).collect::<Vec<_>>(), [id]);
    let key = session.session().certificate.key.clone();
    let late = certificate::sign_certificate(&desk, &acme(), session.session(), &key).await;
    assert_eq!(code(late), "session_over");
    let lost = Lost {
        seen_ms: START_MS,
        recorded: World::recorded(5, 2),
    };
    let gap = |first, next| Gap {
        session: id,
        first,
        next,
        cause: GapCause::SyncFailed,
    };
    let gaps = vec![gap(1, Some(2)), gap(4, None)];
    session::lose(&desk, &acme(), id, gaps, lost).await.unwrap();
    let kinds: Vec<_> = place_log(&desk).await.iter().map(|entry| entry.body.kind()).collect();
    assert!(
        kinds.ends_with(&["session.gap", "session.gap", "session.lost"]),
        "{kinds:?}"
    );
    assert_eq!(session::left_behind(&desk, &acme()).await.unwrap(), []);
}

async fn place_log(desk: &desk::Desk) -> Vec<Entry> {
    let stored = desk.store().entries(&acme(), 0..u64::MAX, 1000).await.unwrap();
    stored.iter().map(|(_, bytes)| Entry::parse(bytes).unwrap()).collect()
}

/// R013: an opening whose commit went unanswered never takes effect; once the store answers, what is stored is known, and
/// can be ended on record.
#[tokio::test]
async fn an_opening_of_unknown_outcome_is_settled() {
    let place = Place::founded().await;
    let grant = place.granted().await;
    for stored in [true, false] {
        let fault = if stored { Fault::DoneWithError } else { Fault::NotDone };
        place.faults.arm(Point::Commit, fault);
        place.faults.arm(Point::LookUp, Fault::NotDone);
        let unknown = open::open_session(&place.desk, &acme(), &place.arrival(grant)).await;
        let Err(Failure::Unknown(entry)) = unknown else {
            panic!("{unknown:?}")
        };
        // It does not answer at first.
        place.faults.arm(Point::Reconnect, Fault::NotDone);
        let settled = open::settle(&place.desk, &acme(), entry).await;
        assert!(place.faults.spent());
        assert_eq!(settled.is_some(), stored);
        if let Some((id, opened)) = settled {
            assert_eq!(
                (opened.grant, state(&place, id).await.status),
                (grant, SessionStatus::Open)
            );
            let ended = World::ended(EndCause::LedgerStopped, World::recorded(0, 0));
            session::end_session(&place.desk, &acme(), id, ended).await.unwrap();
        }
    }
}

/// An intent whose commit went unanswered never begins; once the store answers, what is stored has its end.
#[tokio::test]
async fn an_intent_of_unknown_outcome_has_an_end() {
    let place = Place::founded().await;
    let (_, session) = opened(&place).await;
    let id = session.session().id;
    for stored in [true, false] {
        let fault = if stored { Fault::DoneWithError } else { Fault::NotDone };
        place.faults.arm(Point::Commit, fault);
        place.faults.arm(Point::LookUp, Fault::NotDone);
        let unknown = session::intend(&place.desk, &acme(), id, &exec(b"id")).await;
        let Err(Failure::Unknown(entry)) = unknown else {
            panic!("{unknown:?}")
        };
        // It does not answer at first.
        place.faults.arm(Point::Reconnect, Fault::NotDone);
        session::settle_intent(&place.desk, &acme(), entry).await.unwrap();
        assert!(place.faults.spent());
    }
    let log = place_log(&place.desk).await;
    let [.., opened, intended, ended] = log.as_slice() else {
        panic!("{log:?}")
    };
    assert_eq!(opened.body.kind(), "session.opened");
    let (Body::Intended(intended), Body::ActionEnded(ended)) = (&intended.body, &ended.body) else {
        panic!("{log:?}")
    };
    let never = ActionEnded {
        action: intended.action,
        exit_status: None,
        exit_signal: None,
        bytes_in: 0,
        bytes_out: 0,
        frame: intended.frame,
    };
    assert_eq!(*ended, never);
}

async fn listening(place: &Place) -> (GrantId, SessionId, Orders) {
    let (grant, session) = opened(place).await;
    let id = session.session().id;
    let orders = watch::register(&place.desk, &acme(), id).await.unwrap();
    assert_eq!(orders.now(), None);
    (grant, id, orders)
}

/// Waits for what must be told within a second.
async fn told(orders: &mut Orders) -> (Reason, EndCause, u64) {
    let order = tokio::time::timeout(Duration::from_secs(1), orders.given())
        .await
        .unwrap();
    (order.reason, order.cause(), order.due_ms)
}

/// R022: whoever takes a permission back is heard by the live session within a second, with the time it was due.
#[tokio::test(flavor = "multi_thread")]
async fn r022_live_sessions_hear_of_their_end() {
    let place = Place::founded().await;
    let following = tokio::spawn(watch::run(place.desk.clone()));
    let olga = place.callers(seed::OLGA).await;
    let origin = olga[0].origin.clone();
    let (by, at_ms) = (identity(seed::OLGA), START_MS);

    let (grant, _, mut revoked) = listening(&place).await;
    let (_, killed_id, mut killed) = listening(&place).await;
    let (_, _, mut untouched) = listening(&place).await;
    place.pass(5);
    stop::revoke(
        &place.desk,
        &olga,
        signed(&[seed::OLGA], &origin, Revocation { grant, by, at_ms }),
    )
    .await
    .unwrap();
    assert_eq!(
        told(&mut revoked).await,
        (Reason::Revoked, EndCause::Revoked, START_MS + 5)
    );
    let session = killed_id;
    let kill = signed(&[seed::OLGA], &origin, Kill { session, by, at_ms });
    stop::kill(&place.desk, &olga, kill).await.unwrap();
    assert_eq!(told(&mut killed).await.0, Reason::Killed);
    let ordered = watch::ordered(&place.desk, &acme(), killed_id).await.unwrap().unwrap();
    assert_eq!((ordered.cause(), ordered.due_ms), (EndCause::Killed, START_MS + 5));
    assert_eq!(
        code(session::intend(&place.desk, &acme(), killed_id, &exec(b"ls")).await),
        "session_over"
    );
    let nothing = tokio::time::timeout(Duration::from_millis(300), untouched.given()).await;
    assert!(nothing.is_err(), "an order for somebody else's session");
    // The first order stays.
    assert_eq!(told(&mut revoked).await.0, Reason::Revoked);
    following.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn live_sessions_hear_of_changes_of_trust() {
    let place = Place::founded().await;
    let following = tokio::spawn(watch::run(place.desk.clone()));
    let origin = place.caller(seed::OLGA).await.origin;
    let (_, _, mut untouched) = listening(&place).await;
    let mut workflow = World::default().workflow();
    workflow.window_ms_max += 1;
    trust::submit(
        &place.desk,
        Body::Workflow(signed(&[seed::OWNER_ROOT], &origin, workflow)),
    )
    .await
    .unwrap();
    assert_eq!(told(&mut untouched).await.0, Reason::PolicyChanged);
    let (_, _, mut ended) = listening(&place).await;
    let end = Disablement {
        environment: acme(),
        identity: identity(seed::ALICE),
    };
    trust::submit(
        &place.desk,
        Body::Disabled(signed(&[seed::OPERATOR_ROOT], &origin, end)),
    )
    .await
    .unwrap();
    assert_eq!(told(&mut ended).await.0, Reason::IdentityEnded);
    following.abort();
}

#[tokio::test]
async fn a_session_is_killed_by_those_who_may() {
    let place = Place::founded().await;
    let (_, session) = opened(&place).await;
    let session = session.session().id;
    let mallory = place.callers(seed::MALLORY).await;
    let foreign = Kill {
        session,
        by: identity(seed::MALLORY),
        at_ms: START_MS,
    };
    let foreign = signed(&[seed::MALLORY], &mallory[0].origin, foreign);
    let foreign = stop::kill(&place.desk, &mallory, foreign).await;
    place.refused("kill", "may_not_revoke", foreign).await;
    assert_eq!(state(&place, session).await.killed_at, None);
}

/// An order that came before the session was registered is given all the same, without anybody following.
#[tokio::test]
async fn an_order_before_registration_is_found() {
    let place = Place::founded().await;
    let (grant, session) = opened(&place).await;
    let olga = place.callers(seed::OLGA).await;
    place.pass(7);
    let statement = Revocation {
        grant,
        by: identity(seed::OLGA),
        at_ms: START_MS,
    };
    stop::revoke(&place.desk, &olga, signed(&[seed::OLGA], &olga[0].origin, statement))
        .await
        .unwrap();
    let orders = watch::register(&place.desk, &acme(), session.session().id)
        .await
        .unwrap();
    let order = orders.now().unwrap();
    assert_eq!((order.reason, order.due_ms), (Reason::Revoked, START_MS + 7));
}

#[tokio::test]
async fn a_session_has_one_certificate_exactly_as_opened() {
    let place = Place::founded().await;
    let (_, session) = opened(&place).await;
    let session = session.session();
    let key = public(77);
    let other = certificate::sign_certificate(&place.desk, &acme(), session, &public(78)).await;
    assert_eq!(code(other), "plan_differs");
    let signed = certificate::sign_certificate(&place.desk, &acme(), session, &key)
        .await
        .unwrap();
    let offer = trust::offer(&place.desk, &acme()).await.unwrap();
    let authority = offer.user_ca.parsed().unwrap().fingerprint(ssh_key::HashAlg::Sha256);
    signed.validate_at(START_MS / 1000, [&authority]).unwrap();
    assert!(signed.validate_at(START_MS / 1000 + 121, [&authority]).is_err());
    assert_eq!(signed.cert_type(), CertType::User);
    assert_eq!(signed.valid_principals(), ["cs:acme:web1:root"]);
    assert_eq!(signed.key_id(), format!("{} alice", session.id));
    assert_eq!(format!("{:016x}", signed.serial()), session.certificate.serial);
    assert_eq!(signed.public_key(), public(77).parsed().unwrap().key_data());
    let extensions: Vec<&String> = signed.extensions().keys().collect();
    assert_eq!(extensions, ["permit-pty"]);
    let again = certificate::sign_certificate(&place.desk, &acme(), session, &key).await;
    assert_eq!(code(again), "signed_twice");
}

#[tokio::test]
async fn no_certificate_for_what_is_over_or_too_late() {
    let place = Place::founded().await;
    let (grant, first) = opened(&place).await;
    let second = open::open_session(&place.desk, &acme(), &place.arrival(grant))
        .await
        .unwrap();
    let ended = World::ended(EndCause::ClientClosed, World::recorded(0, 0));
    session::end_session(&place.desk, &acme(), first.session().id, ended)
        .await
        .unwrap();
    let over = certificate::sign_certificate(&place.desk, &acme(), first.session(), &public(77)).await;
    assert_eq!(code(over), "session_over");
    place.pass(121_000);
    let late = certificate::sign_certificate(&place.desk, &acme(), second.session(), &public(77)).await;
    assert_eq!(code(late), "plan_expired");
}

#[tokio::test]
async fn the_gateway_has_a_host_certificate_for_every_name() {
    let place = Place::founded().await;
    let signed = certificate::sign_host_certificate(&place.desk, &acme(), &public(60))
        .await
        .unwrap();
    assert_eq!(signed.cert_type(), CertType::Host);
    assert_eq!(signed.valid_principals(), ["127.0.0.1", "web1", "web1.acme"]);
    let offer = trust::offer(&place.desk, &acme()).await.unwrap();
    let authority = offer
        .gateway_host_ca
        .parsed()
        .unwrap()
        .fingerprint(ssh_key::HashAlg::Sha256);
    signed.validate_at(START_MS / 1000, [&authority]).unwrap();
}

#[tokio::test]
async fn sessions_are_read_by_those_concerned() {
    let place = Place::founded().await;
    let (_, session) = opened(&place).await;
    let id = session.session().id;
    let wraps = session.entries()[0].index;
    let wraps = place.log().await[usize::try_from(wraps).unwrap()].blobs[1].sha256;
    let desk: &Arc<_> = &place.desk;
    for seed in [seed::ALICE, seed::OLGA] {
        let callers = place.callers(seed).await;
        assert_eq!(read::sessions(desk, &callers).await.unwrap().len(), 1);
        assert_eq!(read::requests(desk, &callers).await.unwrap().len(), 1);
        assert_eq!(read::session(desk, &callers, id).await.unwrap().handle, name("alice"));
        assert_eq!(read::session_entries(desk, &callers, id, 0).await.unwrap().len(), 1);
        assert!(read::blob(desk, &callers, &acme(), wraps).await.is_ok());
    }
    let mallory = place.callers(seed::MALLORY).await;
    assert!(read::sessions(desk, &mallory).await.unwrap().is_empty());
    assert!(read::requests(desk, &mallory).await.unwrap().is_empty());
    assert_eq!(code(read::session(desk, &mallory, id).await), "absent");
    assert_eq!(code(read::blob(desk, &mallory, &acme(), wraps).await), "absent");
    assert_eq!(
        place.attempts().await,
        vec![("read".to_owned(), "not_yours".to_owned()); 2]
    );
    let alice = place.callers(seed::ALICE).await;
    place
        .refused(
            "read",
            "owner_only",
            read::entries(desk, &alice, &acme(), (0, 10)).await,
        )
        .await;
    let olga = place.callers(seed::OLGA).await;
    let entries = read::entries(desk, &olga, &acme(), (1, 3)).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.index).collect::<Vec<_>>(), [1, 2, 3]);
}
