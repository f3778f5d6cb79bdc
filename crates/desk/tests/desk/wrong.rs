//! Wrong certificates, with which a session finds out whether its target refuses them.

use crate::world::{Place, acme};
use desk::certificate::{self, Wrong};
use desk::session::{self, Doing};
use desk::{Failure, open, trust};
use model::body::EndCause;
use model::fixture::{START_MS, World, public};
use model::id::ActionId;
use model::name::ResourceName;
use model::statement::ActionClass;

fn code<T: std::fmt::Debug>(result: Result<T, Failure>) -> &'static str {
    result.expect_err("this must fail").code()
}

fn doing(class: ActionClass) -> Doing<'static> {
    Doing {
        class,
        command: Some(b"countersign probe"),
        pty: false,
        channel: 0,
        frame: 1,
        offset_us: 10,
    }
}

/// Of each wrong certificate one, for an action that is on record, and none that a rightly set-up target accepts.
#[tokio::test]
async fn a_wrong_certificate_is_worthless_and_signed_once() {
    let place = Place::founded().await;
    let grant = place.granted().await;
    let session = open::open_session(&place.desk, &acme(), &place.arrival(grant))
        .await
        .unwrap();
    let session = session.session();
    let (key, other) = (public(77), public(78));
    let sign = async |action, key, wrong| {
        certificate::sign_wrong(&place.desk, &acme(), session.id, action, (key, wrong)).await
    };
    let nobody = ActionId::new(START_MS, [1; 10]);
    assert_eq!(code(sign(nobody, &key, Wrong::Expired).await), "not_intended");
    let (probe, shell) = (doing(ActionClass::Exec), doing(ActionClass::Shell));
    let shell = session::intend(&place.desk, &acme(), session.id, &shell).await.unwrap();
    assert_eq!(
        code(sign(shell.action().id, &key, Wrong::Expired).await),
        "not_intended"
    );
    let probe = session::intend(&place.desk, &acme(), session.id, &probe).await.unwrap();
    let action = probe.action().id;
    assert_eq!(code(sign(action, &other, Wrong::Expired).await), "plan_differs");
    let offer = trust::offer(&place.desk, &acme()).await.unwrap();
    let authority = offer.user_ca.parsed().unwrap().fingerprint(ssh_key::HashAlg::Sha256);
    for wrong in [Wrong::OtherHost, Wrong::Expired, Wrong::OtherSource] {
        let signed = sign(action, &key, wrong).await.unwrap();
        assert_eq!(
            signed.validate_at(START_MS / 1000, [&authority]).is_ok(),
            wrong != Wrong::Expired
        );
        assert_eq!(
            signed.validate_at(START_MS / 1000 - 3700, [&authority]).is_ok(),
            wrong == Wrong::Expired
        );
        let own = ["cs:acme:web1:root"];
        assert_eq!(signed.valid_principals() == own, wrong != Wrong::OtherHost);
        let source = signed.critical_options().get("source-address");
        assert_eq!(
            source.is_some_and(|source| source == "192.0.2.1/32"),
            wrong == Wrong::OtherSource
        );
        assert_eq!(signed.critical_options().get("force-command").unwrap(), "exit 1");
        assert!(signed.extensions().is_empty());
        assert_eq!(signed.public_key(), key.parsed().unwrap().key_data());
        assert_eq!(signed.key_id(), format!("{} alice probe", session.id));
        assert_eq!(code(sign(action, &key, wrong).await), "signed_twice");
    }
    "ANOTHER-HOST".parse::<ResourceName>().unwrap_err();
    // The session's own is still to be had; what is over is over for these too.
    certificate::sign_certificate(&place.desk, &acme(), session, &key)
        .await
        .unwrap();
    place.pass(121_000);
    assert_eq!(code(sign(action, &key, Wrong::Expired).await), "plan_expired");
    let ended = World::ended(EndCause::ClientClosed, World::recorded(0, 0));
    session::end_session(&place.desk, &acme(), session.id, ended)
        .await
        .unwrap();
    assert_eq!(code(sign(action, &key, Wrong::Expired).await), "session_over");
}

/// One for another time and any address is bound to telling both: it ends with the opening's, or a day later.
#[tokio::test]
async fn a_certificate_for_another_time_can_only_tell() {
    let place = Place::founded().await;
    let grant = place.granted().await;
    let session = open::open_session(&place.desk, &acme(), &place.arrival(grant))
        .await
        .unwrap();
    let (id, key) = (session.session().id, public(77));
    let probe = doing(ActionClass::Exec);
    let probe = session::intend(&place.desk, &acme(), id, &probe).await.unwrap();
    let action = probe.action().id;
    let sign = async |wrong| certificate::sign_wrong(&place.desk, &acme(), id, action, (&key, wrong)).await;
    let offer = trust::offer(&place.desk, &acme()).await.unwrap();
    let authority = offer.user_ca.parsed().unwrap().fingerprint(ssh_key::HashAlg::Sha256);
    for (wrong, from_s, to_s) in [
        (Wrong::Earlier, 0, START_MS / 1000 + 119),
        (Wrong::Later, START_MS / 1000, START_MS / 1000 + 24 * 3600 + 119),
    ] {
        let signed = sign(wrong).await.unwrap();
        for (at_s, valid) in [(from_s, true), (to_s, true), (to_s + 1, false)] {
            assert_eq!(
                signed.validate_at(at_s, [&authority]).is_ok(),
                valid,
                "{wrong:?} {at_s}"
            );
        }
        assert_eq!(signed.valid_principals(), ["cs:acme:web1:root"]);
        assert_eq!(signed.critical_options().get("source-address"), None);
        let runs = signed.critical_options().get("force-command").unwrap();
        assert!(runs.contains("date +%s") && !runs.contains(&id.to_string()), "{runs}");
        assert!(signed.extensions().is_empty() && signed.key_id() == format!("{} alice probe", id));
        assert_eq!(code(sign(wrong).await), "signed_twice");
    }
}
