//! Packs: what verifies, what does not, and where it says the fault is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that cannot set up must stop"
)]

mod scene;

use evidence::pack::Place;
use evidence::trust::Trust;
use evidence::verify::{Outcome, Report, Status, Verified, verify};
use model::verdict;
use scene::{Scene, keys};

fn check(pack: &[u8], trust: Option<&Trust>) -> Verified {
    verify(pack, trust, &mut |_| ()).unwrap()
}

fn report(scene: &Scene, pack: &[u8]) -> Report {
    check(pack, Some(&scene.trust())).report
}

fn failed(report: &Report) -> Vec<String> {
    let failed = report.claims.iter().filter(|claim| claim.outcome == Outcome::Fails);
    failed
        .map(|c| format!("{} at {}: {}", c.subject, c.at.as_ref().unwrap(), c.detail))
        .collect()
}

/// Where each file's body lies in a pack: name, begin, end.
fn bodies(pack: &[u8]) -> Vec<(String, usize, usize)> {
    let mut at = 0;
    let mut files = vec![];
    while pack[at] != 0 {
        let name = pack[at..at + 100].split(|b| *b == 0).next().unwrap();
        let size = std::str::from_utf8(&pack[at + 124..at + 135]).unwrap();
        let size = usize::from_str_radix(size, 8).unwrap();
        files.push((String::from_utf8(name.to_vec()).unwrap(), at + 512, at + 512 + size));
        at += 512 + size.div_ceil(512) * 512;
    }
    files
}

#[test]
fn an_honest_pack_is_trusted() {
    let scene = Scene::honest();
    let pack = scene.pack();
    let report = report(&scene, &pack);
    assert_eq!(report.status, Status::Trusted, "{report:#?}");
    assert!(failed(&report).is_empty());
    assert!(
        report
            .claims
            .iter()
            .any(|c| c.subject == "tail" && c.detail.starts_with("tail unproven"))
    );
    assert!(report.claims.iter().any(|c| c.detail.contains("its two parties alone")));
    assert!(
        report
            .claims
            .iter()
            .any(|c| c.detail.ends_with("ciphertext intact, content not checked"))
    );
    let mut disclosed = check(&pack, None);
    assert_eq!(disclosed.report.status.exit_code(), 2);
    assert!(
        disclosed
            .report
            .result()
            .starts_with("self-consistent up to entry 18 (session ended), trust not established")
    );
    let verdict = disclosed.explain(scene.session).unwrap();
    assert_eq!(
        (verdict.overall, verdict.integrity),
        (verdict::Outcome::Unknown, verdict::Outcome::Unknown)
    );
    assert!(!verdict.approved && !verdict.monitored && !verdict.attributable);
    disclosed = check(&pack, Some(&scene.trust()));
    let openings = &disclosed.reading().unwrap().disclosed[&scene.disclosed[0].entry];
    assert_eq!(openings.fields[0].value.as_bytes(), b"openssl update");
}

/// The file that the fault is reported in is the one that holds the byte, down to the entry and the extent.
#[test]
fn r018_every_flipped_byte_is_refused_and_located() {
    let mut scene = Scene::honest();
    scene.disclosed.truncate(1);
    let pack = scene.pack();
    assert!(pack.len() <= 32 * 1024, "{} bytes", pack.len());
    let trust = scene.trust();
    let bodies = bodies(&pack);
    let places = Places::of(&pack, &bodies);
    let soak = std::env::var_os("COUNTERSIGN_SOAK").is_some();
    let flip = |at: usize| {
        let bits = if soak { 0..8 } else { at % 8..at % 8 + 1 };
        for bit in bits {
            let mut bad = pack.clone();
            bad[at] ^= 1 << bit;
            let report = check(&bad, Some(&trust)).report;
            places.assert_located(at, &report.status);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| (0..pack.len()).step_by(2).for_each(flip));
        (1..pack.len()).step_by(2).for_each(flip);
    });
}

struct Places<'a> {
    bodies: &'a [(String, usize, usize)],
    /// Begin and end of each entry with its length before it.
    entries: Vec<(usize, usize)>,
}

