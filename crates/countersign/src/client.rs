//! The client of the server's API. It signs in with the person's key when a call needs it; the token lives as long as
//! the command does and is never written down.
//!
//! INVARIANT (no borrowed challenge): a challenge is signed only if it names the server that was called and says what it
//! is, so a server cannot have its challenge for another one signed.

use crate::agent::SigningKey;
use crate::config::Person;
use crate::exit::Failure;
use crate::trust::{Offer, TrustBody};
use api::{CHALLENGE_DOMAIN, Challenge};
use desk::trust::ALREADY_ENTERED;
use model::id::SessionId;
use model::json;
use model::name::EnvironmentName;
use model::signature::Namespace;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest answer that is read whole.
const ANSWER_LENGTH_MAX: usize = 64 * 1024 * 1024;
/// The longest line of plain text that is passed on to whoever called.
const LINE_LENGTH_MAX: usize = 200;
const TIMEOUT: Duration = Duration::from_secs(60);

/// A server, and who calls it.
pub(crate) struct Api {
    server: String,
    http: reqwest::Client,
    token: Option<String>,
}

/// How the server says no.
#[derive(Debug, Deserialize)]
struct Problem {
    code: String,
    because: String,
    #[serde(default)]
    field: Option<String>,
    #[serde(default)]
    candidates: Vec<String>,
}

/// What was put on record.
#[derive(Debug, Deserialize)]
pub(crate) struct Entered {
    pub(crate) index: u64,
}

/// An entry at its place, as the server gives it.
#[derive(Debug, Deserialize)]
pub(crate) struct StoredEntry {
    pub(crate) index: u64,
    pub(crate) entry: String,
}

#[derive(Deserialize)]
struct Page {
    entries: Vec<StoredEntry>,
}

impl Api {
    /// Without signing in: for what carries its own authority.
    pub(crate) fn open(server: &str) -> Result<Self, Failure> {
        check_way(server)?;
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .no_proxy()
            .build()
            .map_err(|error| Failure::unavailable(format!("no HTTP client: {error}")))?;
        Ok(Self {
            server: server.to_owned(),
            http,
            token: None,
        })
    }

    /// Signed in with the person's key.
    pub(crate) async fn sign_in(person: &Person) -> Result<(Self, SigningKey), Failure> {
        #[derive(Deserialize)]
        struct Challenged {
            challenge: String,
        }
        #[derive(Serialize)]
        struct Answered<'a> {
            challenge: &'a str,
            signature: String,
        }
        #[derive(Deserialize)]
        struct Token {
            token: String,
        }
        let mut api = Self::open(&person.server)?;
        let key = person.key()?;
        let called = serde_json::json!({ "origin": person.server });
        let challenged: Challenged = api.post("/v1/sign-in/challenge", &called).await?;
        check_challenge(&person.server, &challenged.challenge)?;
        let signature = key.sign(Namespace::SignIn, challenged.challenge.as_bytes())?;
        let answered = Answered {
            challenge: &challenged.challenge,
            signature: signature.to_pem().map_err(Failure::unavailable)?,
        };
        let token: Token = api.post("/v1/sign-in", &answered).await.map_err(|failure| {
            failure.next(format!(
                "is {} enrolled here? name another key with --key, or ask your organisation to enrol this one",
                key.public().fingerprint()
            ))
        })?;
        api.token = Some(token.token);
        Ok((api, key))
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.read(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.read(self.request(Method::POST, path).json(body)).await
    }

    /// Entries of an environment from an index on.
    pub(crate) async fn entries(
        &self,
        environment: &EnvironmentName,
        (from, count): (u64, u64),
    ) -> Result<Vec<StoredEntry>, Failure> {
        let page: Page = self
            .get(&format!(
                "/v1/environments/{environment}/entries?from={from}&count={count}"
            ))
            .await?;
        Ok(page.entries)
    }

