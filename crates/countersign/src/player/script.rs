//! What is shown when: a recorded session's played as filtered text at their times. Pure.

use evidence::render::counted;
use recording::hostile::Filter;
use recording::{Content, Exit, Gap, GapReason, Played, Resize, screen_at};
use std::time::Duration;

/// How fast, and how long nothing may happen at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) speed: f64,
    pub(crate) idle_max: Option<Duration>,
}

/// Text at a time of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cue {
    /// Session time.
    pub(crate) at_us: u64,
    /// Safe for a terminal.
    pub(crate) text: String,
}

/// One session, or one channel of it, ready to be shown.
pub(crate) struct Script {
    played: Vec<Played>,
    channel: Option<u32>,
    cues: Vec<Cue>,
    removed: u64,
}

impl Script {
    /// Of all played of a session in order; `channel` shows only that one.
    pub(crate) fn new(played: Vec<Played>, channel: Option<u32>) -> Self {
        let mut filter = Filter::default();
        let shown = played
            .iter()
            .filter(|played| channel.is_none_or(|channel| played.concerns(channel)));
        let mut cues: Vec<Cue> = shown.filter_map(|played| cue(&mut filter, played)).collect();
        let mut rest = String::new();
        filter.finish(&mut rest);
        if let Some(last) = cues.last_mut() {
            last.text.push_str(&rest);
        }
        Self {
            removed: filter.removed(),
            played,
            channel,
            cues,
        }
    }

    pub(crate) fn cues(&self) -> &[Cue] {
        &self.cues
    }

    /// Escape sequences that were taken out because a terminal must not see them.
    pub(crate) fn removed(&self) -> u64 {
        self.removed
    }

    /// The channels that printed something, in order of opening.
    pub(crate) fn channels(&self) -> Vec<u32> {
        let printed = self
            .played
            .iter()
            .filter(|played| matches!(played.content, Content::Output(_)));
        let mut channels: Vec<u32> = printed.map(|played| played.channel).collect();
        channels.sort_unstable();
        channels.dedup();
        channels
    }

    /// What draws the screen as it was at a time of the session.
    pub(crate) fn screen_at(&self, at_us: u64) -> String {
        let channel = self
            .channel
            .or_else(|| self.channels().first().copied())
            .unwrap_or_default();
        let dump = screen_at(&self.played, channel, at_us).map_or_else(String::new, |screen| screen.dump);
        format!("\x1b[0m\x1b[2J\x1b[H{dump}")
    }
}

fn cue(filter: &mut Filter, played: &Played) -> Option<Cue> {
    let mut text = String::new();
    match &played.content {
        Content::Output(bytes) | Content::ErrorOutput(bytes) => filter.push(bytes, &mut text),
        Content::Opened(what) => text = remark(&format!("channel {}: {}", played.channel, plain(what))),
        Content::Exit(exit) => text = remark(&format!("channel {}: {}", played.channel, ended(exit))),
        Content::Gap(gap) => text = remark(&missing(gap)),
        Content::Halt(gap) => {
            text = remark(&format!(
                "stopped, because nothing more could be recorded: {}",
                reason(gap)
            ))
        }
        Content::Mark(what) => text = remark(&plain(what)),
        Content::Malformed => text = remark(&format!("frame {} cannot be read", played.index)),
        Content::Input(_) | Content::Withheld(_) | Content::Resize(Resize { .. }) | Content::Closed => {}
    }
    (!text.is_empty()).then_some(Cue {
        at_us: played.time_us,
        text,
    })
}

/// A line of ours among the target's output.
fn remark(text: &str) -> String {
    format!("\x1b[0m\r\n[{text}]\r\n")
}

/// Text of the recording as one safe line.
fn plain(text: &str) -> String {
    let safe = |c: char| match c {
        '\n' => '↵',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.trim_end().chars().map(safe).collect()
}

/// What a filtered text says without drawing: no escape sequences, one line end.
pub(super) fn text_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => skip_sequence(&mut rest),
            c if c.is_control() && !matches!(c, '\n' | '\t' | '\r') => {}
            c => out.push(c),
        }
    }
    out.replace("\r\n", "\n")
}

/// The rest of a sequence, after its escape: `[` up to its final letter, `]` and its like up to their end, one else.
fn skip_sequence(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => drop(rest.find(|c| ('\u{40}'..='\u{7e}').contains(c))),
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let end = rest.find(|c| matches!(c, '\x07' | '\x1b'));
            if end == Some('\x1b') {
                rest.next();
            }
        }
        Some('(' | ')' | '#' | '%') => drop(rest.next()),
        _ => {}
    }
}

fn ended(exit: &Exit) -> String {
    match exit {
        Exit::Status(status) => format!("ended with status {status}"),
        Exit::Signal(name) => format!("ended by signal {name}"),
        Exit::Unsaid => "ended without a status".into(),
    }
}

fn missing(gap: &Gap) -> String {
    match gap.frames {
        0 => format!("gap: {}; nothing is missing", reason(gap)),
        frames => {
            let missing = counted(frames, "frame");
            format!("gap: {}; {missing} from {} may be missing", reason(gap), gap.from)
        }
    }
}

fn reason(gap: &Gap) -> &'static str {
    match gap.reason {
        GapReason::SyncFailed => "a sync failed",
        GapReason::SlowSync => "syncs took too long",
        GapReason::NoSpace => "no space was left",
        GapReason::WriteFailed => "a write failed",
        GapReason::ShortWrite => "a write was cut short",
        GapReason::Stopped => "the gateway was stopped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time_us: u64, channel: u32, content: Content) -> Played {
        Played {
            index: time_us,
            time_us,
            channel,
            content,
        }
    }

    #[test]
    fn hostile_output_is_filtered_across_frames() {
        let played = vec![
            at(1, 1, Content::Opened("shell\u{1b}[2J\nb\n".into())),
            at(2, 1, Content::Output(b"a\x1b]52;c;".to_vec())),
            at(3, 1, Content::Output(b"ZXZpbA==\x07b".to_vec())),
            at(4, 2, Content::Output(b"other".to_vec())),
        ];
        let script = Script::new(played, Some(1));
        let text: String = script.cues().iter().map(|cue| cue.text.as_str()).collect();
        assert!(text.contains("[channel 1: shell\u{fffd}[2J↵b]"), "{text:?}");
        assert!(text.ends_with("ab") && !text.contains("ZXZ"), "{text:?}");
        assert_eq!((script.removed(), script.channels()), (1, vec![1, 2]));
    }

    #[test]
    fn into_a_pipe_goes_text_only() {
        let drawn = "\x1b[0m\r\n[channel 0: shell]\r\n\x1b[1;32mroot\x1b[0m\t\x1b(B$ ls\x07\x1b]0;title\x07\r\n";
        assert_eq!(text_only(drawn), "\n[channel 0: shell]\nroot\t$ ls\n");
        assert_eq!(text_only("a\x1b["), "a");
    }

    #[test]
    fn a_gap_is_said_on_every_channel_and_the_screen_can_be_drawn() {
        let gap = Gap {
            reason: GapReason::NoSpace,
            from: 7,
            frames: 2,
            since_us: 0,
        };
        let played = vec![
            at(5, 3, Content::Output(b"hello".to_vec())),
            at(9, 0, Content::Gap(gap)),
        ];
        let script = Script::new(played, Some(3));
        assert!(
            script.cues()[1]
                .text
                .contains("no space was left; 2 frames from 7 may be missing")
        );
        assert!(script.screen_at(6).contains("hello"));
        assert!(!script.screen_at(4).contains("hello"));
    }
}
