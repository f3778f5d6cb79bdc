//! Whether a terminal shows its alternate screen (an editor, a pager): then a line of ours would damage what is shown.
//! Looks only for the three private modes that switch it; anything else passes through unread.

/// The longest control sequence that is followed.
const PARAMETERS_MAX: usize = 16;

/// Follows a terminal's output.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    alternate: bool,
    at: At,
    parameters: Vec<u8>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    #[default]
    Text,
    Escape,
    Control,
}

const ESCAPE: u8 = 0x1b;

impl Screen {
    /// Reads a piece of output. Sequences may be cut anywhere between two pieces.
    pub fn read(&mut self, output: &[u8]) {
        let mut rest = output;
        while let Some((byte, tail)) = rest.split_first() {
            rest = tail;
            match (self.at, *byte) {
                (_, ESCAPE) => self.at = At::Escape,
                (At::Text, _) => {
                    // The common case: skip to the next escape.
                    let next = rest.iter().position(|b| *b == ESCAPE).unwrap_or(rest.len());
                    rest = rest.get(next..).unwrap_or_default();
                }
                (At::Escape, b'[') => {
                    self.at = At::Control;
                    self.parameters.clear();
                }
                (At::Escape, b'c') => {
                    self.alternate = false;
                    self.at = At::Text;
                }
                (At::Escape, _) => self.at = At::Text,
                (At::Control, b'?' | b';' | b'0'..=b'9') if self.parameters.len() < PARAMETERS_MAX => {
                    self.parameters.push(*byte);
                }
                (At::Control, last) => {
                    self.switch(last);
                    self.at = At::Text;
                }
            }
        }
    }

    /// Whether a line may be written.
    #[must_use]
    pub const fn takes_lines(&self) -> bool {
        !self.alternate
    }

    fn switch(&mut self, last: u8) {
        let Some(modes) = self.parameters.strip_prefix(b"?") else {
            return;
        };
        let named = modes
            .split(|b| *b == b';')
            .any(|mode| matches!(mode, b"47" | b"1047" | b"1049"));
        match last {
            b'h' if named => self.alternate = true,
            b'l' if named => self.alternate = false,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes_lines(pieces: &[&[u8]]) -> bool {
        let mut screen = Screen::default();
        pieces.iter().for_each(|piece| screen.read(piece));
        screen.takes_lines()
    }

    #[test]
    fn the_alternate_screen_is_followed() {
        assert!(takes_lines(&[b"$ ls\r\n\x1b[1;31mred\x1b[0m"]));
        assert!(!takes_lines(&[b"$ vi\r\n\x1b[?1049h\x1b[22;0;0t"]));
        assert!(takes_lines(&[b"\x1b[?1049h text \x1b[?1049l$ "]));
        assert!(!takes_lines(&[b"\x1b[?25;1047h"]));
        assert!(takes_lines(&[b"\x1b[?1049h\x1bc"]));
        assert!(takes_lines(&[b"\x1b[1049h"]));
    }

    #[test]
    fn a_sequence_may_be_cut_anywhere() {
        let text = b"before\x1b[?1049hafter";
        for cut in 0..text.len() {
            let (a, b) = text.split_at(cut);
            assert!(!takes_lines(&[a, b]), "{cut}");
        }
    }

    #[test]
    fn a_sequence_without_end_is_forgotten() {
        let mut screen = Screen::default();
        screen.read(b"\x1b[?");
        screen.read(&[b'1'; 100_000]);
        assert!(screen.takes_lines() && screen.parameters.capacity() < 64);
    }
}
