//! Heads of the log: who signed and cosigned them, whether they are heads of these entries, and what that makes of time.
//!
//! Two readings of the same signatures: by the keys that the genesis names, which shows that the pack agrees with
//! itself, and by the reader's trust, which alone makes anchors that mean something to the reader.

use super::collect::Collected;
use super::report::Claim;
use crate::grounds::{Anchor, Basis, Grounds, Integrity};
use crate::pack::{Name, Place};
use crate::render::counted;
use crate::trust::Trust;
use crate::utc;
use ledger::SignedCheckpoint;
use ledger::policy::{EvaluateError, Evaluation, Quorum};
use model::body::{Body, TimeBasis};
use model::statement::Genesis;
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Found {
    pub(super) claims: Vec<Claim>,
    pub(super) grounds: Grounds,
}

/// Everything that heads are checked with.
struct Heads<'a> {
    parts: &'a Collected,
    own: &'a Trust,
    /// The reader's trust; the pack's own where the reader has none, and then nothing is established.
    reader: &'a Trust,
}

pub(super) fn check(parts: &Collected, genesis: &Genesis, own: &Trust, trust: Option<&Trust>) -> Found {
    let heads = Heads {
        parts,
        own,
        reader: trust.unwrap_or(own),
    };
    let mut anchors = Anchors::default();
    let mut claims = vec![heads.names(genesis)];
    claims.extend(heads.last(trust, &mut anchors));
    claims.push(heads.tail());
    claims.push(owner(parts, genesis, trust));
    claims.push(heads.proofs(&mut anchors));
    let (bases, claim) = heads.bases(&mut anchors);
    claims.push(claim);
    Found {
        claims,
        grounds: Grounds {
            integrity: Integrity::NotEstablished("not judged yet".into()),
            anchors: anchors.list,
            bases,
            recordings: BTreeMap::new(),
        },
    }
}

/// How a head turned out.
enum Checked {
    /// Signed by the log, and a head of these entries.
    Own,
    /// Signed by the log, and not a head of these entries: two histories.
    Forked,
    /// Signed by the log, of more entries than the pack has.
    Beyond,
    /// Not signed by the log, or wrongly.
    NotSigned(String),
}

