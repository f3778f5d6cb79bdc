//! `countersign rebuild`: the projections of a stopped server's database made again from its entries, and the entries
//! held against what was signed and published of them.

use crate::exit::{Exit, Failure};
use crate::paint::Paint;
use crate::progress::Bar;
use crate::source;
use clap::Args;
use evidence::render::counted;
use ledger::hash::{self, Hash};
use ledger::tile::{self, TileKind};
use ledger::{TilePath, Tree};
use model::name::EnvironmentName;
use std::path::{Path, PathBuf};
use store::Store;

/// Hashes in a full tile.
const TILE_WIDTH: u64 = 256;
const PAGE: u32 = 512;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  countersign rebuild --data /var/lib/countersign

The server must be stopped. Nothing of the log changes: only what is derived from it is made again, by the functions \
that commits use, and must come out as it was. Then every entry is hashed: the published tiles name the first entry \
that is not what was published, the last signed head tells whether all are there. Exit code 1 if anything differs.")]
pub(crate) struct RebuildArgs {
    /// The server's folder
    #[arg(long, value_name = "DIR", default_value = "countersign-data")]
    data: PathBuf,
}

pub(crate) async fn run(args: RebuildArgs) -> Result<(), Failure> {
    let store = source::open_stopped(&args.data).await?;
    let sound = rebuild(&store, &args.data).await;
    store.close().await;
    if sound? {
        Ok(())
    } else {
        Err(Failure::silent(Exit::Refused))
    }
}

async fn rebuild(store: &Store, data: &Path) -> Result<bool, Failure> {
    let paint = Paint::of_output();
    let before = store.canonical_digest().await.map_err(Failure::unavailable)?;
    let mut sound = true;
    for environment in store.environments().await.map_err(Failure::unavailable)? {
        let rebuilt = store.rebuild(&environment).await.map_err(Failure::unavailable)?;
        println!("{environment}: {} projected again", counted(rebuilt.entries, "entry"));
        for (index, refused) in &rebuilt.refused {
            sound = false;
            println!("  {} entry {index} cannot stand there: {refused}", paint.bad("FAILED"));
        }
        match published(store, data, &environment).await? {
            Ok(said) => println!("  {} {said}", paint.good("ok")),
            Err(said) => {
                sound = false;
                println!("  {} {said}", paint.bad("FAILED"));
            }
        }
    }
    let after = store.canonical_digest().await.map_err(Failure::unavailable)?;
    if after == before {
        println!("{} projections are as they were: {after}", paint.good("ok"));
    } else {
        sound = false;
        println!(
            "{} projections differed from the log: {before} before, {after} now",
            paint.bad("FAILED")
        );
    }
    if !sound {
        println!(
            "next: keep this folder as it is, it is evidence; restore the newest copy of store.db in another, and start that: \
             the owner's witness tells whether anything is missing there"
        );
    }
    Ok(sound)
}

/// The entries against the published tiles and the last signed head; the inner error is what differs.
async fn published(
    store: &Store,
    data: &Path,
    environment: &EnvironmentName,
) -> Result<Result<String, String>, Failure> {
    let size = store.size(environment).await.map_err(Failure::unavailable)?;
    let head = store.signed_head(environment).await.map_err(Failure::unavailable)?;
    let mut bar = Bar::new();
    let mut tree = Tree::new();
    let mut signed_root = None;
    let mut tile: Vec<Hash> = vec![];
    while tree.size() < size {
        let from = tree.size();
        let entries = store
            .entries(environment, from..size, PAGE)
            .await
            .map_err(Failure::unavailable)?;
        if entries.is_empty() {
            return Ok(Err(format!("entry {from} is missing")));
        }
        for (index, bytes) in entries {
            if index != tree.size() {
                return Ok(Err(format!("entry {} is missing", tree.size())));
            }
            if index % TILE_WIDTH == 0 {
                tile = published_tile(data, environment, index / TILE_WIDTH);
            }
            let leaf = hash::leaf(&bytes);
            let place = usize::try_from(index % TILE_WIDTH).unwrap_or(usize::MAX);
            if tile.get(place).is_some_and(|published| *published != leaf) {
                return Ok(Err(format!("entry {index} is not the one that was published")));
            }
            tree.append(leaf).map_err(Failure::unavailable)?;
            if head.as_ref().is_some_and(|head| head.size == tree.size()) {
                signed_root = Some(tree.root());
            }
        }
        bar.at("entries", tree.size(), size);
    }
    Ok(match (head, signed_root) {
        (None, _) => Ok(format!("{}, none signed yet", counted(size, "entry"))),
        (Some(head), Some(root)) if root == head.root => Ok(format!(
            "{}; the first {} have the root that was signed",
            counted(size, "entry"),
            head.size
        )),
        (Some(head), Some(_)) => Err(format!(
            "the first {} entries do not have the root that was signed",
            head.size
        )),
        (Some(head), None) => Err(format!(
            "a head of {} was signed, here: {size}",
            counted(head.size, "entry")
        )),
    })
}

/// The leaf hashes of a full tile, where it was published; nothing where it was not.
fn published_tile(data: &Path, environment: &EnvironmentName, index: u64) -> Vec<Hash> {
    let path = TilePath::new(TileKind::Hashes(0), index, 256);
    let read = path.and_then(|path| {
        let file = data.join("tiles").join(environment.as_str()).join(path.to_string());
        tile::decode(path, &std::fs::read(file).ok()?).ok()
    });
    read.unwrap_or_default()
}
