//! A filter between what a target printed and a reviewer's terminal.
//!
//! What comes out is valid UTF-8 whose escape sequences can only draw: text, colours, cursor, scrolling, erasing,
//! the alternate screen. Sequences that write the clipboard, make the terminal answer, change its keyboard or mouse,
//! print, name or move windows or carry commands of any kind are removed and counted.
//!
//! A streaming state machine: the output does not depend on where its input is cut.
//!
//! INVARIANT (no-hiding): a control string that does not end within [`MAX_STRING`] bytes is given up, and what
//! follows is shown, so an unfinished string cannot hide the rest of a session.

/// The longest control string that is waited for, in bytes.
pub const MAX_STRING: usize = 64 * 1024;
const MAX_CSI: usize = 64;
const MAX_PARAMETER_DIGITS: usize = 5;
const ESC: char = '\x1b';

/// The filter's state between pieces of output.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    state: State,
    partial: Vec<u8>,
    removed: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape(String),
    Csi(String),
    /// A control string, of which nothing is kept.
    Text(Text),
}

impl Filter {
    /// Appends what may be shown of `input` to `out`.
    pub fn push(&mut self, input: &[u8], out: &mut String) {
        let mut bytes = std::mem::take(&mut self.partial);
        bytes.extend_from_slice(input);
        let mut rest = bytes.as_slice();
        for chunk in bytes.utf8_chunks() {
            chunk.valid().chars().for_each(|c| self.char(c, out));
            rest = rest.get(chunk.valid().len()..).unwrap_or_default();
            if chunk.invalid().is_empty() {
                continue;
            }
            if chunk.invalid().len() == rest.len() && is_unfinished(rest) {
                self.partial = rest.to_vec();
                return;
            }
            self.char(char::REPLACEMENT_CHARACTER, out);
            rest = rest.get(chunk.invalid().len()..).unwrap_or_default();
        }
    }

    /// Ends the stream: an unfinished character is shown as such, an unfinished sequence is removed.
    pub fn finish(&mut self, out: &mut String) {
        if !std::mem::take(&mut self.partial).is_empty() {
            self.char(char::REPLACEMENT_CHARACTER, out);
        }
        if std::mem::take(&mut self.state) != State::Ground {
            self.removed += 1;
        }
    }

    /// How many sequences and control characters were removed so far.
    #[must_use]
    pub const fn removed(&self) -> u64 {
        self.removed
    }

    fn char(&mut self, c: char, out: &mut String) {
        // A C1 control in UTF-8 means the same as escape and a letter; terminals differ in whether they heed it.
        if let '\u{80}'..='\u{9f}' = c {
            self.char(ESC, out);
            return self.char(char::from_u32(c as u32 - 0x40).unwrap_or('\0'), out);
        }
        self.state = match std::mem::take(&mut self.state) {
            State::Ground => self.ground(c, out),
            State::Escape(kept) => self.escape(kept, c, out),
            State::Csi(kept) => self.csi(kept, c, out),
            State::Text(text) => self.text(text, c, out),
        };
    }

    fn ground(&mut self, c: char, out: &mut String) -> State {
        match c {
            ESC => return State::Escape(String::new()),
            '\x07'..='\x0f' => out.push(c),
            '\0'..='\x1f' | '\x7f' => self.removed += 1,
            _ => out.push(c),
        }
        State::Ground
    }

    fn escape(&mut self, mut kept: String, c: char, out: &mut String) -> State {
        match c {
            ESC => self.remove(State::Escape(String::new())),
            '\x18' | '\x1a' => self.remove(State::Ground),
            '\0'..='\x1f' | '\x7f' => {
                self.ground(c, out);
                State::Escape(kept)
            }
            ' '..='/' if kept.len() < 2 => {
                kept.push(c);
                State::Escape(kept)
            }
            '[' if kept.is_empty() => State::Csi(String::new()),
            ']' | 'P' | 'X' | '^' | '_' if kept.is_empty() => State::Text(Text {
                osc: c == ']',
                length: 0,
                escape: false,
            }),
            // The end of a string that has already ended, or was given up.
            '\\' if kept.is_empty() => State::Ground,
            _ if draws(&kept, c) => {
                out.extend([ESC]);
                out.push_str(&kept);
                out.push(c);
                State::Ground
            }
            _ => self.remove(State::Ground),
        }
    }

