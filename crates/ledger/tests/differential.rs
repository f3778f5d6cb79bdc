//! Compares with independent implementations, in both directions: trees and proofs with `ct-merkle` and `tlog_tiles`,
//! tiles with `tlog_tiles`, notes and keys with `signed_note`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

use std::collections::BTreeMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use ledger::consistency::{self, Head};
use ledger::hash;
use ledger::inclusion;
use ledger::tile::{self, TileKind, TilePath, TileReader};
use ledger::tree::Node;
use ledger::{Hash, KeyName, Note, NoteKey, Tree, VerifierKey};
use proptest::prelude::*;
use sha2::Sha256;
use tlog_tiles::{HashReader, TileReader as _};

fn entry(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

/// Our own log: every node, and the root at every size.
struct Log {
    nodes: BTreeMap<Node, Hash>,
    roots: Vec<Hash>,
}

impl Log {
    fn of(size: u64) -> Self {
        let mut tree = Tree::new();
        let mut log = Self {
            nodes: BTreeMap::new(),
            roots: vec![tree.root()],
        };
        for index in 0..size {
            tree.append_with(hash::leaf(&entry(index)), |node, hash| {
                _ = log.nodes.insert(node, *hash)
            })
            .unwrap();
            log.roots.push(tree.root());
        }
        log
    }

    fn read(&self, node: Node) -> Result<Hash, Node> {
        self.nodes.get(&node).copied().ok_or(node)
    }

    fn head(&self, size: u64) -> Head {
        Head {
            size,
            root: self.roots[usize::try_from(size).unwrap()],
        }
    }

    /// Bytes of any tile of the tree of `size`; partial tiles only with the width of that size.
    fn tile(&self, path: TilePath, size: u64) -> Option<Vec<u8>> {
        if TilePath::of_tree(path.kind(), path.index(), size)? != path {
            return None;
        }
        Some(tile::encode(&tile::from_nodes(path, |node| self.read(node))?.unwrap()))
    }
}

fn digests(hashes: &[Hash]) -> Vec<sha2::digest::Output<Sha256>> {
    hashes.iter().map(|hash| (*hash.as_bytes()).into()).collect()
}

fn ours(bytes: &[u8]) -> Vec<Hash> {
    bytes
        .as_chunks::<32>()
        .0
        .iter()
        .copied()
        .map(Hash::from_bytes)
        .collect()
}

#[test]
fn ct_merkle_agrees_on_every_proof_of_small_trees_and_some_of_large_ones() {
    let log = Log::of(2_100);
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for index in 0..2_100u64 {
        theirs.push(entry(index));
        let size = index + 1;
        let interesting =
            size <= 70 || [127, 128, 129, 255, 256, 257, 1_000, 1_024, 2_047, 2_048, 2_049, 2_100].contains(&size);
        if interesting {
            compare_with_ct_merkle(&log, &theirs, size);
        }
    }
}

fn compare_with_ct_merkle(log: &Log, theirs: &MemoryBackedTree<Sha256, Vec<u8>>, size: u64) {
    let head = log.head(size);
    let root = RootHash::<Sha256>::new((*head.root.as_bytes()).into(), size);
    assert_eq!(theirs.root().as_bytes().as_slice(), head.root.as_bytes());
    let step = if size <= 70 { 1 } else { 37 };
    for index in (0..size).step_by(step).chain([size - 1]) {
        let proof = inclusion::prove(index, size, |node| log.read(node)).unwrap();
        let their_proof = theirs.prove_inclusion(usize::try_from(index).unwrap());
        assert_eq!(ours(their_proof.as_bytes()), proof, "inclusion of {index} in {size}");
        let again = InclusionProof::<Sha256>::from_digests(digests(&proof).iter());
        root.verify_inclusion(&entry(index), index, &again).unwrap();
        inclusion::verify(index, size, &hash::leaf(&entry(index)), &proof, &head.root).unwrap();
    }
    for old in (1..size).step_by(step) {
        let proof = consistency::prove(old, size, |node| log.read(node)).unwrap();
        let their_proof = theirs.prove_consistency(usize::try_from(size - old).unwrap());
        assert_eq!(ours(their_proof.as_bytes()), proof, "consistency of {old} with {size}");
        let older = RootHash::<Sha256>::new((*log.head(old).root.as_bytes()).into(), old);
        root.verify_consistency(&older, &ConsistencyProof::from_digests(digests(&proof).iter()))
            .unwrap();
        consistency::verify(&log.head(old), &head, &proof).unwrap();
    }
}

/// Their hash storage, filled by their code.
struct TheirLog(Vec<tlog_tiles::Hash>);

impl HashReader for TheirLog {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes
            .iter()
            .map(|index| self.0[usize::try_from(*index).unwrap()])
            .collect())
    }
}

