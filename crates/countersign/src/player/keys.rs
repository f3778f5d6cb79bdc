//! Keys of the person who watches: the terminal without echo and lines while it plays, and as it was afterwards.

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Pause,
    Quit,
    Forward,
    Back,
    Faster,
    Slower,
}

/// Keys as they come, until it is dropped.
pub(super) struct Keys {
    keys: Receiver<Key>,
    before: Termios,
}

impl Keys {
    pub(super) fn listen() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        // Signals stay: Ctrl-C ends the program, and the shell gives the terminal back.
        quiet.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &quiet)?;
        let (sender, keys) = sync_channel(16);
        // Ends with the program: a read of the terminal cannot be broken off.
        std::thread::spawn(move || {
            let mut bytes = [0; 8];
            while let Ok(length @ 1..) = io::stdin().read(&mut bytes) {
                let Some(key) = bytes.get(..length).and_then(key) else {
                    continue;
                };
                if sender.send(key).is_err() {
                    return;
                }
            }
        });
        Ok(Self { keys, before })
    }

    /// The next key within `duration`.
    pub(super) fn wait(&self, duration: Duration) -> Option<Key> {
        match self.keys.recv_timeout(duration) {
            Ok(key) => Some(key),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(duration);
                None
            }
        }
    }

    /// The next key; none when there will be no more.
    pub(super) fn next(&self) -> Option<Key> {
        self.keys.recv().ok()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        tcsetattr(io::stdin(), OptionalActions::Now, &self.before).unwrap_or_default();
    }
}

fn key(bytes: &[u8]) -> Option<Key> {
    match bytes {
        b" " => Some(Key::Pause),
        b"q" | b"Q" | b"\x04" => Some(Key::Quit),
        b"\x1b[C" | b"l" => Some(Key::Forward),
        b"\x1b[D" | b"h" => Some(Key::Back),
        b"+" | b"=" => Some(Key::Faster),
        b"-" => Some(Key::Slower),
        _ => None,
    }
}
