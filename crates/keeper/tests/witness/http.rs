//! `add-checkpoint` over real HTTP: exact status codes, and bounds on what strangers hold open.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keeper::witness::{Limits, serve};
use ledger::note::NoteSignature;
use ledger::policy::Quorum;
use ledger::submission::SUBMISSION_BYTES_MAX;
use ledger::{Hash, Policy};
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::log::{Home, Log};

async fn start(home: &Home, limits: Limits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Arc::new(home.open()), limits, pending()));
    address
}

struct Answer {
    status: StatusCode,
    content_type: String,
    body: String,
}

async fn submit(address: SocketAddr, body: String) -> Answer {
    let url = format!("http://{address}/add-checkpoint");
    let response = reqwest::Client::new().post(url).body(body).send().await.unwrap();
    let content_type = response
        .headers()
        .get("content-type")
        .map(|value| value.to_str().unwrap().to_owned());
    Answer {
        status: response.status(),
        content_type: content_type.unwrap_or_default(),
        body: response.text().await.unwrap(),
    }
}

#[tokio::test]
async fn status_codes_are_those_of_the_specification() {
    let log = Log::new("log.example/acme", "a");
    let home = Home::new(&log);
    let address = start(&home, Limits::default()).await;
    let status = async |body: String| submit(address, body).await.status;

    let unknown = Log::new("log.example/other", "a");
    assert_eq!(status(unknown.submission(0, 5)).await, StatusCode::NOT_FOUND);
    // Signed by a key of the right name that the witness does not know.
    let impostor = ledger::NoteKey::from_seed(log.key.verifier().name().clone(), &[9; 32]);
    let forged = format!("old 0\n\n{}", log.signed_by(5, &impostor));
    assert_eq!(status(forged).await, StatusCode::FORBIDDEN);
    // The known key's line under another text.
    let changed = log.submission(0, 5).replacen("\n5\n", "\n6\n", 1);
    assert_eq!(status(changed).await, StatusCode::FORBIDDEN);

    for malformed in [
        String::new(),
        "old 0\n".into(),
        log.submission(0, 5).replacen("old 0", "old 00", 1),
        log.submission(0, 5).replacen("old 0", "old 6", 1),
        log.submission(0, 5).replacen("old 0\n", "old 0\nnot a hash\n", 1),
        log.submission(0, 5).replacen(
            "old 0\n",
            &format!("old 0\n{}", format!("{}\n", Hash::EMPTY_ROOT).repeat(64)),
            1,
        ),
        log.submission(0, 5).replacen("=\n\n", "=\nextension line\n\n", 1),
    ] {
        assert_eq!(status(malformed.clone()).await, StatusCode::BAD_REQUEST, "{malformed}");
    }
    assert_eq!(
        status("a".repeat(SUBMISSION_BYTES_MAX + 1)).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );

    // From nothing, a proof that is not empty does not verify.
    let with_proof = log
        .submission(0, 5)
        .replacen("old 0\n", &format!("old 0\n{}\n", Hash::EMPTY_ROOT), 1);
    assert_eq!(status(with_proof).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(status(log.submission(0, 5)).await, StatusCode::OK);

    let conflict = submit(address, log.submission(0, 7)).await;
    assert_eq!(
        (conflict.status, conflict.content_type.as_str(), conflict.body.as_str()),
        (StatusCode::CONFLICT, "text/x.tlog.size", "5\n")
    );
    let wrong_proof = log
        .submission(5, 7)
        .replacen("old 5\n", &format!("old 5\n{}\n", Hash::EMPTY_ROOT), 1);
    assert_eq!(status(wrong_proof).await, StatusCode::UNPROCESSABLE_ENTITY);
    let fork = submit(address, Log::new("log.example/acme", "b").submission(5, 5)).await;
    assert_eq!((fork.status, fork.body.as_str()), (StatusCode::CONFLICT, "5\n"));
    assert_eq!(status(log.submission(5, 7)).await, StatusCode::OK);

    let url = |path: &str| format!("http://{address}/{path}");
    assert_eq!(
        reqwest::get(url("add-checkpoint")).await.unwrap().status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(
        reqwest::get(url("nothing")).await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn the_answer_makes_a_cosigned_checkpoint() {
    let log = Log::new("log.example/acme", "a");
    let home = Home::new(&log);
    let address = start(&home, Limits::default()).await;
    let policy = format!(
        "log {}\nwitness w {}\nquorum w\n",
        log.key.verifier(),
        home.key.verifier()
    );
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    for (old, size) in [(0, 0), (0, 5), (5, 5), (5, 300), (300, 600)] {
        let answer = submit(address, log.submission(old, size)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let mut signed = log.signed(size);
        assert_eq!(policy.evaluate(&signed).unwrap().quorum, Quorum::Unmet);
        NoteSignature::parse_lines(&answer.body)
            .unwrap()
            .into_iter()
            .for_each(|line| signed.add(line).unwrap());
        assert_eq!(
            policy.evaluate(&signed).unwrap().quorum,
            Quorum::Met { by: 1_700_000_000 }
        );
    }
}

#[tokio::test]
async fn people_can_read_who_it_is() {
    let log = Log::new("log.example/acme", "a");
    let home = Home::new(&log);
    let address = start(&home, Limits::default()).await;
    let get = async |path: &str| {
        reqwest::get(format!("http://{address}{path}"))
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    assert_eq!(get("/vkey").await, format!("{}\n", home.key.verifier()));
    assert!(get("/").await.contains("log.example/acme: nothing cosigned yet"));
    submit(address, log.submission(0, 5)).await;
    let page = get("/").await;
    assert!(
        page.contains(&format!("log.example/acme: 5 entries, root {}", log.head(5).root)),
        "{page}"
    );
    assert!(page.contains(&home.key.verifier().to_string()));
}

const SHORT: Limits = Limits {
    connections: 4,
    header: Duration::from_millis(300),
    body: Duration::from_millis(300),
};

/// Bytes that the server sends until it closes.
async fn until_closed(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let closed = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    closed
        .expect("the server keeps the connection open")
        .unwrap_or_default();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn slow_and_silent_clients_are_closed() {
    let log = Log::new("log.example/acme", "a");
    let home = Home::new(&log);
    let address = start(&home, SHORT).await;
    for begun in [
        "",
        "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n",
        "GET /vkey HTTP/1.1\r\nHost: w\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        until_closed(stream).await;
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 100\r\n\r\nold")
        .await
        .unwrap();
    assert!(until_closed(stream).await.starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn half_open_connections_do_not_keep_others_out() {
    let log = Log::new("log.example/acme", "a");
    let home = Home::new(&log);
    let address = start(&home, SHORT).await;
    let mut idle = Vec::new();
    // The kernel's queue of connections to be accepted holds 128.
    for _ in 0..100 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    drop(idle.split_off(4));
    let answer = timeout(Duration::from_secs(10), submit(address, log.submission(0, 5))).await;
    assert_eq!(
        answer.expect("the witness is kept busy by idle connections").status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_frees_the_folder() {
    let log = Log::new("log.example/acme", "a");
    let home = Home::new(&log);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, Arc::new(home.open()), Limits::default(), async {
        stopped.await.unwrap_or_default();
    }));
    let idle = TcpStream::connect(address).await.unwrap();
    assert_eq!(submit(address, log.submission(0, 5)).await.status, StatusCode::OK);
    stop.send(()).unwrap();
    timeout(Duration::from_secs(10), server)
        .await
        .expect("the server does not stop")
        .unwrap()
        .unwrap();
    until_closed(idle).await;
    assert_eq!(home.open().latest()[0].1, Some(log.head(5)));
}