impl TheirLog {
    fn of(size: u64) -> Self {
        let mut log = Self(Vec::new());
        for index in 0..size {
            let hashes = tlog_tiles::stored_hashes(index, &entry(index), &log).unwrap();
            log.0.extend(hashes);
        }
        log
    }
}

/// `tlog_tiles` puts the height (8) into the path and calls entry tiles data.
fn their_path(path: TilePath) -> String {
    path.to_string()
        .replacen("tile/entries/", "tile/data/", 1)
        .replacen("tile/", "tile/8/", 1)
}

#[test]
fn tlog_tiles_agrees_on_tiles_paths_and_proofs() {
    let theirs = TheirLog::of(3_000);
    let log = Log::of(3_000);
    for (old, new) in [
        (0, 1),
        (0, 256),
        (1, 257),
        (255, 256),
        (256, 257),
        (300, 301),
        (0, 3_000),
        (511, 2_999),
        (2_999, 3_000),
    ] {
        let mut expected: Vec<String> = tlog_tiles::Tile::new_tiles(8, old, new)
            .iter()
            .map(tlog_tiles::Tile::path)
            .collect();
        let tiles: Vec<TilePath> = tile::new_tiles(old, new)
            .filter(|path| path.kind() != TileKind::Entries)
            .collect();
        let mut paths: Vec<String> = tiles.iter().copied().map(their_path).collect();
        expected.sort();
        paths.sort();
        assert_eq!(paths, expected, "{old} to {new}");
        for path in tiles {
            let their_tile = tlog_tiles::Tile::from_path(&their_path(path)).unwrap();
            assert_eq!(
                their_tile.read_data(&theirs).unwrap(),
                log.tile(path, new).unwrap(),
                "{path} of {new}"
            );
        }
    }
    for size in [1, 2, 255, 256, 257, 700, 3_000] {
        let root = tlog_tiles::tree_hash(size, &theirs).unwrap();
        assert_eq!(&root.0, log.head(size).root.as_bytes());
        for index in (0..size).step_by(61) {
            let proof = inclusion::prove(index, size, |node| log.read(node)).unwrap();
            let their_proof = tlog_tiles::prove_record(size, index, &theirs).unwrap();
            assert_eq!(
                their_proof
                    .iter()
                    .map(|hash| Hash::from_bytes(hash.0))
                    .collect::<Vec<_>>(),
                proof
            );
            let same: Vec<tlog_tiles::Hash> = proof.iter().map(|hash| tlog_tiles::Hash(*hash.as_bytes())).collect();
            tlog_tiles::check_record(&same, size, root, index, tlog_tiles::record_hash(&entry(index))).unwrap();
        }
        for old in (1..size).step_by(61) {
            let proof = consistency::prove(old, size, |node| log.read(node)).unwrap();
            let same: Vec<tlog_tiles::Hash> = proof.iter().map(|hash| tlog_tiles::Hash(*hash.as_bytes())).collect();
            let older = tlog_tiles::Hash(*log.head(old).root.as_bytes());
            tlog_tiles::check_tree(&same, size, root, old, older).unwrap();
        }
    }
}

/// Serves our tiles to their reader, which authenticates each against the root.
struct OurTiles<'a>(&'a Log, u64);

impl tlog_tiles::TileReader for OurTiles<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let path = |tile: &tlog_tiles::Tile| {
            let kind = TileKind::Hashes(tile.level());
            TilePath::new(kind, tile.level_index(), u16::try_from(tile.width()).unwrap()).unwrap()
        };
        Ok(tiles
            .iter()
            .map(|tile| self.0.tile(path(tile), self.1).unwrap())
            .collect())
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