impl<'a> Places<'a> {
    fn of(pack: &[u8], bodies: &'a [(String, usize, usize)]) -> Self {
        let (_, begin, end) = bodies
            .iter()
            .find(|(name, ..)| name.starts_with("tile/entries/"))
            .unwrap();
        let mut entries = vec![];
        let mut at = *begin;
        while at < *end {
            let length = usize::from(u16::from_be_bytes([pack[at], pack[at + 1]]));
            entries.push((at, at + 2 + length));
            at += 2 + length;
        }
        Self { bodies, entries }
    }

    fn assert_located(&self, at: usize, status: &Status) {
        let file = self.bodies.iter().find(|(_, begin, end)| (*begin..*end).contains(&at));
        let Some((name, begin, _)) = file else {
            // Headers, padding and the end: the byte's own block, or the file that its header then names.
            return match status {
                Status::Tampered {
                    at: Place::Byte(found), ..
                } => assert_eq!(*found / 512, at as u64 / 512),
                Status::Tampered { at: Place::File(_), .. } => {}
                status => panic!("byte {at}: {status:?}"),
            };
        };
        match status {
            Status::Tampered {
                at: Place::Entry(index),
                ..
            } => {
                let (begin, end) = self.entries[*index as usize];
                assert!((begin..end).contains(&at), "byte {at} is not in entry {index}");
            }
            Status::Tampered {
                at: Place::Hash(index), ..
            } => {
                assert!(name.starts_with("tile/0/"), "byte {at}");
                assert_eq!(*index as usize, (at - begin) / 32);
            }
            Status::Tampered {
                at: Place::Extent(session, number),
                ..
            } => {
                assert_eq!(*name, format!("extents/{session}/{number:08}"), "byte {at}");
            }
            Status::Tampered {
                at: Place::File(found), ..
            } => assert_eq!(found.to_string(), *name, "byte {at}"),
            // The version byte of an extent, or of a frame in its table, can only say that a later version wrote it.
            Status::NewerFormat { what } => {
                let version = at - begin == 3 || (at - begin).checked_sub(128).is_some_and(|row| row % 81 == 4);
                assert!(name.starts_with("extents/") && version, "byte {at}: {what}")
            }
            status => panic!("byte {at} in {name}: {status:?}"),
        }
    }
}

#[test]
fn r018_a_pack_that_is_cut_off_or_goes_on_is_refused() {
    let scene = Scene::honest();
    let pack = scene.pack();
    for cut in (0..pack.len()).step_by(97).chain([pack.len() - 1]) {
        let report = report(&scene, &pack[..cut]);
        assert_eq!(report.status.exit_code(), 1, "cut at {cut}");
    }
    assert_eq!(report(&scene, &[&pack[..], b"x"].concat()).status.exit_code(), 1);
}

/// An edit, packed and signed anew with the real log key: nobody whom the reader believes vouches for it, and the heads
/// that the witness saw before contradict it.
#[test]
fn r018_what_the_log_key_signs_anew_is_refused() {
    let mut scene = Scene::honest();
    let at = scene.world.log.len() - 2;
    let mut entry = model::entry::Entry::parse(&scene.world.log[at]).unwrap();
    entry.time_ms += 1;
    scene.world.log[at] = entry.encode().unwrap();
    let covered = std::mem::take(&mut scene.covered);
    let pack = scene.pack_under(&scene.signed(&scene.world.log));
    let found = report(&scene, &pack);
    assert_eq!(found.status.exit_code(), 2, "{found:#?}");
    assert!(found.status.to_string().contains("quorum of the trust file is not met"));
    // An earlier edit stands against the head that the opening embeds.
    scene.covered = covered;
    let mut early = Scene::honest();
    let edited = early.world.now_ms;
    let mut entry = model::entry::Entry::parse(&early.world.log[10]).unwrap();
    entry.time_ms = edited;
    early.world.log[10] = entry.encode().unwrap();
    early.covered.clear();
    let found = report(&early, &early.pack_under(&early.signed(&early.world.log)));
    assert_eq!(found.status.exit_code(), 1);
    assert!(
        failed(&found)[0].contains("the log signed another history of the first 14 entries"),
        "{found:#?}"
    );
}

