//! Signing in, asking, deciding, stopping.

use crate::caller::SignedIn;
use crate::problem::Problem;
use crate::sent::Sent;
use crate::server::Shared;
use crate::sign_in::token_ms;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use desk::approve::{self, Decided, RequestView};
use desk::attempt::Operation;
use desk::people::{self, Caller};
use desk::reach::{self, Reach};
use desk::read::{self, GrantLine, RequestLine};
use desk::request::{self, Prepared, Wish};
use desk::{Receipt, stop, stranger};
use model::body::RequestProof;
use model::bytes::Digest;
use model::commitment::Openings;
use model::id::{EntryId, GrantId, RequestId};
use model::name::EnvironmentName;
use model::signature::{Namespace, Signature, Signed};
use model::statement::{Approval, Denial, Kill, Request, Revocation, Workflow};
use serde::{Deserialize, Serialize};

type Answer<T> = Result<Json<T>, Problem>;

#[derive(Serialize)]
pub(crate) struct Challenged {
    challenge: String,
}

/// By which name the client calls this server. A challenge can be asked for without a body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Called {
    #[serde(default)]
    origin: Option<String>,
}

pub(crate) async fn challenge(State(api): State<Shared>, called: Result<Sent<Called>, Problem>) -> Answer<Challenged> {
    let called = called.ok().and_then(|Sent(called)| called.origin);
    let challenge = api
        .sign_in
        .challenge(called.as_deref(), api.desk.now_ms())
        .map_err(no_randomness)?;
    Ok(Json(Challenged { challenge }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answered {
    challenge: String,
    /// As `ssh-keygen -Y sign` writes it.
    signature: String,
}

#[derive(Serialize)]
pub(crate) struct Token {
    token: String,
    lasts_ms: u64,
}

/// Whoever fails here is told nothing but that it failed.
pub(crate) async fn sign_in(State(api): State<Shared>, Sent(sent): Sent<Answered>) -> Answer<Token> {
    let nobody = |code| {
        stranger::count(&api.desk, "api", code);
        Problem::nobody()
    };
    let now_ms = api.desk.now_ms();
    let answered = api
        .sign_in
        .check(&sent.challenge, now_ms)
        .map_err(|why| nobody(why.code()))?;
    let signature = Signature::from_pem(&sent.signature).map_err(|_| nobody("bad_signature"))?;
    let key = signature
        .verify(Namespace::SignIn, sent.challenge.as_bytes())
        .map_err(|_| nobody("bad_signature"))?;
    match people::admit(&api.desk, &key, Operation::SignIn).await {
        Ok(_) => {}
        // On record already.
        Err(desk::Failure::Refused {
            code: "identity_ended", ..
        }) => return Err(Problem::nobody()),
        Err(desk::Failure::Refused { code, .. }) => return Err(nobody(code)),
        Err(failure) => return Err(failure.into()),
    }
    let token = api.sign_in.token(answered, key, now_ms).map_err(no_randomness)?;
    let token = token.ok_or_else(|| nobody(crate::sign_in::NoSignIn::Used.code()))?;
    Ok(Json(Token {
        token,
        lasts_ms: token_ms(),
    }))
}

fn no_randomness(error: getrandom::Error) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        format!("no randomness can be had: {error}"),
    )
}

pub(crate) async fn sign_out(State(api): State<Shared>, caller: SignedIn) -> StatusCode {
    api.sign_in.forget(&caller.token);
    StatusCode::NO_CONTENT
}

pub(crate) async fn whoami(caller: SignedIn) -> Json<Vec<Caller>> {
    Json(caller.callers)
}

pub(crate) async fn ls(State(api): State<Shared>, caller: SignedIn) -> Answer<Vec<Reach>> {
    Ok(Json(reach::ls(&api.desk, &caller.callers).await?))
}

#[derive(Serialize)]
pub(crate) struct WorkflowLine {
    environment: EnvironmentName,
    hash: Digest,
    statement: Workflow,
}

pub(crate) async fn workflows(State(api): State<Shared>, caller: SignedIn) -> Answer<Vec<WorkflowLine>> {
    let mut lines = vec![];
    for caller in &caller.callers {
        for state in reach::workflows(&api.desk, caller).await? {
            lines.push(WorkflowLine {
                environment: caller.environment.clone(),
                hash: state.hash,
                statement: state.statement,
            });
        }
    }
    Ok(Json(lines))
}

pub(crate) async fn requests(State(api): State<Shared>, caller: SignedIn) -> Answer<Vec<RequestLine>> {
    Ok(Json(read::requests(&api.desk, &caller.callers).await?))
}

pub(crate) async fn show_request(
    State(api): State<Shared>,
    caller: SignedIn,
    Path(id): Path<String>,
) -> Answer<RequestView> {
    Ok(Json(approve::view(&api.desk, &caller.callers, request_id(&id)?).await?))
}

pub(crate) fn request_id(text: &str) -> Result<RequestId, Problem> {
    text.parse().map_err(|error| Problem::field("id", format!("{error}")))
}

pub(crate) async fn prepare(State(api): State<Shared>, caller: SignedIn, Sent(wish): Sent<Wish>) -> Answer<Prepared> {
    Ok(Json(request::prepare(&api.desk, &caller.callers, &wish).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignedRequest {
    environment: EnvironmentName,
    statement: Request,
    signature: Signature,
    openings: Openings,
}

#[derive(Serialize)]
pub(crate) struct Entered {
    entry: EntryId,
    index: u64,
    hash: Digest,
    time_ms: u64,
}

impl From<Receipt> for Entered {
    fn from(receipt: Receipt) -> Self {
        Self {
            entry: receipt.id,
            index: receipt.index,
            hash: receipt.hash,
            time_ms: receipt.time_ms,
        }
    }
}

pub(crate) async fn submit_request(
    State(api): State<Shared>,
    caller: SignedIn,
    Sent(sent): Sent<SignedRequest>,
) -> Answer<Entered> {
    let caller = people::in_environment(&caller.callers, &sent.environment)?;
    let proof = RequestProof::Signature(sent.signature);
    Ok(Json(
        request::submit(&api.desk, caller, sent.statement, proof, &sent.openings)
            .await?
            .into(),
    ))
}

#[derive(Serialize)]
pub(crate) struct ToApprove {
    request: RequestView,
    statement: Approval,
}

pub(crate) async fn approval_statement(
    State(api): State<Shared>,
    caller: SignedIn,
    Path(id): Path<String>,
) -> Answer<ToApprove> {
    let (request, statement) = approve::approval_statement(&api.desk, &caller.callers, request_id(&id)?).await?;
    Ok(Json(ToApprove { request, statement }))
}

pub(crate) async fn submit_approval(
    State(api): State<Shared>,
    caller: SignedIn,
    Sent(signed): Sent<Signed<Approval>>,
) -> Answer<Decided> {
    Ok(Json(
        approve::submit_approval(&api.desk, &caller.callers, signed).await?,
    ))
}

pub(crate) async fn submit_denial(
    State(api): State<Shared>,
    caller: SignedIn,
    Sent(signed): Sent<Signed<Denial>>,
) -> Answer<Decided> {
    Ok(Json(approve::submit_denial(&api.desk, &caller.callers, signed).await?))
}

pub(crate) async fn show_grant(
    State(api): State<Shared>,
    caller: SignedIn,
    Path(id): Path<String>,
) -> Answer<GrantLine> {
    Ok(Json(read::grant(&api.desk, &caller.callers, grant_id(&id)?).await?))
}

pub(crate) fn grant_id(text: &str) -> Result<GrantId, Problem> {
    text.parse().map_err(|error| Problem::field("id", format!("{error}")))
}

pub(crate) async fn submit_revocation(
    State(api): State<Shared>,
    caller: SignedIn,
    Sent(signed): Sent<Signed<Revocation>>,
) -> Answer<Entered> {
    Ok(Json(stop::revoke(&api.desk, &caller.callers, signed).await?.into()))
}

pub(crate) async fn submit_kill(
    State(api): State<Shared>,
    caller: SignedIn,
    Sent(signed): Sent<Signed<Kill>>,
) -> Answer<Entered> {
    Ok(Json(stop::kill(&api.desk, &caller.callers, signed).await?.into()))
}
