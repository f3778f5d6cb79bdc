//! Colour, on terminals only and never where `NO_COLOR` is set (no-color.org); and long lines folded to the terminal's
//! width. What goes to a file or a pipe has neither: there a line stays a line.

use std::fmt::Display;
use std::io::IsTerminal;

/// The narrowest terminal that lines are folded for.
const WIDTH_MIN: usize = 40;
/// Where a cell goes on that has no room beside the others.
const INDENT: usize = 8;

/// Colours, or leaves as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
    width: Option<usize>,
}

impl Paint {
    /// For standard output.
    pub(crate) fn of_output() -> Self {
        let columns = rustix::termios::tcgetwinsize(std::io::stdout()).map(|size| usize::from(size.ws_col));
        Self {
            // A terminal that does not know its size says 0.
            width: columns.ok().filter(|columns| *columns >= WIDTH_MIN),
            ..Self::when(std::io::stdout().is_terminal())
        }
    }

    /// For standard error.
    pub(crate) fn of_errors() -> Self {
        Self::when(std::io::stderr().is_terminal())
    }

    fn when(terminal: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            on: terminal && !refused && !dumb,
            width: None,
        }
    }

    fn wrap(self, code: &str, text: impl Display) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }

    /// Whether anything is coloured.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    /// A heading.
    pub(crate) fn bold(self, text: impl Display) -> String {
        self.wrap("1", text)
    }

    /// What matters less.
    pub(crate) fn dim(self, text: impl Display) -> String {
        self.wrap("2", text)
    }

    /// It holds.
    pub(crate) fn good(self, text: impl Display) -> String {
        self.wrap("32", text)
    }

    /// It does not.
    pub(crate) fn bad(self, text: impl Display) -> String {
        self.wrap("1;31", text)
    }

    /// Not known, or to be noticed.
    pub(crate) fn doubt(self, text: impl Display) -> String {
        self.wrap("33", text)
    }

    /// Folds the lines of a page, and colours the words of outcomes where they stand first on a line.
    pub(crate) fn page(self, page: &str) -> String {
        let page = match self.width {
            Some(width) => page.lines().map(|line| folded(line, width) + "\n").collect(),
            None => page.to_owned(),
        };
        if !self.on {
            return page;
        }
        page.split_inclusive('\n').map(|line| self.outcome(line)).collect()
    }

    fn outcome(self, line: &str) -> String {
        let indent = line.len() - line.trim_start().len();
        let (blank, rest) = line.split_at_checked(indent).unwrap_or(("", line));
        let word = rest.split([' ', '\n']).next().unwrap_or_default();
        let tail = rest.strip_prefix(word).unwrap_or_default();
        let painted = match word {
            "ok" | "PASS" => self.good(word),
            "FAILED" | "FAIL" => self.bad(word),
            "note" | "untrusted" | "newer" | "UNKNOWN" | "PENDING" => self.doubt(word),
            "N/A" => self.dim(word),
            "result:" | "session" => self.bold(word),
            _ => return line.to_owned(),
        };
        format!("{blank}{painted}{tail}")
    }
}

/// One line of cells that two blanks or more separate, on as many lines of at most `width` columns as it needs. The last
/// cell stays under itself where it begins in the left half; any other goes on indented.
fn folded(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let mut out = String::new();
    let mut column = 0;
    let cells = cells(line);
    let last = cells.len().saturating_sub(1);
    for (at, (gap, cell)) in cells.into_iter().enumerate() {
        let start = column + gap;
        let fits = start + cell.chars().count() <= width;
        let hangs = at == last && start <= width / 2;
        if fits || hangs || column == 0 {
            out.extend(std::iter::repeat_n(' ', gap));
            column = wrapped(&mut out, cell, (start, if hangs { start } else { INDENT }), width);
        } else {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', INDENT));
            column = wrapped(&mut out, cell, (INDENT, INDENT), width);
        }
    }
    out
}

/// The cells of a line, each with the blanks before it.
fn cells(line: &str) -> Vec<(usize, &str)> {
    let mut cells = vec![];
    let mut rest = line;
    while !rest.is_empty() {
        let text = rest.trim_start_matches(' ');
        let end = text.find("  ").unwrap_or(text.len());
        let (cell, after) = text.split_at_checked(end).unwrap_or((text, ""));
        cells.push((rest.len() - text.len(), cell));
        rest = after;
    }
    cells
}

/// Writes words from one column on, later lines from another; gives the column after the last word.
fn wrapped(out: &mut String, cell: &str, (start, indent): (usize, usize), width: usize) -> usize {
    let mut column = start;
    for (at, word) in cell.split(' ').enumerate() {
        let length = word.chars().count();
        if at > 0 && column + 1 + length > width {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if at > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_folded_under_its_last_cell() {
        let line = "ok    time  witnesses saw the log 1 s apart around it, and then some";
        let under = "ok    time  witnesses saw the log 1 s\n            apart around it, and then\n            some";
        assert_eq!(folded(line, 40), under);
        assert_eq!(folded(line, 80), line);
    }

    #[test]
    fn where_it_has_no_room_a_cell_goes_on_indented() {
        let line = "ok    recording ses_01ke6p4ymeff3b8we1h7brrxj6  1 extent, 5 frames";
        let below = "ok    recording ses_01ke6p4ymeff3b8we1h7brrxj6\n        1 extent, 5 frames";
        assert_eq!(folded(line, 50), below);
    }

    #[test]
    fn no_word_is_lost() {
        let line = "  12  a  bb cc  a-word-that-is-longer-than-any-terminal-has-columns-and-more  é x  ";
        for width in 10..90 {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&folded(line, width)), words(line), "{width}");
        }
    }
}
