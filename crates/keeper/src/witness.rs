//! A minimal witness after C2SP `tlog-witness`: one key, the logs it is told to watch, the latest checkpoint of each.
//!
//! State lives in one folder with the key: whoever loses the state loses the key, so a witness that forgot is retired
//! and never starts again from nothing. One process holds the folder at a time.
//!
//! INVARIANT (persisted before answered): a cosignature is made only from a `Persisted` record.
//! INVARIANT (one step at a time): the record of an origin is compared, written and replaced under that origin's lock.
//! INVARIANT (never from nothing): a record that is missing, cut off or altered refuses the start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ledger::consistency::{self, Head};
use ledger::note::{NoteSignature, VerifyError};
use ledger::submission::SubmissionError;
use ledger::{Hash, KeyName, SignedCheckpoint, Submission, VerifierKey, WitnessKey};

mod file;
mod folder;
mod fork;
pub(crate) mod fuzz;
mod logs;
mod record;
mod server;

pub use folder::{CreateError, OpenError, create, generate_key};
pub use logs::{AddLogError, LogsError, add_log};
pub use server::{Limits, router, serve};

use file::ReplaceError;
use folder::Folder;
use logs::Logs;
use record::{Persisted, Record};

/// Seconds since the Unix epoch, as the process that runs the witness believes them to be.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// An open witness. Dropping it gives the folder free.
pub struct Witness {
    folder: Folder,
    key: WitnessKey,
    clock: Clock,
    logs: Mutex<Logs>,
    records: Mutex<BTreeMap<KeyName, Arc<Mutex<Slot>>>>,
}

/// What the witness knows of one log.
#[derive(Default)]
struct Slot {
    record: Option<Persisted>,
    cosigned_at: u64,
    /// A write whose outcome is not known; nothing is cosigned for this log until the next start reads the disk.
    stuck: bool,
}

/// Why a submission is not cosigned. Each reason has one status code of the specification.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// 400.
    #[error(transparent)]
    Malformed(#[from] SubmissionError),
    /// 404.
    #[error("the log `{0}` is not known to this witness")]
    UnknownOrigin(KeyName),
    /// 403.
    #[error("no key that this witness knows signed the checkpoint of `{0}`")]
    NotSigned(KeyName),
    /// 403.
    #[error(transparent)]
    Signature(#[from] VerifyError),
    /// 409, with the latest size.
    #[error("the latest checkpoint that this witness cosigned has size `{latest}`")]
    OldSize {
        /// Size of the latest cosigned checkpoint.
        latest: u64,
    },
    /// 409, with the latest size.
    #[error("the log `{origin}` signed two trees of size `{size}`")]
    Fork {
        /// The log.
        origin: KeyName,
        /// The size, which is also the latest.
        size: u64,
    },
    /// 422.
    #[error("the checkpoint is not proven to extend the latest that this witness cosigned")]
    NotConsistent,
    /// 503.
    #[error("the witness cannot cosign now: {0}")]
    Unavailable(Trouble),
}

/// Why a witness cannot cosign although the submission may be right.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The record could not be written; nothing has changed.
    #[error("the record could not be written: {0}")]
    Write(std::io::Error),
    /// The record was replaced but may not last; the witness has to be started again.
    #[error("an earlier record may not have reached the disk; start the witness again")]
    Stuck,
    /// The clock is behind the last cosignature of this log.
    #[error("the clock is {0} s behind the last cosignature")]
    Clock(u64),
    /// The clock shows a time that a cosignature cannot carry.
    #[error("the clock shows no usable time")]
    NoTime,
}

impl Witness {
    /// Opens the folder that [`create`] made. Refuses where another process has it, or where any state is not whole.
    pub fn open(path: &Path, clock: Clock) -> Result<Self, OpenError> {
        let folder = Folder::lock(path)?;
        let key = folder.read_key()?;
        let records = folder.read_records(key.verifier())?;
        let logs = Logs::read(path.join(folder::LOGS))?;
        let slots = records.into_iter().map(|(origin, record)| {
            let slot = Slot {
                cosigned_at: record.time(),
                record: Some(record),
                stuck: false,
            };
            (origin, Arc::new(Mutex::new(slot)))
        });
        Ok(Self {
            folder,
            key,
            clock,
            logs: Mutex::new(logs),
            records: Mutex::new(slots.collect()),
        })
    }

    /// The public key.
    pub const fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// The folder that holds the state.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the two notes of each fork are kept.
    pub fn forks(&self) -> PathBuf {
        self.folder.path().join(folder::FORKS)
    }

    /// Known logs with the head that was cosigned last.
    pub fn latest(&self) -> Vec<(KeyName, Option<Head>)> {
        let origins = self.logs.lock().unwrap_or_else(PoisonError::into_inner).origins();
        let head = |origin: &KeyName| {
            let slot = self.slot(origin);
            let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.record.as_ref().map(|record| *record.head())
        };
        origins
            .into_iter()
            .map(|origin| (origin.clone(), head(&origin)))
            .collect()
    }

