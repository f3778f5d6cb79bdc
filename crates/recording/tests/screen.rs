//! Seeking: the screen at a moment equals what a terminal fed from the start shows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set up must stop"
)]

use recording::{Content, Played, Resize, screen_at};

fn at(time_us: u64, channel: u32, content: Content) -> Played {
    Played {
        index: time_us,
        time_us,
        channel,
        content,
    }
}

fn session() -> Vec<Played> {
    let size = |columns, rows| Content::Resize(Resize { columns, rows });
    let out = |text: &str| Content::Output(text.as_bytes().to_vec());
    vec![
        at(0, 1, size(40, 5)),
        at(10, 1, out("first\r\n\x1b[31mred\x1b[0m\x1b[?25l\x1b[?1049hfull")),
        at(15, 2, out("another channel")),
        at(20, 1, out("\x1b[?1049l\x1b[2;1Hsecond ✓")),
        at(30, 1, size(65535, 65535)),
    ]
}

#[test]
fn r110_the_screen_at_an_offset_is_what_was_shown_then() {
    let session = session();
    let screen = |time| screen_at(&session, 1, time).unwrap();
    assert_eq!(screen(0).lines[0].trim(), "");
    assert_eq!(screen(10).lines[1].trim_end(), "   full");
    assert_eq!(screen(20).lines[0].trim_end(), "first");
    assert!(screen(20).lines[1].starts_with("second"));
    assert_eq!(
        screen_at(&session, 2, 20).unwrap().lines[0].trim_end(),
        "another channel"
    );
}

#[test]
fn a_dump_restores_the_same_screen() {
    let session = session();
    let before = screen_at(&session, 1, 10).unwrap();
    let restored = vec![
        at(0, 1, Content::Resize(before.size)),
        at(1, 1, Content::Output(before.dump.clone().into_bytes())),
    ];
    assert_eq!(screen_at(&restored, 1, 1).unwrap().lines, before.lines);
}

#[test]
fn a_terminal_of_absurd_size_is_bounded() {
    let screen = screen_at(&session(), 1, 30).unwrap();
    assert_eq!(
        screen.size,
        Resize {
            columns: 1000,
            rows: 500
        }
    );
}
