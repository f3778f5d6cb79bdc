//! Enrolling and ending identities: the same work on both sides, each under its own organisation's root.

use crate::command::word;
use crate::exit::Failure;
use crate::trust::{self, TrustBody};
use crate::{agent, client, clock, fresh, roots};
use clap::Args;
use model::id::IdentityId;
use model::name::{EnvironmentName, Handle, OrganisationName};
use model::statement::{Disablement, Enrolment, IdentityKind, Role};
use std::path::{Path, PathBuf};

/// Whom to enrol.
#[derive(Debug, Args)]
pub(crate) struct EnrolArgs {
    /// Short lasting name, such as `olga`
    handle: Handle,
    /// What this identity may do: `request`, `approve`, `own`
    #[arg(long = "role", value_name = "ROLE", required = true, value_delimiter = ',', value_parser = word::<Role>)]
    roles: Vec<Role>,
    /// SSH public key, as text or file; repeat it for several keys of the same person
    #[arg(long = "key", value_name = "KEY|FILE", required = true)]
    keys: Vec<String>,
    /// `person`, `workload` or `agent`
    #[arg(long, default_value = "person", value_parser = word::<IdentityKind>)]
    kind: IdentityKind,
    /// Change this identity (keys, roles) instead of making a new one
    #[arg(long, value_name = "IDN")]
    identity: Option<IdentityId>,
    #[command(flatten)]
    pub(crate) signing: SigningArgs,
}

/// Whom to end.
#[derive(Debug, Args)]
pub(crate) struct DisableArgs {
    /// The identity, as `idn_…` or by its handle
    who: String,
    #[command(flatten)]
    pub(crate) signing: SigningArgs,
}

/// Where the organisation's keys are, and where its statement goes.
#[derive(Debug, Args)]
pub(crate) struct SigningArgs {
    /// The organisation's folder, as made by `init`
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Sign with this root key (file, agent or token) instead of those in the folder; repeat it to reach the threshold
    #[arg(long = "root-key", value_name = "FILE")]
    pub(crate) root_keys: Vec<PathBuf>,
    /// Post what is signed to this server at once
    #[arg(long, value_name = "URL")]
    pub(crate) submit: Option<String>,
}

/// For which environment an organisation signs, and as whom.
pub(crate) struct Speaker {
    pub(crate) environment: EnvironmentName,
    pub(crate) origin: String,
    pub(crate) organisation: OrganisationName,
    pub(crate) threshold: u8,
}

pub(crate) fn enrol(speaker: &Speaker, args: EnrolArgs) -> Result<(), Failure> {
    let identity = match args.identity {
        Some(identity) if has_ended(&args.signing.dir, identity)? => {
            return Err(Failure::refused(format!("{identity} has ended, and that is for good"))
                .next("enrol the person anew under a new handle and with a new key"));
        }
        Some(identity) => identity,
        None => {
            refuse_known_handle(&args.signing.dir, speaker, &args.handle)?;
            fresh::id(IdentityId::new)?
        }
    };
    let statement = Enrolment {
        environment: speaker.environment.clone(),
        identity,
        organisation: speaker.organisation.clone(),
        handle: args.handle.clone(),
        kind: args.kind,
        roles: args.roles,
        keys: roots::keys(&args.keys)?,
        signed_ms: clock::now_ms(),
    };
    println!("{identity}  {} of {}", args.handle, speaker.organisation);
    let signers = args.signing.roots(speaker.threshold)?;
    let body = TrustBody::Enrolled(agent::signed(&signers, &speaker.origin, statement)?);
    args.signing.keep(speaker, &format!("identity-{}", args.handle), body)
}

pub(crate) fn disable(speaker: &Speaker, args: DisableArgs) -> Result<(), Failure> {
    let identity = match args.who.parse() {
        Ok(identity) => identity,
        Err(_) => by_handle(&args.signing.dir, speaker, &args.who)?,
    };
    let statement = Disablement {
        environment: speaker.environment.clone(),
        identity,
    };
    let signers = args.signing.roots(speaker.threshold)?;
    let body = TrustBody::Disabled(agent::signed(&signers, &speaker.origin, statement)?);
    args.signing.keep(speaker, "identity-ended", body)
}

