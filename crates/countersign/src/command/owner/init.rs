//! `countersign owner init`: an environment is born at its owner's side. The server only ever sees what is public.

use crate::agent::{self, SigningKey};
use crate::exit::Failure;
use crate::trust::{self, EnvironmentCard, Offer, OperatorCard, TrustBody};
use crate::{ask, clock, file, roots, words};
use clap::Args;
use evidence::trust::Trust;
use ledger::VerifierKey;
use model::name::{EnvironmentName, OrganisationName};
use model::statement::{Engagement, Gate, Genesis};
use std::path::{Path, PathBuf};

pub(super) const HELP: &str = "Example:
  countersign owner init --organisation \"Acme Ltd\" --environment acme \\
      --offer offer.json --operator operator.public.json \\
      --witness \"$(countersign witness key --data witness)\" --gate witnesses:1 --dir acme

Makes in DIR:
  root-1, root-2          the owner's root keys; either of them signs; move one off this machine
  recording-1.key, -2.key open recordings (age); keep one of them offline
  acme.trust.jsonl        what is signed: genesis and engagement; post it with `countersign submit`
  acme.public.json        what your people and your operator need to know; public
  trust.txt               whom a verifier should believe; hand it to auditors yourself";

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Full name of the owner
    #[arg(long, value_name = "NAME")]
    organisation: OrganisationName,
    /// Name of the environment, such as `acme`
    #[arg(long, value_name = "NAME")]
    environment: EnvironmentName,
    /// The operator's offer, from `countersign environment offer`
    #[arg(long, value_name = "FILE")]
    offer: PathBuf,
    /// The operator's public card, from `countersign operator init`
    #[arg(long, value_name = "FILE")]
    operator: PathBuf,
    /// Verifier key of a witness that you trust; repeat for several
    #[arg(long = "witness", value_name = "VKEY", value_parser = witness)]
    witnesses: Vec<VerifierKey>,
    /// Cosignatures that each session needs before it may begin: `witnesses:1`, or `none`
    #[arg(long, value_name = "GATE", value_parser = gate)]
    gate: Gate,
    /// Folder for the owner's keys; made if it is not there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Use this key (file, agent or token) as root instead of making two; repeat it
    #[arg(long = "root", value_name = "FILE")]
    roots: Vec<PathBuf>,
    /// How many roots must sign
    #[arg(long, value_name = "N", default_value_t = 1)]
    threshold: u8,
    /// Use this age recipient instead of making two; repeat it
    #[arg(long = "recipient", value_name = "AGE1", value_parser = roots::parse_recipient)]
    recipients: Vec<String>,
    /// Let the operator open recordings too
    #[arg(long)]
    operator_may_open: bool,
    /// How long the operator is engaged
    #[arg(long, value_name = "LENGTH", default_value = "365d", value_parser = clock::parse_length)]
    engaged_for: u64,
    /// How long a session may run on without a fresh cosignature
    #[arg(long, value_name = "LENGTH", default_value = "10s", value_parser = clock::parse_length)]
    lag_bound: u64,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

fn witness(text: &str) -> Result<VerifierKey, String> {
    let key: VerifierKey = text.trim().parse().map_err(|error| format!("{error}"))?;
    match key.kind() {
        ledger::key::KeyKind::Cosignature => Ok(key),
        ledger::key::KeyKind::Note => Err("that is the key of a log; give the witness's".into()),
    }
}

fn gate(text: &str) -> Result<Gate, String> {
    let count = text.strip_prefix("witnesses:").and_then(|count| count.parse().ok());
    match (text, count) {
        ("none", _) => Ok(Gate::None),
        (_, Some(count)) if count > 0 => Ok(Gate::Witnesses(count)),
        _ => Err(format!("`{text}` is not a gate; write `witnesses:1` or `none`")),
    }
}

pub(super) fn run(args: InitArgs) -> Result<(), Failure> {
    let offer: Offer = file::read_json(&args.offer, "an offer")?;
    let operator: OperatorCard = file::read_json(&args.operator, "an operator's public card")?;
    check(&args, &offer)?;
    ask::can_confirm(args.yes)?;
    file::private_folder(&args.dir)?;
    let keys = make_roots(&args)?;
    let recipients = make_recipients(&args)?;
    let now_ms = clock::now_ms();
    let genesis = genesis(&args, &offer, &operator, (&keys, recipients), now_ms);
    let engagement = Engagement {
        environment: args.environment.clone(),
        operator: operator.organisation,
        operator_roots: operator.roots,
        operator_threshold: operator.threshold,
        from_ms: now_ms,
        until_ms: now_ms.saturating_add(args.engaged_for),
        signed_ms: now_ms,
    };
    eprint!("{}{}", words::genesis(&genesis), words::engagement(&engagement));
    ask::confirm("Sign this as the owner?", args.yes)
        .map_err(|refused| refused.next(format!("to begin again, remove the new keys in {}", args.dir.display())))?;
    write(&args.dir, &keys, genesis, engagement)?;
    tell(&args);
    Ok(())
}

