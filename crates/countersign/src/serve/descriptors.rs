//! Open files: a connection is one, a session is several. The server takes as many as it may have, and lets strangers
//! hold only a part of them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Below this a busy day runs out of them.
const ENOUGH: u64 = 4096;
/// Connections that have not logged in: at most these, so that a crowd of them leaves room for people …
const STRANGERS_MAX: u64 = 2048;
/// … and at most one in so many of the files.
const STRANGERS_PART: u64 = 4;

/// Raises the limit to what the system allows, and gives it.
pub(super) fn raise() -> u64 {
    let known = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: known.maximum,
        maximum: known.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    // None is no limit.
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if files < ENOUGH {
        tracing::warn!(
            files,
            "few files may be open at once: raise the hard limit, such as by LimitNOFILE=65536 in the service's unit"
        );
    }
    files
}

/// How many connections may be open that have not logged in.
pub(super) fn strangers_max(files: u64) -> usize {
    usize::try_from((files / STRANGERS_PART).clamp(1, STRANGERS_MAX)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_leave_most_files_to_people() {
        assert_eq!(
            [0, 64, 1024, 4096, u64::MAX].map(strangers_max),
            [1, 16, 256, 1024, 2048]
        );
    }
}