    /// All entries of a session.
    pub(crate) async fn session_entries(&self, session: SessionId) -> Result<Vec<StoredEntry>, Failure> {
        let mut all: Vec<StoredEntry> = vec![];
        loop {
            let from = all.last().map_or(0, |last| last.index.saturating_add(1));
            let page: Page = self.get(&format!("/v1/sessions/{session}/entries?from={from}")).await?;
            if page.entries.is_empty() {
                return Ok(all);
            }
            all.extend(page.entries);
        }
    }

    /// An answer that is not JSON.
    pub(crate) async fn bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let answer = self.send(self.request(Method::GET, path)).await?;
        self.whole(answer).await
    }

    /// An answer that is read in pieces, and how long it may take.
    pub(crate) async fn stream(&self, path: &str) -> Result<Response, Failure> {
        let request = self.request(Method::GET, path).timeout(Duration::from_secs(24 * 3600));
        self.send(request).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.server));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let answer = self.send(request).await?;
        let bytes = self.whole(answer).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::unavailable(format!("`{}` gave an answer that cannot be read: {error}", self.server))
                .next("is that a countersign server, and of this version?")
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let answer = request.send().await.map_err(|error| self.broken(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let bytes = self.whole(answer).await?;
        Err(match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => refused(status, problem),
            Err(_) => plain(&self.server, status, &bytes),
        })
    }

    async fn whole(&self, mut answer: Response) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| self.broken(&error))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > ANSWER_LENGTH_MAX {
                return Err(Failure::unavailable(format!(
                    "`{}` gave an endless answer",
                    self.server
                )));
            }
        }
        Ok(bytes)
    }

    fn broken(&self, error: &reqwest::Error) -> Failure {
        let why = if error.is_connect() {
            "nobody answers there".to_owned()
        } else if error.is_timeout() {
            "it takes too long".to_owned()
        } else {
            format!("{error}")
        };
        Failure::unavailable(format!("`{}`: {why}", self.server))
            .next("is the server running? its API listens on its own machine only: ssh -L 7878:127.0.0.1:7878 SERVER")
    }
}

/// What is sent is secret, and this client speaks plain HTTP: its server is on this machine, or forwarded to it.
fn check_way(server: &str) -> Result<(), Failure> {
    let url: reqwest::Url = server.parse().map_err(Failure::usage)?;
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    if url.scheme() == "http" && is_here {
        return Ok(());
    }
    let port = url.port().unwrap_or(7878);
    let why = match url.scheme() {
        "http" => "plain HTTP would cross a network in the clear",
        _ => "this client does not speak TLS",
    };
    Err(Failure::usage(format!("`{server}`: {why}")).next(format!(
        "forward it: ssh -L {port}:127.0.0.1:{port} {host}, then --server http://127.0.0.1:{port}"
    )))
}

fn refused(status: StatusCode, problem: Problem) -> Failure {
    let because = match &problem.field {
        Some(field) => {
            let because = problem.because.trim_start_matches(&format!("{field}: "));
            format!("{}: {because}", if field == "length_ms" { "--for" } else { field })
        }
        None => problem.because,
    };
    let failure = match status {
        StatusCode::NOT_FOUND => Failure::absent(because),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => Failure::unavailable(because),
        _ => Failure::refused(format!("{because} ({})", problem.code)),
    };
    let failure = failure.under(problem.code);
    if problem.candidates.is_empty() {
        failure
    } else {
        failure.next(format!("one of: {}", problem.candidates.join(", ")))
    }
}

/// How a log says no, in one line of plain text; whoever says more, or nothing, is hardly one.
fn plain(server: &str, status: StatusCode, body: &[u8]) -> Failure {
    let said = str::from_utf8(body).unwrap_or_default().trim_end();
    let is_line =
        !said.is_empty() && said.len() <= LINE_LENGTH_MAX && said.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match is_line {
        true => Failure::unavailable(format!("`{server}` answered {status}: {said}")),
        false => Failure::unavailable(format!("`{server}` answered {status}")).next("is that a countersign server?"),
    }
}

