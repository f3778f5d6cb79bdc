//! The filter against hostile sequences, and against cuts anywhere.

use super::*;

/// Sequences that do something to the reader's terminal, and must not come through in any part.
const HOSTILE: &[(&str, &[u8])] = &[
    ("clipboard write", b"\x1b]52;c;aGk=\x07"),
    ("clipboard write, string terminator", b"\x1b]52;c;aGk=\x1b\\"),
    ("clipboard write, c1", b"\xc2\x9d52;c;aGk=\xc2\x9c"),
    ("clipboard query", b"\x1b]52;c;?\x07"),
    ("colour query", b"\x1b]11;?\x07"),
    ("hyperlink", b"\x1b]8;;file:///etc/passwd\x07"),
    ("notification", b"\x1b]777;notify;a;b\x07"),
    ("file transfer", b"\x1b]1337;File=name=eA==;inline=1:AAAA\x07"),
    ("shell mark", b"\x1b]633;E;rm;nonce\x07"),
    ("device control string", b"\x1bP$q\"p\x1b\\"),
    ("termcap query", b"\x1bP+q544e\x1b\\"),
    ("application command", b"\x1b_Gf=100;AAAA\x1b\\"),
    ("privacy message", b"\x1b^secret\x1b\\"),
    ("start of string", b"\x1bXsecret\x1b\\"),
    ("device attributes", b"\x1b[c"),
    ("secondary attributes", b"\x1b[>c"),
    ("c1 attributes", b"\xc2\x9bc"),
    ("status report", b"\x1b[6n"),
    ("private status report", b"\x1b[?15n"),
    ("title report", b"\x1b[21t"),
    ("window resize", b"\x1b[8;1;1t"),
    ("mode report", b"\x1b[?25$p"),
    ("checksum report", b"\x1b[1;1;1;1;5;5*y"),
    ("media copy", b"\x1b[5i"),
    ("terminal identity", b"\x1bZ"),
    ("answerback", b"\x05"),
    ("keyboard protocol", b"\x1b[>1u"),
    ("modify other keys", b"\x1b[>4;2m"),
    ("application cursor keys", b"\x1b[?1h"),
    ("application keypad", b"\x1b="),
    ("mouse", b"\x1b[?1000;1006h"),
    ("focus reports", b"\x1b[?1004h"),
    ("bracketed paste", b"\x1b[?2004h"),
    ("mouse highlight", b"\x1b[1;1;1;1;1T"),
    ("locator", b"\x1b[1'z"),
    ("huge repeat", b"\x1b[2147483647b"),
    ("flow control", b"\x13"),
];

#[test]
fn hostile_sequences_leave_nothing_behind() {
    for (name, sequence) in HOSTILE {
        let input = [b"a".as_slice(), sequence, b"z"].concat();
        assert_eq!(filter_all(&input), "az", "{name}");
    }
}

#[test]
fn colours_cursor_and_alternate_screen_come_through_unchanged() {
    for kept in [
        "\x1b[1;38;5;208mx\x1b[0m",
        "\x1b[38:2::1:2:3m",
        "\x1b[10;20H\x1b[K\x1b[2J\x1b[3A\x1b[5G",
        "\x1b[?1049h\x1b[?25l\x1b[?1049l",
        "\x1b[2;20r\x1b7\x1b8\x1bM\x1b(0lqk\x1b(B",
        "\x1b[4h\x1b[4l\x1b[2 q\x1b[!p\x1b[s\x1b[u",
        "tab\tbell\x07\r\n\x08",
        "grüße ✓ 漢字",
    ] {
        assert_eq!(filter_all(kept.as_bytes()), kept);
    }
}

#[test]
fn no_window_is_named() {
    for title in ["0;", "1;", "2;"] {
        assert_eq!(filter_all(format!("a\x1b]{title}build\x1b\\x").as_bytes()), "ax");
        assert_eq!(filter_all(format!("a\x1b]{title}build\x07x").as_bytes()), "ax");
        assert_eq!(filter_all(format!("a\u{9d}{title}build\u{9c}x").as_bytes()), "ax");
    }
    assert_eq!(filter_all(b"\x1b]2;a\x1b[31mb\x07"), "\x1b[31mb\x07");
}

#[test]
fn only_the_harmless_modes_of_a_list_are_kept() {
    assert_eq!(filter_all(b"\x1b[?1;25;2004;1049h"), "\x1b[?25;1049h");
}

#[test]
fn an_unfinished_string_cannot_hide_the_rest() {
    let mut input = b"\x1bP".to_vec();
    input.extend(vec![b'x'; MAX_STRING + 1]);
    input.extend(b"rm -rf /\r\n");
    assert!(filter_all(&input).ends_with("rm -rf /\r\n"));
}

#[test]
fn a_cancelled_or_interrupted_sequence_shows_what_follows() {
    assert_eq!(filter_all(b"\x1b[31\x18shown"), "shown");
    assert_eq!(filter_all(b"\x1b]52;c;\x1a shown"), " shown");
    assert_eq!(filter_all(b"\x1bP1\x1b[32mshown"), "\x1b[32mshown");
    assert_eq!(filter_all(b"\x1b[3\n1m"), "\n\x1b[31m");
}

#[test]
fn bytes_that_are_no_text_are_shown_as_such() {
    assert_eq!(filter_all(b"a\xff\x9bcb"), "a\u{fffd}\u{fffd}cb");
    assert_eq!(filter_all(b"a\xe2\x82"), "a\u{fffd}");
}

#[test]
fn the_output_does_not_depend_on_where_the_input_is_cut() {
    let mut input = Vec::new();
    for (_, sequence) in HOSTILE {
        input.extend(*sequence);
        input.extend("ü漢\x1b[31m\x1b]0;t\x07\u{9b}1m".as_bytes());
        input.push(0xe2);
    }
    let whole = filter_all(&input);
    for size in [1, 2, 3, 5, 7, 64] {
        let (mut filter, mut out) = (Filter::default(), String::new());
        input.chunks(size).for_each(|piece| filter.push(piece, &mut out));
        filter.finish(&mut out);
        assert_eq!(out, whole, "pieces of {size}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_comes_out_is_left_alone_a_second_time(input in proptest::collection::vec(
        proptest::prop_oneof![
            proptest::sample::select(b"\x1b[]P?;>0152hlmntcu\x07\\\xc2\x9b\x9d\x18 !".to_vec()),
            proptest::num::u8::ANY,
        ], 0..200)) {
        let once = filter_all(&input);
        proptest::prop_assert_eq!(filter_all(once.as_bytes()), once);
    }
}