#[test]
fn proofs_from_tiles_are_the_same_for_both_readers() {
    let log = Log::of(2_500);
    for size in [1, 255, 256, 257, 511, 512, 2_500] {
        let mut reader = TileReader::new(size, |path| log.tile(path, size));
        assert_eq!(reader.root(), Ok(log.head(size).root));
        let tiles = OurTiles(&log, size);
        assert_eq!(tiles.height(), 8);
        let theirs = tlog_tiles::TileHashReader::new(size, tlog_tiles::Hash(*log.head(size).root.as_bytes()), &tiles);
        for index in (0..size).step_by(31) {
            let proof = reader.prove_inclusion(index).unwrap();
            assert_eq!(proof, inclusion::prove(index, size, |node| log.read(node)).unwrap());
            let their_proof = tlog_tiles::prove_record(size, index, &theirs).unwrap();
            assert_eq!(
                their_proof
                    .iter()
                    .map(|hash| Hash::from_bytes(hash.0))
                    .collect::<Vec<_>>(),
                proof
            );
        }
        for old in (0..=size).step_by(31) {
            let proof = reader.prove_consistency(old).unwrap();
            consistency::verify(&log.head(old), &log.head(size), &proof).unwrap();
        }
    }
}

#[test]
fn a_full_tile_stands_in_for_a_partial_one() {
    let log = Log::of(2_500);
    let mut reader = TileReader::new(300, |path| if path.is_partial() { None } else { log.tile(path, 2_500) });
    assert_eq!(reader.node(Node { level: 0, index: 299 }), Ok(hash::leaf(&entry(299))));
    // Level 1 has no full tile before 65,536 entries.
    assert!(reader.root().is_err());
}

/// Their keys are checked against ours in both directions.
fn pair(name: &str, seed: &[u8; 32]) -> (NoteKey, signed_note::StandardSigner, signed_note::StandardVerifier) {
    let key = NoteKey::from_seed(KeyName::new(name).unwrap(), seed);
    let signer = signed_note::StandardSigner::new(&key.to_text()).unwrap();
    let verifier = signed_note::StandardVerifier::new(&key.verifier().to_string()).unwrap();
    (key, signer, verifier)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn signed_note_agrees_on_keys_and_notes(
        name in "[a-zé—]{1,12}(/[a-z0-9.]{1,8})?",
        seeds in prop::array::uniform2(any::<[u8; 32]>()),
        text in "([a-zA-Z0-9 é—=+/]{0,20}\n){1,6}",
    ) {
        let (key, signer, verifier) = pair(&name, &seeds[0]);
        let (other, ..) = pair("other.example/log", &seeds[1]);
        let known = signed_note::VerifierList::new(vec![Box::new(verifier)]);

        let mut mine = Note::unsigned(text.clone()).unwrap();
        mine.sign(&other).unwrap();
        mine.sign(&key).unwrap();
        let theirs = signed_note::Note::from_bytes(mine.to_string().as_bytes()).unwrap();
        let (verified, unverified) = theirs.verify(&known).unwrap();
        prop_assert_eq!((verified.len(), unverified.len()), (1, 1));
        prop_assert_eq!(theirs.to_bytes(), mine.to_string().into_bytes());

        let mut theirs = signed_note::Note::new(text.as_bytes(), &[]).unwrap();
        theirs.add_sigs(&[&signer]).unwrap();
        let mine = Note::parse(&theirs.to_bytes()).unwrap();
        prop_assert!(mine.verify(key.verifier()).unwrap().is_some());
        prop_assert_eq!(mine.verify(other.verifier()).unwrap(), None);
        prop_assert_eq!(mine.to_string().into_bytes(), theirs.to_bytes());
    }

    #[test]
    fn what_we_accept_as_a_note_they_accept(
        text in "(a\n|\n|b c\n|— k AAAAAAA=\n){0,6}",
        lines in "(— k[é+ ]? AAAAAA[A-C]=\n|— k AAAA\n|\n){0,3}",
    ) {
        let note = format!("{text}{lines}");
        if let Ok(mine) = Note::parse(note.as_bytes()) {
            let theirs = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
            prop_assert_eq!(theirs.text(), mine.text().as_bytes());
        }
    }
}

#[test]
fn their_generated_keys_are_read() {
    let theirs = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    let key = NoteKey::parse(theirs).ok().unwrap();
    let point = ed25519_dalek::VerifyingKey::from_bytes(key.verifier().public()).unwrap();
    assert!(!point.is_weak());
    let vkey: VerifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
        .parse()
        .unwrap();
    assert_eq!(&vkey, key.verifier());
}