#[test]
fn r018_a_cut_tail_shows_against_what_the_reader_has_seen() {
    let mut scene = Scene::honest();
    let seen = scene.cosigned(scene.world.now_ms);
    let size = scene.world.log.len();
    // The last entry is the session's end; without it the pack is sound, and shorter than what was seen.
    scene.world.log.pop();
    let pack = scene.pack_under(&scene.cosigned(scene.world.now_ms));
    assert_eq!(report(&scene, &pack).status, Status::Trusted);
    let trust = scene.trust().with_seen(seen);
    let found = check(&pack, Some(&trust)).report;
    assert_eq!(
        failed(&found),
        [format!(
            "tail at entry {}: ends before the {size} entries that you have seen: cut off, or exported earlier; \
             ask for a new export",
            size - 1
        )]
    );
    // A different history of the same length.
    let mut other = Scene::honest();
    let other_seen = {
        let mut entry = model::entry::Entry::parse(other.world.log.last().unwrap()).unwrap();
        entry.time_ms += 1;
        *other.world.log.last_mut().unwrap() = entry.encode().unwrap();
        other.cosigned(other.world.now_ms)
    };
    let honest = Scene::honest();
    let found = check(&honest.pack(), Some(&honest.trust().with_seen(other_seen))).report;
    assert!(failed(&found)[0].contains("another history"), "{found:#?}");
}

#[test]
fn r018_a_dropped_extent_is_named() {
    let mut scene = Scene::honest();
    let session = scene.session;
    let pack = scene.pack();
    // The whole file, and the manifest says so too.
    let extents = scene.extents.get_mut(&session).unwrap();
    extents.pop();
    let shorter = repack(
        &pack,
        |name| !name.ends_with("00000001"),
        |text| text.replace("\"extents\":2", "\"extents\":1"),
    );
    let found = report(&scene, &shorter);
    assert!(
        failed(&found)[0].starts_with(&format!("recording {session} at extent 1 of {session}: is missing")),
        "{found:#?}"
    );
    let verdict = check(&shorter, Some(&scene.trust())).explain(session).unwrap();
    assert_eq!(
        (verdict.integrity, verdict.overall),
        (verdict::Outcome::Fail, verdict::Outcome::Unknown)
    );
    // Without the manifest's agreement.
    let found = report(
        &scene,
        &repack(&pack, |name| !name.ends_with("00000000"), str::to_owned),
    );
    assert_eq!(found.status.exit_code(), 1);
}