impl Heads<'_> {
    fn names(&self, genesis: &Genesis) -> Claim {
        let manifest = &self.parts.manifest;
        if genesis.environment != manifest.environment || genesis.origin != manifest.origin {
            let what = "is of another environment or log than the manifest says";
            return Claim::fails("genesis", Place::Entry(0), what);
        }
        let roots = genesis.owner_roots.len();
        Claim::holds(
            "genesis",
            format!(
                "environment `{}` of {}, under {}",
                genesis.environment,
                genesis.owner,
                counted(roots, "owner root")
            ),
        )
    }

    fn check(&self, checkpoint: &SignedCheckpoint) -> Checked {
        if let Err(error) = self.own.policy().evaluate(checkpoint) {
            return Checked::NotSigned(error.to_string());
        }
        let head = checkpoint.checkpoint().head();
        match self.parts.log.root(head.size) {
            Some(root) if root == head.root => Checked::Own,
            Some(_) => Checked::Forked,
            None => Checked::Beyond,
        }
    }

    /// What the reader's witnesses make of a head of this log.
    fn believe(&self, checkpoint: &SignedCheckpoint, anchors: &mut Anchors) -> Result<Evaluation, EvaluateError> {
        let evaluation = self.reader.policy().evaluate(checkpoint)?;
        anchors.add(checkpoint.checkpoint().head().size, &evaluation);
        Ok(evaluation)
    }

    fn last(&self, trust: Option<&Trust>, anchors: &mut Anchors) -> Vec<Claim> {
        let checkpoint = &self.parts.checkpoint;
        let at = Place::File(Name::Checkpoint);
        if let Checked::NotSigned(why) = self.check(checkpoint) {
            return vec![Claim::fails("checkpoint", at, why)];
        }
        let evaluation = match self.believe(checkpoint, anchors) {
            Ok(evaluation) => evaluation,
            Err(EvaluateError::Signature(error)) => return vec![Claim::fails("checkpoint", at, error.to_string())],
            Err(error @ EvaluateError::NotByALog(_)) => {
                return vec![Claim::not_established("checkpoint", error.to_string())];
            }
        };
        let by = if trust.is_some() {
            "a log that you trust"
        } else {
            "the key that the genesis names"
        };
        let size = self.parts.manifest.size;
        let signed = Claim::holds(
            "checkpoint",
            format!("{} of `{}`, signed by {by}", counted(size, "entry"), evaluation.origin),
        );
        let lines = checkpoint.note().signatures().len();
        vec![signed, witnesses(&evaluation, lines), vouched(&evaluation)]
    }

    /// Truncation shows only against what the reader has seen before.
    fn tail(&self) -> Claim {
        let Some(seen) = self.reader.seen() else {
            let last = self.parts.manifest.size.saturating_sub(1);
            let what = format!(
                "tail unproven: nothing shows whether the log goes on after entry {last}; give the newest checkpoint that you have \
                 seen (--seen), and keep this one for the next time"
            );
            return Claim::noted("tail", what);
        };
        let head = seen.checkpoint().head();
        if let Err(error) = self.reader.policy().evaluate(seen) {
            return Claim::not_established("tail", format!("the checkpoint that you hold is not believed: {error}"));
        }
        match self.parts.log.root(head.size) {
            Some(root) if root == head.root => Claim::holds(
                "tail",
                format!("continues the {} that you have seen", counted(head.size, "entry")),
            ),
            Some(_) => Claim::fails(
                "tail",
                Place::Entry(head.size.saturating_sub(1)),
                format!(
                    "another history than the {} that you have seen",
                    counted(head.size, "entry")
                ),
            ),
            None => Claim::fails(
                "tail",
                Place::Entry(self.parts.manifest.size),
                format!(
                    "ends before the {} that you have seen: cut off, or exported earlier; ask for a new export",
                    counted(head.size, "entry")
                ),
            ),
        }
    }

    fn proofs(&self, anchors: &mut Anchors) -> Claim {
        for (entry, proof) in &self.parts.proofs {
            let fails = |what: String| Claim::fails("proofs", Place::File(Name::Proof(*entry)), what);
            let place = self.parts.log.world.entry_of(*entry).map(|placed| placed.index);
            if place != Some(proof.index()) {
                return fails("is of another entry than its name says".into());
            }
            let leaf = self.parts.log.leaf(proof.index());
            if leaf.is_none_or(|leaf| proof.verify(&leaf).is_err()) {
                return fails("does not lead from the entry to its checkpoint".into());
            }
            match self.check(proof.checkpoint()) {
                Checked::Own => {}
                Checked::NotSigned(why) => return fails(why),
                Checked::Beyond => return fails("its checkpoint covers more entries than the pack has".into()),
                Checked::Forked => return forked("proofs", proof.checkpoint()),
            }
            if let Err(EvaluateError::Signature(error)) = self.believe(proof.checkpoint(), anchors) {
                return fails(error.to_string());
            }
        }
        Claim::holds(
            "proofs",
            format!(
                "{}, each from its entry to a head that the log signed",
                counted(self.parts.proofs.len(), "proof")
            ),
        )
    }

    /// Heads that openings embed: each was written after the witnesses saw its head.
    fn bases(&self, anchors: &mut Anchors) -> (BTreeMap<u64, Basis>, Claim) {
        let mut bases = BTreeMap::new();
        for placed in self.parts.log.world.entries() {
            let Body::Opened(opened) = &placed.entry.body else {
                continue;
            };
            let basis = match &opened.time {
                TimeBasis::Unwitnessed(why) => Basis::Unwitnessed(why.clone()),
                TimeBasis::Checkpoint(note) => match self.basis(placed.index, note, anchors) {
                    Ok(basis) => basis,
                    Err(claim) => return (bases, *claim),
                },
            };
            bases.insert(placed.index, basis);
        }
        let cosigned = bases
            .values()
            .filter(|basis| matches!(basis, Basis::Cosigned(_)))
            .count();
        let claim = Claim::holds(
            "heads",
            format!(
                "a cosigned head of these entries is embedded in {cosigned} of {}",
                counted(bases.len(), "opening")
            ),
        );
        (bases, claim)
    }

    fn basis(&self, index: u64, note: &str, anchors: &mut Anchors) -> Result<Basis, Box<Claim>> {
        let checkpoint = match SignedCheckpoint::parse(note.as_bytes()) {
            Ok(checkpoint) => checkpoint,
            Err(error) => return Ok(Basis::Refused(error.to_string())),
        };
        match self.check(&checkpoint) {
            Checked::Own if checkpoint.checkpoint().head().size <= index => {}
            Checked::Own | Checked::Beyond => return Ok(Basis::Refused("it covers entries that came later".into())),
            Checked::NotSigned(why) => return Ok(Basis::Refused(why)),
            Checked::Forked => return Err(Box::new(forked("heads", &checkpoint))),
        }
        match self.believe(&checkpoint, anchors) {
            Ok(evaluation) if evaluation.quorum != Quorum::Unmet => {
                let newest = evaluation.cosigned.iter().map(|cosigned| cosigned.time).max();
                Ok(newest.map_or(Basis::NotCosigned, Basis::Cosigned))
            }
            Ok(_) | Err(EvaluateError::NotByALog(_)) => Ok(Basis::NotCosigned),
            Err(error) => Ok(Basis::Refused(error.to_string())),
        }
    }
}