/// What could be refused later is refused before any key is made.
fn check(args: &InitArgs, offer: &Offer) -> Result<(), Failure> {
    if offer.environment != args.environment {
        return Err(Failure::refused(format!(
            "the offer is for `{}`, not for `{}`",
            offer.environment, args.environment
        )));
    }
    offer
        .log_key
        .parse::<VerifierKey>()
        .ok()
        .filter(|key| key.name().as_str() == offer.origin && key.kind() == ledger::key::KeyKind::Note)
        .ok_or_else(|| {
            Failure::refused(format!(
                "the offer's log key is not the key of a log named `{}`",
                offer.origin
            ))
        })?;
    if let Gate::Witnesses(count) = args.gate
        && usize::from(count) > args.witnesses.len()
    {
        return Err(Failure::usage(format!(
            "the gate asks for {count} witnesses, {} are named",
            args.witnesses.len()
        ))
        .next("name each with --witness VKEY (`countersign witness key` prints it)"));
    }
    let own = if args.roots.is_empty() { 2 } else { args.roots.len() };
    if own < 2 || !(1..=own).contains(&usize::from(args.threshold)) {
        return Err(Failure::usage(format!(
            "an environment needs at least two owner roots, and a threshold that fits; these are {own} with threshold {}",
            args.threshold
        )));
    }
    match args.recipients.len() {
        1 => Err(Failure::usage(
            "at least two recipients are needed: one of them is kept offline",
        )),
        _ => Ok(()),
    }
}

fn make_roots(args: &InitArgs) -> Result<Vec<SigningKey>, Failure> {
    if args.roots.is_empty() {
        let comment = format!("root of {}", args.organisation);
        return (1..=2)
            .map(|number| roots::make_root(&args.dir, number, &comment))
            .collect();
    }
    let taken = args.roots.iter().enumerate();
    taken
        .map(|(at, path)| roots::take_root(&args.dir, at + 1, path))
        .collect()
}

fn make_recipients(args: &InitArgs) -> Result<Vec<String>, Failure> {
    if !args.recipients.is_empty() {
        return Ok(args.recipients.clone());
    }
    [(1, "opens recordings"), (2, "opens recordings; keep this one offline")]
        .iter()
        .map(|(number, note)| roots::make_recipient(&args.dir, *number, &format!("{} of {}", note, args.environment)))
        .collect()
}

fn genesis(
    args: &InitArgs,
    offer: &Offer,
    operator: &OperatorCard,
    (keys, owner_recipients): (&[SigningKey], Vec<String>),
    now_ms: u64,
) -> Genesis {
    Genesis {
        environment: args.environment.clone(),
        origin: offer.origin.clone(),
        created_ms: now_ms,
        owner: args.organisation.clone(),
        owner_roots: keys.iter().map(|key| key.public().clone()).collect(),
        owner_threshold: args.threshold,
        log_key: offer.log_key.clone(),
        witnesses: args.witnesses.iter().map(ToString::to_string).collect(),
        gate: args.gate,
        lag_bound_ms: args.lag_bound,
        owner_recipients,
        operator_recipients: if args.operator_may_open {
            operator.recipients.clone()
        } else {
            vec![]
        },
        gateway_host_ca: offer.gateway_host_ca.clone(),
        user_ca: offer.user_ca.clone(),
        custody: offer.custody,
    }
}

fn write(dir: &Path, keys: &[SigningKey], genesis: Genesis, engagement: Engagement) -> Result<(), Failure> {
    let card = EnvironmentCard::of(&genesis, &engagement);
    let origin = genesis.origin.clone();
    let needed = keys.get(..usize::from(genesis.owner_threshold)).unwrap_or(keys);
    let name = genesis.environment.to_string();
    let policy = trust_policy(&genesis);
    let bodies = [
        TrustBody::Genesis(agent::signed(needed, &origin, genesis)?),
        TrustBody::Engagement(agent::signed(needed, &origin, engagement)?),
    ];
    trust::write(&dir.join(format!("{name}{}", trust::ENDING)), &bodies)?;
    let text = serde_json::to_string_pretty(&card).map_err(Failure::refused)?;
    file::create_public(&dir.join(format!("{name}.public.json")), format!("{text}\n").as_bytes())?;
    file::create_public(&dir.join("trust.txt"), policy.as_bytes())
}

/// What a reader should believe, as a file.
fn trust_policy(genesis: &Genesis) -> String {
    format!(
        "# Whom to believe about environment `{}` of {}.\n{}",
        genesis.environment,
        genesis.owner,
        Trust::file_of(genesis)
    )
}

fn tell(args: &InitArgs) {
    let (dir, name) = (args.dir.display(), &args.environment);
    println!(
        "Environment `{name}` of {} is signed. Nothing was sent.",
        args.organisation
    );
    println!("  post it        countersign submit {dir}/{name}{}", trust::ENDING);
    if args.roots.is_empty() {
        println!("  move offline   {dir}/root-2");
        println!("  passphrase     ssh-keygen -p -f {dir}/root-1");
    }
    if args.recipients.is_empty() {
        println!("  move offline   {dir}/recording-2.key");
    }
    println!("  for auditors   {dir}/trust.txt (hand it over yourself, never through the operator)");
    println!("next: countersign owner enrol, owner resource, owner workflow");
}