/// The same pack without some files, and with another manifest, whose digest is made anew.
fn repack(pack: &[u8], keep: impl Fn(&str) -> bool, manifest: impl Fn(&str) -> String) -> Vec<u8> {
    let mut out = vec![];
    for (name, begin, end) in bodies(pack).into_iter().filter(|(name, ..)| keep(name)) {
        let mut body = pack[begin..end].to_vec();
        if name == "manifest" {
            let text = String::from_utf8(body).unwrap();
            let (lines, _) = text.trim_end().rsplit_once('\n').unwrap();
            let lines = format!("{}\n", manifest(lines));
            let digest = model::bytes::Digest::of(lines.as_bytes());
            body = format!("{lines}{{\"sha256\":\"{digest}\"}}\n").into_bytes();
        }
        let mut header = pack[begin - 512..begin].to_vec();
        header[124..135].copy_from_slice(format!("{:011o}", body.len()).as_bytes());
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend(header);
        out.extend(&body);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

#[test]
fn an_approver_that_the_operator_enrols_is_named_and_ignored() {
    let mut scene = Scene::founded();
    let eve = scene
        .world
        .enrolment(40, "eve", "Acme Ltd", vec![model::statement::Role::Approve]);
    let body = model::body::Body::Enrolled(model::fixture::signed(
        &[model::fixture::seed::OPERATOR_ROOT],
        scene::ORIGIN,
        eve,
    ));
    let forged = scene.put(body, None, vec![]).index;
    let grant = scene.permission();
    scene.session = scene.run(grant);
    let found = report(&scene, &scene.pack());
    assert_eq!(
        failed(&found),
        [format!(
            "replay at entry {forged}: identity.enrolled has no effect (not_under_root: the statement is not signed under its organisation's root)"
        )]
    );
    // The session itself is not harmed by it.
    let verdict = check(&scene.pack(), Some(&scene.trust()))
        .explain(scene.session)
        .unwrap();
    assert_eq!(verdict.overall, verdict::Outcome::Pass);
}

#[test]
fn a_backdated_opening_is_named() {
    let scene = Scene::with(&[verdict::ControlId::Ev2]);
    let found = report(&scene, &scene.pack());
    assert_eq!(found.status.exit_code(), 1);
    assert!(
        failed(&found)[0].contains("backdated: witnesses saw it 60 s after"),
        "{found:#?}"
    );
}

/// Own roots, own keys, all of it consistent.
#[test]
fn an_invented_world_is_not_trusted() {
    let honest = Scene::honest();
    let mut invented = Scene::founded();
    let (log_key, witness) = keys(90);
    invented.world = model::fixture::World::new(scene::terms(&log_key, &witness));
    (invented.log_key, invented.witness) = (log_key, witness);
    let grant = invented.permission();
    invented.session = invented.run(grant);
    let found = check(&invented.pack(), Some(&honest.trust()));
    assert!(
        matches!(found.report.status, Status::TrustNotEstablished { .. }),
        "{:#?}",
        found.report
    );
    assert!(failed(&found.report).is_empty());
    assert_eq!(
        found.explain(invented.session).unwrap().overall,
        verdict::Outcome::Unknown
    );
    // The real log key and the real witness, but an owner that the reader does not know.
    let text = Trust::file_of(&honest.world.genesis());
    let policy: String = text
        .lines()
        .filter(|l| !l.starts_with("owner"))
        .map(|l| format!("{l}\n"))
        .collect();
    let other_owner = format!("{policy}owner acme {}\n", model::fixture::public(200));
    for (trust, why) in [
        (policy, "names no owner of `acme`"),
        (other_owner, "not signed under the owner's root"),
    ] {
        let trust = Trust::parse(trust.as_bytes()).unwrap();
        let found = check(&honest.pack(), Some(&trust)).report;
        assert_eq!(found.status.exit_code(), 2);
        assert!(found.status.to_string().contains(why), "{found:#?}");
    }
}

#[test]
fn a_newer_format_is_not_called_tampering() {
    let scene = Scene::honest();
    let pack = scene.pack();
    let newer = repack(&pack, |_| true, |text| text.replace("\"v\":1", "\"v\":2"));
    assert!(matches!(report(&scene, &newer).status, Status::NewerFormat { .. }));
    // A frame of a later version in an extent of this one: after its header, its count and the row's state.
    let mut frame = pack.clone();
    let (_, begin, _) = bodies(&pack)
        .into_iter()
        .find(|(name, ..)| name.starts_with("extents/"))
        .unwrap();
    frame[begin + 128 + 1 + 3] = 2;
    let status = report(&scene, &frame).status;
    assert_eq!(status.exit_code(), 3);
    assert!(status.to_string().contains("written by a newer format"), "{status}");
    let mut entries = Scene::founded();
    let text = String::from_utf8(entries.world.log.last().unwrap().clone()).unwrap();
    entries.world.log.push(text.replace("\"v\":1", "\"v\":2").into_bytes());
    let mut pack = Vec::new();
    let checkpoint = entries.cosigned(entries.world.now_ms);
    let log = &entries.world.log;
    let contents = evidence::pack::Contents {
        environment: &"acme".parse().unwrap(),
        checkpoint: &checkpoint,
        sessions: &[],
        proven: &[],
        loose: &[],
        bundles: &mut |first, count| Ok(log[first as usize..][..usize::from(count)].to_vec()),
        extents: &mut |_, _| Ok(vec![]),
    };
    evidence::pack::write(&mut pack, contents).unwrap();
    let status = report(&entries, &pack).status;
    assert_eq!(status.exit_code(), 3);
    assert!(status.to_string().contains("written by a newer format"), "{status}");
}

/// What any tar can list, a stranger can take apart.
#[test]
fn a_stock_tar_lists_a_pack() {
    let scene = Scene::honest();
    let dir = std::env::temp_dir().join(format!("countersign-pack-{}", std::process::id()));
    std::fs::write(&dir, scene.pack()).unwrap();
    let out = std::process::Command::new("tar").arg("-tf").arg(&dir).output().unwrap();
    std::fs::remove_file(&dir).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let listed: Vec<String> = String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    let names: Vec<String> = bodies(&scene.pack()).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(listed, names);
}