    /// Judges the body of an `add-checkpoint` request and answers with the cosignature. Writes to disk: not for an
    /// asynchronous thread.
    pub fn add_checkpoint(&self, body: &[u8]) -> Result<NoteSignature, Refusal> {
        let submission = Submission::parse(body)?;
        let keys = self.authenticate(submission.checkpoint())?;
        let slot = self.slot(submission.checkpoint().checkpoint().origin());
        // INVARIANT (one step at a time)
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        self.extend(&mut slot, submission, &keys)
    }

    /// The keys of the log that the checkpoint names, at least one of which signed it.
    fn authenticate(&self, signed: &SignedCheckpoint) -> Result<Vec<VerifierKey>, Refusal> {
        let origin = signed.checkpoint().origin();
        let keys = self.logs.lock().unwrap_or_else(PoisonError::into_inner).keys(origin);
        if keys.is_empty() {
            return Err(Refusal::UnknownOrigin(origin.clone()));
        }
        let mut by = Vec::new();
        for key in keys {
            if signed.is_signed_by(&key)? {
                by.push(key);
            }
        }
        if by.is_empty() {
            Err(Refusal::NotSigned(origin.clone()))
        } else {
            Ok(by)
        }
    }

    fn extend(&self, slot: &mut Slot, submission: Submission, by: &[VerifierKey]) -> Result<NoteSignature, Refusal> {
        if slot.stuck {
            return Err(Refusal::Unavailable(Trouble::Stuck));
        }
        let latest = slot.record.as_ref().map_or(
            Head {
                size: 0,
                root: Hash::EMPTY_ROOT,
            },
            |record| *record.head(),
        );
        self.judge(slot, &latest, &submission)?;
        let time = self.time(slot)?;
        let is_held = slot
            .record
            .as_ref()
            .is_some_and(|record| record.head() == submission.checkpoint().checkpoint().head());
        if !is_held {
            self.replace(slot, submission, by, time)?;
        }
        slot.cosigned_at = time;
        // INVARIANT (persisted before answered)
        let Some(record) = &slot.record else {
            return Err(Refusal::Unavailable(Trouble::Stuck));
        };
        self.key
            .cosign(record.checkpoint(), time)
            .map_err(|_| Refusal::Unavailable(Trouble::NoTime))
    }

    /// The rules of the specification, in its order.
    fn judge(&self, slot: &Slot, latest: &Head, submission: &Submission) -> Result<(), Refusal> {
        let checkpoint = submission.checkpoint().checkpoint();
        if submission.old() != latest.size {
            return Err(Refusal::OldSize { latest: latest.size });
        }
        if checkpoint.head().size == latest.size && checkpoint.head().root != latest.root {
            if let Some(record) = &slot.record {
                fork::keep(&self.forks(), record.signed(), submission.checkpoint());
            }
            return Err(Refusal::Fork {
                origin: checkpoint.origin().clone(),
                size: latest.size,
            });
        }
        consistency::verify(latest, checkpoint.head(), submission.proof()).map_err(|_| {
            let origin = checkpoint.origin();
            tracing::warn!(%origin, from = latest.size, to = checkpoint.head().size, "signed checkpoint without a proof");
            Refusal::NotConsistent
        })
    }

    /// A cosignature is never older than the one before: a clock that was set back stops the witness for that long.
    fn time(&self, slot: &Slot) -> Result<u64, Refusal> {
        let now = (self.clock)();
        if now > ledger::SIZE_MAX {
            return Err(Refusal::Unavailable(Trouble::NoTime));
        }
        match slot.cosigned_at.checked_sub(now) {
            None | Some(0) => Ok(now),
            Some(behind) => Err(Refusal::Unavailable(Trouble::Clock(behind))),
        }
    }

    fn replace(&self, slot: &mut Slot, submission: Submission, by: &[VerifierKey], time: u64) -> Result<(), Refusal> {
        let mut signed = submission.into_checkpoint();
        signed.retain(by);
        let record = Record::new(signed, time);
        match self.folder.write_record(self.verifier(), record) {
            Ok(persisted) => {
                slot.record = Some(persisted);
                Ok(())
            }
            Err(ReplaceError::Unchanged(error)) => Err(Refusal::Unavailable(Trouble::Write(error))),
            Err(ReplaceError::Unknown(error)) => {
                tracing::error!(%error, "a record may not have reached the disk");
                slot.stuck = true;
                Err(Refusal::Unavailable(Trouble::Stuck))
            }
        }
    }

    fn slot(&self, origin: &KeyName) -> Arc<Mutex<Slot>> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(records.entry(origin.clone()).or_default())
    }
}
