//! Entries read on other threads, while the first one hashes and replays.
//!
//! INVARIANT (the same answer): a bundle that no thread takes, or whose thread is gone, is read where it is waited for.

use evidence::verify::{Entries, Pending, read_bundle};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// More threads than this would wait for the one that replays.
const THREADS_MAX: usize = 3;
/// Bundles that may wait for a thread; with more, the one that replays is the slower one and reads too.
const QUEUED_MAX: usize = 2;

struct Job {
    first: u64,
    bundle: Arc<Vec<u8>>,
    done: SyncSender<Entries>,
}

/// Threads that read ahead; they end when it is dropped.
#[derive(Debug)]
pub struct Ahead(SyncSender<Job>);

impl Default for Ahead {
    /// One thread for each further core of the machine, up to a few.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_threads((cores - 1).min(THREADS_MAX))
    }
}

impl Ahead {
    fn with_threads(threads: usize) -> Self {
        let (give, take) = sync_channel(QUEUED_MAX);
        let take = Arc::new(Mutex::new(take));
        for _ in 0..threads {
            let take = Arc::clone(&take);
            // Where there are no more threads to be had, there are fewer.
            drop(
                std::thread::Builder::new()
                    .name("read-ahead".into())
                    .spawn(move || work(&take)),
            );
        }
        Self(give)
    }

    /// Begins to read a bundle, for `evidence::verify::verify_ahead`.
    pub fn begin(&mut self, first: u64, bundle: Vec<u8>) -> Pending {
        let bundle = Arc::new(bundle);
        let (done, read) = sync_channel(1);
        let job = Job {
            first,
            bundle: Arc::clone(&bundle),
            done,
        };
        // Refused, the job is gone, and so is its `done`.
        drop(self.0.try_send(job));
        Box::new(move || read.recv().unwrap_or_else(|_| read_bundle(first, &bundle)))
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { first, bundle, done }) = job else { return };
        // Nobody waits any more where the pack was found to be damaged.
        drop(done.send(read_bundle(first, &bundle)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bundle of so many entries that are none; what is said of each names it.
    fn bundle(first: u64) -> Vec<u8> {
        let entry = |at: u64| format!("{{\"at\":{}}}", first + at).into_bytes();
        let entries = (0..64).map(entry);
        entries
            .flat_map(|entry| {
                let length = u16::try_from(entry.len()).unwrap_or_default().to_be_bytes();
                length.into_iter().chain(entry)
            })
            .collect()
    }

    /// On no thread, on few and on many, what comes out is what was put in, in its order.
    #[test]
    fn the_order_is_kept_however_many_threads_there_are() {
        for threads in [0, 1, 3] {
            let mut ahead = Ahead::with_threads(threads);
            let firsts = (0..40).map(|n| n * 64);
            let begun: Vec<(u64, Pending)> = firsts.map(|first| (first, ahead.begin(first, bundle(first)))).collect();
            drop(ahead);
            for (first, wait) in begun {
                let (found, wanted) = (wait(), read_bundle(first, &bundle(first)));
                assert_eq!((found.len(), found.iter().all(Result::is_err)), (64, true));
                assert_eq!(
                    format!("{found:?}"),
                    format!("{wanted:?}"),
                    "{threads} threads, from {first}"
                );
            }
        }
    }
}
