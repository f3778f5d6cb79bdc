//! Frames opened into what happened: the common source of play, casts and screens.
//!
//! Not here: making output safe for a terminal (`hostile`), which every display of [`Content::Output`] needs.

use crate::body::{BodyError, Exit, Gap, Resize};
use crate::export::{ExportedExtent, ExportedFrame, FrameBody};
use crate::frame::{Header, Kind};
use crate::seal::{OpenError, Opener};

/// One thing that happened in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    /// The frame's index.
    pub index: u64,
    /// µs since the opening.
    pub time_us: u64,
    /// The channel.
    pub channel: u32,
    /// What happened.
    pub content: Content,
}

impl Played {
    /// Whether this belongs to `channel`'s story: its own, and what is missing, which concerns every channel.
    #[must_use]
    pub fn concerns(&self, channel: u32) -> bool {
        // Channels count from 0, so the number alone does not tell what is about the whole session.
        self.channel == channel || matches!(self.content, Content::Gap(_) | Content::Halt(_))
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The target printed. Hostile until filtered.
    Output(Vec<u8>),
    /// The target printed on its error stream. Hostile until filtered.
    ErrorOutput(Vec<u8>),
    /// The user typed or sent.
    Input(Vec<u8>),
    /// The user typed or sent this many bytes, which are withheld or for which no key is at hand.
    Withheld(u64),
    /// A new terminal size.
    Resize(Resize),
    /// A channel was opened for this.
    Opened(String),
    /// The channel was closed.
    Closed,
    /// The channel's program ended.
    Exit(Exit),
    /// Frames may be missing before this.
    Gap(Gap),
    /// The session was stopped because it could not be recorded any more.
    Halt(Gap),
    /// A remark of the gateway.
    Mark(String),
    /// The frame opened, but its body is not of its kind.
    Malformed,
}

/// Opens one exported frame.
///
/// # Errors
/// When it does not open under the given keys.
pub fn play_frame(opener: &mut Opener, frame: &ExportedFrame<'_>) -> Result<Played, OpenError> {
    let header = &frame.header;
    let content = match frame.body {
        FrameBody::Dropped(_) => Content::Withheld(header.plaintext_len()),
        FrameBody::Sealed(ciphertext) => match opener.open(header, ciphertext) {
            Ok(body) => content(header.kind, body),
            Err(OpenError::NoKey) => Content::Withheld(header.plaintext_len()),
            Err(error) => return Err(error),
        },
    };
    Ok(played(header, content))
}

/// Opens every frame of an extent.
///
/// # Errors
/// At the first frame that does not open; it names the frame.
pub fn play_extent(opener: &mut Opener, extent: &ExportedExtent<'_>) -> Result<Vec<Played>, OpenError> {
    extent.frames.iter().map(|frame| play_frame(opener, frame)).collect()
}

const fn played(header: &Header, content: Content) -> Played {
    Played {
        index: header.index,
        time_us: header.time_us,
        channel: header.channel,
        content,
    }
}

fn content(kind: Kind, body: Vec<u8>) -> Content {
    let content = match kind {
        Kind::Output => Ok(Content::Output(body)),
        Kind::ErrorOutput => Ok(Content::ErrorOutput(body)),
        Kind::Input => Ok(Content::Input(body)),
        Kind::Resize => Resize::decode(&body).map(Content::Resize),
        Kind::Opened => text(body).map(Content::Opened),
        Kind::Closed => body.is_empty().then_some(Content::Closed).ok_or(BodyError),
        Kind::Exit => Exit::decode(&body).map(Content::Exit),
        Kind::Gap => Gap::decode(&body).map(Content::Gap),
        Kind::Halt => Gap::decode(&body).map(Content::Halt),
        Kind::Mark => text(body).map(Content::Mark),
    };
    content.unwrap_or(Content::Malformed)
}

fn text(body: Vec<u8>) -> Result<String, BodyError> {
    String::from_utf8(body).map_err(|_| BodyError)
}