/// Any bytes as a challenge, and as the body of a refusal.
pub(crate) fn fuzz_one(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        drop(check_challenge("http://127.0.0.1:7878", text));
    }
    drop(plain("http://127.0.0.1:7880", StatusCode::NOT_FOUND, data));
    if let Ok(problem) = serde_json::from_slice(data) {
        drop(refused(StatusCode::FORBIDDEN, problem));
    }
}

fn check_challenge(server: &str, text: &str) -> Result<(), Failure> {
    let challenge: Challenge = json::from_slice(text.as_bytes())
        .map_err(|error| Failure::refused(format!("`{server}` gave no challenge that can be signed: {error}")))?;
    if challenge.domain != CHALLENGE_DOMAIN {
        return Err(Failure::refused(format!(
            "`{server}` asked for a signature over something else than a sign-in"
        )));
    }
    if challenge.origin != server {
        return Err(
            Failure::refused(format!("`{server}` gave the challenge of `{}`", challenge.origin)).next(format!(
                "if that is the same server, call it by that name: --server {}; or let its operator start it with \
                 --api-origin {server}",
                challenge.origin
            )),
        );
    }
    Ok(())
}

/// Posts signed bodies, in order; each is accepted or refused by the server's own rules.
pub(crate) fn submit_bodies(server: &str, bodies: Vec<TrustBody>) -> Result<(), Failure> {
    let server = crate::config::checked_url(server)?;
    crate::stop::block_on(async {
        let api = Api::open(&server)?;
        for body in bodies {
            let summary = body.summary();
            match api.post::<Entered>("/v1/trust", &body).await {
                Ok(entered) => println!("entered {summary} as {}", entered.index),
                Err(failure) if failure.is_under(ALREADY_ENTERED) => println!("already entered: {summary}"),
                Err(failure) => return Err(failure.about(&summary)),
            }
        }
        Ok(())
    })
}

/// Asks the server which keys it has for a new environment.
pub(crate) async fn offer(server: &str, environment: &EnvironmentName) -> Result<Offer, Failure> {
    #[derive(Serialize)]
    struct Wanted<'a> {
        environment: &'a EnvironmentName,
    }
    Api::open(server)?
        .post("/v1/environments/offer", &Wanted { environment })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::bytes::Blob;

    fn challenge(domain: &str, origin: &str) -> String {
        let challenge = Challenge {
            domain: domain.into(),
            expires_ms: 1,
            nonce: Blob(vec![1]),
            origin: origin.into(),
        };
        String::from_utf8(json::to_vec(&challenge).unwrap()).unwrap()
    }

    #[test]
    fn no_secret_crosses_a_network_in_the_clear() {
        for here in ["http://127.0.0.1:7878", "http://localhost:1", "http://[::1]:7878"] {
            assert!(check_way(here).is_ok(), "{here}");
        }
        for far in ["http://gw.example:7878", "http://192.0.2.7:7878"] {
            let said = check_way(far).unwrap_err().to_string();
            assert!(said.contains("in the clear"), "{said}");
        }
        assert!(check_way("https://gw.example").is_err());
    }

    #[test]
    fn a_log_that_says_no_is_heard_and_a_page_is_not() {
        let said = |body: &[u8]| plain("http://127.0.0.1:7880", StatusCode::NOT_FOUND, body).to_string();
        assert!(said(b"no checkpoint is kept\n").contains("404 Not Found: no checkpoint is kept"));
        for page in [b"".as_slice(), b"a\nb", b"\x1b[2Jgone", &[b'a'; 201], b"\xff"] {
            assert!(!said(page).contains("404 Not Found:"), "{page:?}");
        }
    }

    #[test]
    fn only_the_called_servers_challenge_is_signed() {
        let server = "http://127.0.0.1:7878";
        assert!(check_challenge(server, &challenge(CHALLENGE_DOMAIN, server)).is_ok());
        for bad in [
            challenge(CHALLENGE_DOMAIN, "http://evil.example"),
            challenge("countersign/approval/v1", server),
            "{\"domain\":\"countersign/approval/v1\"}".into(),
            "x".into(),
        ] {
            assert!(check_challenge(server, &bad).is_err(), "{bad}");
        }
    }
}
