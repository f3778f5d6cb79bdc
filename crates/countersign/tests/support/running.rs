//! Processes that a test starts: their output is kept, their printed addresses are read, and they die with the test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take that has no reason to.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A child that is killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    said: Arc<Mutex<String>>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = channel();
        let outputs: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("piped")),
            Box::new(child.stderr.take().expect("piped")),
        ];
        for output in outputs {
            let (sender, said) = (sender.clone(), said.clone());
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    said.lock().expect("one writer").push_str(&format!("{line}\n"));
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Self { child, lines, said }
    }

    /// Something to stand in while nothing runs.
    pub(crate) fn nothing() -> Self {
        Self::start(&mut Command::new("true"))
    }

    /// The rest of the first line that begins with `label`.
    pub(crate) fn line(&self, label: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            if let Some(rest) = line.strip_prefix(label) {
                return rest.trim().to_owned();
            }
        }
        panic!("no line `{label}…` in:\n{}", self.said());
    }

    /// Everything that it has printed so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("one writer").clone()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(mut self) -> (ExitStatus, String) {
        signal(self.id(), "TERM");
        let status = within(PATIENCE, || self.child.try_wait().expect("a child of ours"))
            .unwrap_or_else(|| panic!("it does not end:\n{}", self.said()));
        (status, self.said())
    }

    /// Waits until it ends by itself.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let status = within(PATIENCE, || self.child.try_wait().expect("a child of ours"))
            .unwrap_or_else(|| panic!("it does not end:\n{}", self.said()));
        // Its last lines are still on their way.
        std::thread::sleep(Duration::from_millis(100));
        (status, self.said())
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &process.to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

/// Asks again until there is an answer, or the time is over.
pub(crate) fn within<T>(time: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + time;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
