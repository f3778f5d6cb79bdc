//! What the parts of a pack say about each other: blobs and disclosures against their entries, recordings against the
//! chain that the log tells of.

use super::collect::Collected;
use super::recording::Track;
use super::report::Claim;
use crate::disclosure;
use crate::grounds::{Grounds, Recording};
use crate::pack::{Name, Place, SessionLine, proven_entries};
use crate::render::counted;
use crate::replay::Dossier;
use model::body::Recorded;
use model::entry::BlobKind;
use recording::chain_start;

pub(super) fn check(parts: &Collected, grounds: &mut Grounds) -> Vec<Claim> {
    let mut claims = vec![proven(parts), blobs(parts)];
    for line in &parts.manifest.sessions {
        let subject = format!("recording {}", line.id);
        let Some(dossier) = parts.log.world.dossier(line.id) else {
            claims.push(Claim::fails(
                "session",
                Place::Session(line.id),
                "does not exist in the log",
            ));
            continue;
        };
        let track = parts.tracks.get(&line.id);
        let result = recording(parts, line, dossier, track);
        let intact = result.is_ok();
        claims.push(match result {
            Ok(detail) => Claim::holds(&subject, detail),
            Err((at, what)) => Claim::fails(&subject, at, what),
        });
        let totals = track.map(|track| track.totals).unwrap_or_default();
        let recorded = Recording {
            intact,
            extents: track.map_or(0, Track::extents),
            frames: totals.frames(),
            bytes_in: totals.bytes_in(),
            bytes_out: totals.bytes_out(),
            withheld: track.map_or(0, |track| track.withheld),
            openable: parts.wraps.contains_key(&line.id),
        };
        grounds.recordings.insert(line.id, recorded);
    }
    claims
}

/// Opening, approvals and end of each session come with a proof of their own.
fn proven(parts: &Collected) -> Claim {
    let mut count = 0;
    for dossier in parts.log.world.sessions() {
        for (entry, _) in proven_entries(dossier) {
            count += 1;
            if !parts.proofs.contains_key(&entry) {
                return Claim::fails("papers", Place::File(Name::Proof(entry)), "is missing");
            }
        }
    }
    Claim::holds(
        "papers",
        format!(
            "each opening, approval and end has a proof of its own: {}",
            counted(count, "proof")
        ),
    )
}

fn blobs(parts: &Collected) -> Claim {
    let world = &parts.log.world;
    for (entry, (digest, size)) in &parts.openings {
        let blobs = world.entry_of(*entry).map(|placed| placed.entry.blobs.as_slice());
        let named = blobs
            .unwrap_or_default()
            .iter()
            .any(|blob| blob.kind == BlobKind::Openings && blob.sha256 == *digest && blob.size == *size);
        if !named {
            return Claim::fails(
                "blobs",
                Place::File(Name::Openings(*entry)),
                "is not the blob that the entry names",
            );
        }
    }
    for (session, digest) in &parts.wraps {
        let opening = world.dossier(*session).and_then(|dossier| dossier.opening.as_ref());
        if opening
            .and_then(|at| at.body())
            .is_none_or(|opened| opened.wraps != *digest)
        {
            return Claim::fails(
                "blobs",
                Place::File(Name::Wraps(*session)),
                "is not the key that the opening names",
            );
        }
    }
    for (entry, openings) in &parts.disclosed {
        let placed = world.entry_of(*entry);
        if !placed.is_some_and(|placed| disclosure::opens(&placed.entry.body, openings)) {
            return Claim::fails(
                "blobs",
                Place::File(Name::Disclosed(*entry)),
                "does not open the entry's commitments",
            );
        }
    }
    Claim::holds(
        "blobs",
        format!(
            "as the log names them: {}, {}, {}",
            counted(parts.wraps.len(), "wrapped key"),
            counted(parts.openings.len(), "sealed opening"),
            counted(parts.disclosed.len(), "disclosed opening")
        ),
    )
}

type Misfit = (Place, String);

fn recording(
    parts: &Collected,
    line: &SessionLine,
    dossier: &Dossier,
    track: Option<&Track>,
) -> Result<String, Misfit> {
    let session = line.id;
    let held = track.map_or(0, Track::extents);
    let Some(recorded) = dossier.recorded() else {
        return match held {
            0 => Ok("the log tells of no recording".into()),
            _ => Err((Place::Extent(session, 0), "the log tells of no recording".into())),
        };
    };
    if held < recorded.extents {
        let what = format!("is missing: the log tells of {}", counted(recorded.extents, "extent"));
        return Err((Place::Extent(session, held), what));
    }
    if held > recorded.extents {
        return Err((
            Place::Extent(session, recorded.extents),
            "is one that the log does not tell of".into(),
        ));
    }
    let opened = dossier.opening.as_ref().and_then(|at| at.body());
    let Some(opened) = opened else {
        return Err((Place::Session(session), "a recording without an opening".into()));
    };
    let start = chain_start(&parts.manifest.origin, &session.to_bytes(), &opened.dek.0);
    if track
        .and_then(|track| track.start)
        .is_some_and(|stated| stated != start)
    {
        return Err((
            Place::Extent(session, 0),
            "does not begin where the opening does".into(),
        ));
    }
    for (index, line) in &dossier.progress {
        if !fits(track, &start, line) {
            return Err((Place::Entry(*index), "tells of another recording".into()));
        }
    }
    if !fits(track, &start, recorded) {
        return Err((Place::Session(session), "its end tells of another recording".into()));
    }
    Ok(summary(recorded, track))
}

/// The recording stood there when the log said so.
fn fits(track: Option<&Track>, start: &[u8; 32], stated: &Recorded) -> bool {
    let found = match stated.extents {
        0 => Some((0, *start)),
        extents => track.and_then(|track| track.after(extents)),
    };
    found == Some((stated.frames, stated.chain.0))
}

fn summary(recorded: &Recorded, track: Option<&Track>) -> String {
    let withheld = match track.map_or(0, |track| track.withheld) {
        0 => String::new(),
        count => format!(", {count} of them withheld input"),
    };
    format!(
        "{}, {}{withheld}: ciphertext intact, content not checked",
        counted(recorded.extents, "extent"),
        counted(recorded.frames, "frame")
    )
}
