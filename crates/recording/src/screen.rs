//! What a terminal showed at one moment, by emulating it up to there.
//!
//! Only for readers: never in the path of live traffic.

use crate::body::Resize;
use crate::hostile::Filter;
use crate::replay::{Content, Played};

const DEFAULT: Resize = Resize { columns: 80, rows: 24 };
const MAX_COLUMNS: u16 = 1000;
const MAX_ROWS: u16 = 500;

/// A terminal's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Its size.
    pub size: Resize,
    /// Its rows, as text.
    pub lines: Vec<String>,
    /// The sequence that draws this state on an empty terminal of that size.
    pub dump: String,
}

/// The screen of `channel` after everything up to and with `time_us`. Frames are those of one session, in order.
/// None when the emulator refuses its size, which it does for none that is given to it here.
#[must_use]
pub fn screen_at<'a>(played: impl IntoIterator<Item = &'a Played>, channel: u32, time_us: u64) -> Option<Screen> {
    let mut size = DEFAULT;
    let mut terminal = avt::Terminal::new(size.columns.into(), size.rows.into()).ok()?;
    let (mut filter, mut shown) = (Filter::default(), String::new());
    let before = played.into_iter().take_while(|played| played.time_us <= time_us);
    for played in before.filter(|played| played.channel == channel) {
        match &played.content {
            Content::Output(bytes) | Content::ErrorOutput(bytes) => {
                shown.clear();
                filter.push(bytes, &mut shown);
                terminal.feed([shown.as_str()]);
            }
            Content::Resize(to) => {
                size = bounded(*to);
                terminal.resize(size.columns.into(), size.rows.into());
            }
            _ => {}
        }
    }
    let lines = terminal.screen().visible_lines().map(avt::Line::text).collect();
    Some(Screen {
        size,
        lines,
        dump: terminal.dump(),
    })
}

fn bounded(size: Resize) -> Resize {
    Resize {
        columns: size.columns.clamp(1, MAX_COLUMNS),
        rows: size.rows.clamp(1, MAX_ROWS),
    }
}