    fn csi(&mut self, mut kept: String, c: char, out: &mut String) -> State {
        match c {
            ESC => self.remove(State::Escape(String::new())),
            '\x18' | '\x1a' => self.remove(State::Ground),
            '\0'..='\x1f' | '\x7f' => {
                self.ground(c, out);
                State::Csi(kept)
            }
            ' '..='?' => {
                if kept.len() <= MAX_CSI {
                    kept.push(c);
                }
                State::Csi(kept)
            }
            '@'..='~' => {
                match control(&kept, c) {
                    Some(sequence) => out.push_str(&sequence),
                    None => self.removed += 1,
                }
                State::Ground
            }
            _ => {
                // Not a sequence after all: the character is text.
                self.removed += 1;
                self.ground(c, out)
            }
        }
    }

    fn text(&mut self, mut text: Text, c: char, out: &mut String) -> State {
        if text.escape {
            self.remove(State::Ground);
            return if c == '\\' {
                State::Ground
            } else {
                self.escape(String::new(), c, out)
            };
        }
        match c {
            ESC => text.escape = true,
            '\x07' if text.osc => return self.remove(State::Ground),
            '\x18' | '\x1a' => return self.remove(State::Ground),
            _ => {
                text.length += c.len_utf8();
                if text.length > MAX_STRING {
                    return self.remove(State::Ground);
                }
            }
        }
        State::Text(text)
    }

    const fn remove(&mut self, next: State) -> State {
        self.removed += 1;
        next
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Text {
    /// An operating system command, which a bell may end.
    osc: bool,
    length: usize,
    escape: bool,
}

/// Whether bytes that are no character yet could become one.
fn is_unfinished(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// Escape sequences without parameters that only draw.
fn draws(intermediates: &str, last: char) -> bool {
    match intermediates {
        "" => matches!(last, '7' | '8' | 'D' | 'E' | 'H' | 'M' | 'c'),
        "(" | ")" | "*" | "+" => matches!(last, '0' | 'A' | 'B'),
        "#" => last == '8',
        _ => false,
    }
}

/// The part of a control sequence that only draws, or nothing.
fn control(body: &str, last: char) -> Option<String> {
    let plain = |parameters: &str| parameters_ok(parameters).then(|| format!("\x1b[{body}{last}"));
    if let Some(modes) = body.strip_prefix('?') {
        return match last {
            'h' | 'l' => private_modes(modes, last),
            'J' | 'K' => plain(modes),
            _ => None,
        };
    }
    if let Some(parameters) = body.strip_suffix(' ') {
        return (last == 'q').then(|| plain(parameters)).flatten();
    }
    if body == "!" {
        return (last == 'p').then(|| "\x1b[!p".to_owned());
    }
    match last {
        '@'..='I' | 'J'..='M' | 'P' | 'S' | 'X' | 'Z' | '`' | 'a' | 'b' | 'd'..='g' | 'm' | 'r' => plain(body),
        // With parameters, T tracks the mouse, s sets margins and u belongs to keyboard protocols.
        'T' => body
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| plain(body))
            .flatten(),
        's' | 'u' => body.is_empty().then(|| plain(body)).flatten(),
        'h' | 'l' if body == "4" => plain(body),
        _ => None,
    }
}

/// Keeps those private modes that only change what is drawn.
fn private_modes(modes: &str, last: char) -> Option<String> {
    let drawn = ["5", "6", "7", "12", "25", "47", "1047", "1048", "1049"];
    let kept: Vec<_> = modes.split(';').filter(|mode| drawn.contains(mode)).collect();
    (!kept.is_empty()).then(|| format!("\x1b[?{}{last}", kept.join(";")))
}

/// Digits, `;` and `:` alone, within bounds.
fn parameters_ok(parameters: &str) -> bool {
    parameters.len() <= MAX_CSI
        && parameters
            .split([';', ':'])
            .all(|number| number.len() <= MAX_PARAMETER_DIGITS && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Everything that may be shown of `input`, at once.
#[must_use]
pub fn filter_all(input: &[u8]) -> String {
    let (mut filter, mut out) = (Filter::default(), String::new());
    filter.push(input, &mut out);
    filter.finish(&mut out);
    out
}

#[cfg(test)]
mod tests;
