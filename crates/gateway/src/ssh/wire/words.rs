//! The gateway's own words: `ssh gateway ls`, and its arguments with quotes, as a shell would read them.

/// The longest line that is looked at.
pub const LINE_BYTES_MAX: usize = 8 * 1024;
/// The most words.
pub const WORDS_MAX: usize = 64;

/// Why a line is not words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotWords {
    /// Too long, or too many words.
    #[error("the command is too long")]
    Long,
    /// Not text.
    #[error("the command is not UTF-8 text")]
    Text,
    /// A quote that does not end.
    #[error("a quote is not closed")]
    Quote,
}

/// Splits a line at blanks. `'…'` and `"…"` keep blanks; `\` takes the next character as it is, but not inside `'…'`.
///
/// # Errors
/// When the line is too long, is no text, or a quote is open at its end.
pub fn split(line: &[u8]) -> Result<Vec<String>, NotWords> {
    if line.len() > LINE_BYTES_MAX {
        return Err(NotWords::Long);
    }
    let line = std::str::from_utf8(line).map_err(|_| NotWords::Text)?;
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (None, ' ' | '\t' | '\n') => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if open == c => quote = None,
            (Some('"') | None, '\\') => word.get_or_insert_default().push(rest.next().ok_or(NotWords::Quote)?),
            (_, c) => word.get_or_insert_default().push(c),
        }
        if words.len() > WORDS_MAX {
            return Err(NotWords::Long);
        }
    }
    if quote.is_some() {
        return Err(NotWords::Quote);
    }
    words.extend(word);
    if words.len() > WORDS_MAX {
        Err(NotWords::Long)
    } else {
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_at_blanks_and_kept_by_quotes() {
        let line = br#"request root+web1 --reason "disk is  full" 'a\b' c\ d "" e"f"g"#;
        let words = [
            "request",
            "root+web1",
            "--reason",
            "disk is  full",
            "a\\b",
            "c d",
            "",
            "efg",
        ];
        assert_eq!(split(line).unwrap(), words);
        assert_eq!(split(b"  "), Ok(vec![]));
    }

    #[test]
    fn what_is_open_or_long_is_refused() {
        assert_eq!(split(b"a 'b"), Err(NotWords::Quote));
        assert_eq!(split(b"a\\"), Err(NotWords::Quote));
        assert_eq!(split(b"\xff"), Err(NotWords::Text));
        assert_eq!(split(&vec![b'a'; LINE_BYTES_MAX + 1]), Err(NotWords::Long));
        assert_eq!(split("a ".repeat(WORDS_MAX + 1).as_bytes()), Err(NotWords::Long));
        assert_eq!(split("a ".repeat(WORDS_MAX).as_bytes()).unwrap().len(), WORDS_MAX);
    }
}