impl SigningArgs {
    /// The keys that sign.
    pub(crate) fn roots(&self, threshold: u8) -> Result<Vec<agent::SigningKey>, Failure> {
        roots::signing_roots(&self.dir, &self.root_keys, threshold)
    }

    /// Writes the signed body as the folder's next trust file, and posts it if that was asked.
    pub(crate) fn keep(&self, speaker: &Speaker, what: &str, body: TrustBody) -> Result<(), Failure> {
        let path = next_file(&self.dir, &speaker.environment, what)?;
        trust::write(&path, std::slice::from_ref(&body))?;
        println!("signed {} -> {}", body.summary(), path.display());
        match &self.submit {
            Some(server) => client::submit_bodies(server, vec![body]),
            None => {
                println!("next: countersign submit {}", path.display());
                Ok(())
            }
        }
    }
}

/// Numbered, so that names sort in the order of signing.
fn next_file(folder: &Path, environment: &EnvironmentName, what: &str) -> Result<PathBuf, Failure> {
    let count = std::fs::read_dir(folder)
        .map_err(|error| Failure::unavailable(format!("folder `{}` cannot be read: {error}", folder.display())))?
        .flatten()
        .filter(|found| found.file_name().to_string_lossy().ends_with(trust::ENDING))
        .count();
    Ok(folder.join(format!("{environment}.{:04}-{what}{}", count + 1, trust::ENDING)))
}

/// The identity that this folder enrolled under a handle.
pub(crate) fn by_handle(folder: &Path, speaker: &Speaker, handle: &str) -> Result<IdentityId, Failure> {
    let mut found = None;
    for body in trust::read_folder(folder)? {
        match body {
            TrustBody::Enrolled(signed)
                if signed.statement.handle.as_str() == handle
                    && signed.statement.environment == speaker.environment
                    && signed.statement.organisation == speaker.organisation =>
            {
                found = Some(signed.statement.identity);
            }
            _ => {}
        }
    }
    found.ok_or_else(|| {
        Failure::refused(format!(
            "nobody with the handle `{handle}` was enrolled from this folder"
        ))
        .next("enrol them first, or give the identity as idn_…")
    })
}

fn refuse_known_handle(folder: &Path, speaker: &Speaker, handle: &Handle) -> Result<(), Failure> {
    let Ok(identity) = by_handle(folder, speaker, handle.as_str()) else {
        return Ok(());
    };
    if has_ended(folder, identity)? {
        return Err(
            Failure::refused(format!("`{handle}` ({identity}) has ended, and that is for good"))
                .next("enrol the person anew under a new handle and with a new key"),
        );
    }
    let file = trust::files(folder)?
        .into_iter()
        .rfind(|path| trust::read(path).is_ok_and(|bodies| bodies.iter().any(|body| enrols(body, identity))))
        .unwrap_or_default();
    Err(Failure::refused(format!(
        "`{handle}` is enrolled already, as {identity}, signed in {}",
        file.display()
    ))
    .next(format!(
        "if the server does not know it yet: countersign submit {}; to change keys or roles add --identity \
                 {identity}",
        file.display()
    )))
}

fn enrols(body: &TrustBody, identity: IdentityId) -> bool {
    matches!(body, TrustBody::Enrolled(signed) if signed.statement.identity == identity)
}

/// Whether this folder signed the end of `identity`.
fn has_ended(folder: &Path, identity: IdentityId) -> Result<bool, Failure> {
    let bodies = trust::read_folder(folder)?;
    let ends = |body: &TrustBody| matches!(body, TrustBody::Disabled(signed) if signed.statement.identity == identity);
    Ok(bodies.iter().any(ends))
}
