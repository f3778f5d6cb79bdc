//! `countersign owner workflow`: a named privileged purpose, and the rule under which it is granted.

use super::Owner;
use crate::command::people::{self, SigningArgs, Speaker};
use crate::command::word;
use crate::exit::Failure;
use crate::trust::TrustBody;
use crate::{agent, ask, clock, words};
use clap::Args;
use model::id::IdentityId;
use model::name::{AccountName, OrganisationName, Purpose, ResourceName, WorkflowName};
use model::statement::{ActionClass, Quorum, Workflow};
use model::verdict::ControlId;

pub(super) const HELP: &str = "Example:
  countersign owner workflow patching --owner bob --backup carol --purpose \"security patches\" \\
      --resource web1 --account root --window 4h --dir acme

Setting a workflow again replaces it; requests and grants under the old version end.";

#[derive(Debug, Args)]
pub(crate) struct WorkflowArgs {
    /// Its name, such as `patching`
    name: WorkflowName,
    /// The accountable business owner: a handle, or `idn_…`
    #[arg(long, value_name = "WHO")]
    owner: String,
    /// Who stands in for the owner
    #[arg(long, value_name = "WHO")]
    backup: String,
    /// What it may be used for; repeat for several
    #[arg(long = "purpose", value_name = "TEXT", required = true)]
    purposes: Vec<Purpose>,
    /// Resources that may be asked for
    #[arg(long = "resource", value_name = "NAME", required = true, value_delimiter = ',')]
    resources: Vec<ResourceName>,
    /// Accounts that may be asked for
    #[arg(long = "account", value_name = "NAME", required = true, value_delimiter = ',')]
    accounts: Vec<AccountName>,
    /// Organisations whose people may ask [default: the engaged operator]
    #[arg(long = "requesters", value_name = "ORGANISATION")]
    requesters: Vec<OrganisationName>,
    /// What may be done: `shell`, `exec`, `sftp`, `forward`, `tunnel_local`
    #[arg(long = "action", value_name = "CLASS", value_delimiter = ',', default_value = "shell,exec,sftp", value_parser = word::<ActionClass>)]
    actions: Vec<ActionClass>,
    /// Approvals that a grant needs, as `ORGANISATION=COUNT`; repeat it [default: one of the owner's]
    #[arg(long = "approvals", value_name = "ORGANISATION=COUNT", value_parser = quorum)]
    approvals: Vec<Quorum>,
    /// The longest window
    #[arg(long, value_name = "LENGTH", default_value = "4h", value_parser = clock::parse_length)]
    window: u64,
    /// Evidence level: 1, or 2 for everything that is privileged
    #[arg(long, value_name = "LEVEL", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    level: u8,
    /// Controls that its sessions are judged against, such as `CS-AP-1` [default: all]
    #[arg(long = "control", value_name = "ID", value_delimiter = ',', value_parser = word::<ControlId>)]
    controls: Vec<ControlId>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    signing: SigningArgs,
}

fn quorum(text: &str) -> Result<Quorum, String> {
    let parts = text.rsplit_once('=').and_then(|(organisation, count)| {
        Some(Quorum {
            organisation: organisation.parse().ok()?,
            count: count.parse().ok().filter(|count| *count > 0)?,
        })
    });
    parts.ok_or_else(|| format!("`{text}` is not `ORGANISATION=COUNT`, such as `Acme Ltd=1`"))
}

pub(super) fn run(args: WorkflowArgs) -> Result<(), Failure> {
    let owner = Owner::of(&args.signing.dir)?;
    let speaker = owner.speaker();
    let who = |text: &str| -> Result<IdentityId, Failure> {
        match text.parse() {
            Ok(identity) => Ok(identity),
            Err(_) => people::by_handle(&args.signing.dir, &speaker, text),
        }
    };
    let statement = Workflow {
        environment: speaker.environment.clone(),
        name: args.name.clone(),
        owner: who(&args.owner)?,
        backup: who(&args.backup)?,
        purposes: args.purposes.clone(),
        requesters: or(args.requesters.clone(), || vec![owner.card.operator.clone()]),
        resources: args.resources.clone(),
        accounts: args.accounts.clone(),
        actions: args.actions.clone(),
        approvals: or(args.approvals.clone(), || vec![one_of(&speaker)]),
        window_ms_max: args.window,
        level: args.level,
        controls: or(args.controls.clone(), || ControlId::ALL.to_vec()),
        signed_ms: clock::now_ms(),
    };
    if statement.owner == statement.backup {
        return Err(Failure::usage("the workflow's owner cannot stand in for themselves")
            .next("name somebody else with --backup"));
    }
    let consent = statement
        .approvals
        .iter()
        .any(|q| q.organisation == speaker.organisation);
    if !consent {
        return Err(
            Failure::usage("the rule asks for no approval of the environment's owner")
                .next(format!("add --approvals \"{}=1\"", speaker.organisation)),
        );
    }
    eprint!("{}", words::workflow(&statement, (&args.owner, &args.backup)));
    ask::confirm("Sign this as the owner?", args.yes)?;
    let signers = args.signing.roots(speaker.threshold)?;
    let body = TrustBody::Workflow(agent::signed(&signers, &speaker.origin, statement)?);
    args.signing.keep(&speaker, &format!("workflow-{}", args.name), body)
}

fn one_of(speaker: &Speaker) -> Quorum {
    Quorum {
        organisation: speaker.organisation.clone(),
        count: 1,
    }
}

fn or<T>(given: Vec<T>, otherwise: impl FnOnce() -> Vec<T>) -> Vec<T> {
    if given.is_empty() { otherwise() } else { given }
}
