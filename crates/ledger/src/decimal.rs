//! Decimal numbers as the specifications write them: ASCII digits, no sign, no leading zero, at most 2^63 − 1.

use crate::SIZE_MAX;

/// Parses the one accepted form of a number; anything else is `None`.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let digits = text.as_bytes();
    let canonical = digits == b"0" || digits.first().is_some_and(|first| *first != b'0');
    if !canonical || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    text.parse().ok().filter(|number| *number <= SIZE_MAX)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn one_form_per_number() {
        assert_eq!(parse("0"), Some(0));
        assert_eq!(parse("70000"), Some(70_000));
        assert_eq!(parse("9223372036854775807"), Some(crate::SIZE_MAX));
        for refused in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1_0",
            "0x1",
            "9223372036854775808",
            "99999999999999999999",
            "١",
        ] {
            assert_eq!(parse(refused), None, "{refused}");
        }
    }
}
