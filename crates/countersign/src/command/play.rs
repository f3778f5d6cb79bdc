//! `countersign play`: shows a recorded session on the terminal, or writes it as an asciicast.

use crate::command::export::read_identity;
use crate::command::held::{Held, HeldArgs};
use crate::exit::Failure;
use crate::player::{self, Pace, Script};
use crate::progress::Bar;
use crate::{clock, file};
use clap::Args;
use evidence::render::counted;
use model::bytes::Digest;
use model::id::SessionId;
use recording::{CastOptions, Content, Dek, ExportedExtent, Opener, Played, Resize, asciicast, play_extent};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  countersign play ses_01… --identity acme/recording-1.key --key bob
  countersign play ses_01… --pack evidence.pack --identity recording-1.key --speed 4
  countersign play ses_01… --pack evidence.pack --identity recording-1.key \\
      --asciicast session.cast

Keys: space pauses, left and right jump ten seconds, + and - change the speed, q ends.

What the target printed is filtered: it can draw, and do nothing else to your terminal; into a file or a pipe goes \
the text alone. The key file is one of the owner's recording keys.")]
pub(crate) struct PlayArgs {
    /// The session
    session: SessionId,
    /// Opens the recording: a key file (age) of the owner, or of the operator where it may
    #[arg(long, value_name = "FILE", env = "COUNTERSIGN_IDENTITY")]
    identity: PathBuf,
    /// How many times as fast
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Begin here, such as `90s` or `5m`; of a large recording, hold what comes from here on
    #[arg(long, value_name = "TIME", value_parser = clock::parse_length)]
    seek: Option<u64>,
    /// Longest time in which nothing happens, such as `2s`
    #[arg(long, value_name = "LENGTH", value_parser = clock::parse_length)]
    idle_max: Option<u64>,
    /// Only this channel, counted from 0 [default: all]
    #[arg(long, value_name = "N")]
    channel: Option<u32>,
    /// Write an asciicast (version 2) instead of playing
    #[arg(long, value_name = "FILE")]
    asciicast: Option<PathBuf>,
    /// In the asciicast, also what was typed, where it was kept
    #[arg(long, requires = "asciicast")]
    input: bool,
    #[command(flatten)]
    held: HeldArgs,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (0.01..=1000.0).contains(&speed) {
        Ok(speed)
    } else {
        Err("a speed is between 0.01 and 1000".into())
    }
}

pub(crate) async fn run(args: PlayArgs) -> Result<(), Failure> {
    let identity = read_identity(&args.identity)?;
    let held = Held::open(&args.held, args.session).await?;
    let opened = held.opening().await?;
    let wraps = held.wraps().await?.ok_or_else(|| {
        Failure::refused("the recording's key is not here any more; without it only its integrity can be checked")
    })?;
    let key = store::open_with(&identity, &wraps).map_err(|error| {
        Failure::refused(error).next("name a key file that this session was wrapped to: --identity")
    })?;
    let key: [u8; 32] = key
        .as_slice()
        .try_into()
        .map_err(|_| Failure::refused("what the key file opened is not the key of a recording"))?;
    let dek = Dek::from_bytes(key);
    if Digest(dek.commitment()) != opened.dek {
        return Err(Failure::refused(
            "what the key file opened is the key of another recording",
        ));
    }
    let mut opener = Opener::new(&dek, &opened.origin, args.session.to_bytes()).map_err(Failure::refused)?;
    let played = played(held, &mut opener, &args).await?;
    match &args.asciicast {
        Some(path) => cast(&args, path, &played, opened.time_ms),
        None => {
            let script = Script::new(played, args.channel);
            let pace = Pace {
                speed: args.speed,
                idle_max: args.idle_max.map(Duration::from_millis),
            };
            player::play(&script, pace, args.seek.unwrap_or(0).saturating_mul(1000))?;
            if script.removed() > 0 {
                eprintln!(
                    "not shown: {} of the target",
                    counted(script.removed(), "escape sequence")
                );
            }
            Ok(())
        }
    }
}

/// What may be shown at once: all of it is held, to seek in it.
const SHOWN_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What is to be shown of the recording: of one that is too large, as much as can be held from `--seek` on.
async fn played(held: Held, opener: &mut Opener, args: &PlayArgs) -> Result<Vec<Played>, Failure> {
    let mut bar = Bar::new();
    let (mut played, mut held_bytes) = (vec![], 0_usize);
    let mut channels = BTreeSet::new();
    let from_us = args.seek.unwrap_or(0).saturating_mul(1000);
    let total = held.extents().await?;
    let mut pieces = held.recording().await?;
    while let Some(bytes) = pieces.next().await? {
        let extent = ExportedExtent::parse(&bytes).map_err(Failure::refused)?;
        let mut frames = play_extent(opener, &extent).map_err(Failure::refused)?;
        channels.extend(
            frames
                .iter()
                .filter(|frame| !is_remark(frame))
                .map(|frame| frame.channel),
        );
        frames.retain(|frame| is_shown(frame, args));
        held_bytes = frames.iter().map(length).fold(held_bytes, usize::saturating_add);
        played.append(&mut frames);
        if held_bytes > SHOWN_BYTES_MAX {
            let before = played.partition_point(|frame| frame.time_us < from_us);
            played.drain(..before);
            held_bytes = played.iter().map(length).sum();
        }
        if held_bytes > SHOWN_BYTES_MAX {
            let until_s = played.last().map_or(0, |frame| frame.time_us / 1_000_000);
            eprintln!(
                "this recording is large: shown up to {until_s} s of it; --seek {until_s}s shows what comes after, --channel N less"
            );
            break;
        }
        bar.at(
            "recording",
            extent.seal.number.saturating_add(1),
            total.max(extent.seal.number + 1),
        );
    }
    match args.channel {
        Some(channel) if !channels.is_empty() && !channels.contains(&channel) => {
            let there: Vec<String> = channels.iter().map(u32::to_string).collect();
            Err(Failure::usage(format!("this session has no channel {channel}"))
                .next(format!("its channels: {}", there.join(", "))))
        }
        _ if played.is_empty() => Err(Failure::refused("nothing to be shown is recorded of this session")),
        _ => Ok(played),
    }
}

/// What concerns the session, and stands on no channel of its own.
const fn is_remark(frame: &Played) -> bool {
    matches!(
        frame.content,
        Content::Mark(_) | Content::Gap(_) | Content::Halt(_) | Content::Malformed
    )
}

fn is_shown(frame: &Played, args: &PlayArgs) -> bool {
    let concerns = args.channel.is_none_or(|channel| frame.concerns(channel));
    concerns && (args.input || !matches!(frame.content, Content::Input(_)))
}

const fn length(frame: &Played) -> usize {
    match &frame.content {
        Content::Output(bytes) | Content::ErrorOutput(bytes) | Content::Input(bytes) => bytes.len(),
        _ => 0,
    }
}

fn cast(args: &PlayArgs, path: &std::path::Path, played: &[Played], opened_ms: u64) -> Result<(), Failure> {
    let options = CastOptions {
        channel: args.channel,
        input: args.input,
        timestamp: Some(opened_ms / 1000),
        title: &args.session.to_string(),
        size: Resize { columns: 80, rows: 24 },
    };
    let text = asciicast(played, &options).map_err(Failure::unavailable)?;
    file::create_private(path, text.as_bytes())?;
    println!("{}: {}", path.display(), counted(text.len(), "byte"));
    Ok(())
}