fn forked(subject: &str, checkpoint: &SignedCheckpoint) -> Claim {
    let head = checkpoint.checkpoint().head();
    let what = format!(
        "the log signed another history of the first {}",
        counted(head.size, "entry")
    );
    Claim::fails(subject, Place::Entry(head.size.saturating_sub(1)), what)
}

/// INVARIANT (out of band): the owner's roots come from the reader. A genesis that they did not sign may be anybody's.
fn owner(parts: &Collected, genesis: &Genesis, trust: Option<&Trust>) -> Claim {
    let Some(trust) = trust else {
        return Claim::not_established(
            "owner",
            "whose root signed the genesis is not shown without a trust file",
        );
    };
    let roots = trust.owners(&genesis.environment);
    if roots.is_empty() {
        let what = format!("the trust file names no owner of `{}`", genesis.environment);
        return Claim::not_established("owner", what);
    }
    let body = parts.log.world.entry(0).map(|placed| &placed.entry.body);
    let signers = match body {
        Some(Body::Genesis(signed)) => signed.signers(&genesis.origin).unwrap_or_default(),
        _ => BTreeSet::new(),
    };
    let count = roots.iter().filter(|root| signers.contains(root)).count();
    if count >= usize::from(genesis.owner_threshold) && count > 0 {
        Claim::holds(
            "owner",
            format!("the genesis is signed under {}'s root that you hold", genesis.owner),
        )
    } else {
        Claim::not_established(
            "owner",
            "the genesis is not signed under the owner's root that you hold",
        )
    }
}

fn witnesses(evaluation: &Evaluation, lines: usize) -> Claim {
    let seen: Vec<String> = evaluation
        .cosigned
        .iter()
        .map(|cosigned| format!("{} at {}", cosigned.witness, utc::seconds(cosigned.time)))
        .collect();
    let unknown = lines.saturating_sub(1 + seen.len());
    let ignored = match unknown {
        0 => String::new(),
        count => format!("; {} of unknown keys ignored", counted(count, "signature")),
    };
    let list = if seen.is_empty() {
        "nobody".to_owned()
    } else {
        seen.join(", ")
    };
    let detail = format!("cosigned by {list}{ignored}");
    match evaluation.quorum {
        Quorum::Met { .. } => Claim::holds("witnesses", detail),
        Quorum::NoneAsked => Claim::noted("witnesses", format!("{detail}; the policy asks for none")),
        Quorum::Unmet => Claim::not_established(
            "witnesses",
            format!("{detail}; the quorum of the trust file is not met"),
        ),
    }
}

fn vouched(evaluation: &Evaluation) -> Claim {
    match evaluation.cosigned.len() {
        0 => Claim::noted("vouched", "the history is vouched for by its operator alone"),
        1 => Claim::noted(
            "vouched",
            "the history is vouched for by its two parties alone: the log and one witness",
        ),
        count => Claim::holds(
            "vouched",
            format!(
                "the history is vouched for by the log and {}",
                counted(count, "witness")
            ),
        ),
    }
}

/// Believed heads by size, each with the time by which it was first seen.
#[derive(Default)]
struct Anchors {
    list: Vec<Anchor>,
}

impl Anchors {
    fn add(&mut self, size: u64, evaluation: &Evaluation) {
        let first = evaluation.cosigned.iter().map(|cosigned| cosigned.time).min();
        let by_s = match evaluation.quorum {
            Quorum::Met { by } => Some(by),
            Quorum::NoneAsked => first,
            Quorum::Unmet => None,
        };
        let Some(by_s) = by_s else { return };
        let anchor = Anchor {
            size,
            by_s,
            witnesses: evaluation.cosigned.len(),
        };
        if !self.list.contains(&anchor) {
            self.list.push(anchor);
        }
    }
}
