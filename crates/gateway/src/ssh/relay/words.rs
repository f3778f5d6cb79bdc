//! `ssh gateway …` without a target: the gateway's own words, from any SSH client. It always answers and never hangs.

use std::net::SocketAddr;

use model::signature::{Key, LogIn};
use russh::keys::PublicKey;
use russh::{Channel, server};

use crate::ssh::ask::{Ask, Desk, Said, Word};
use crate::ssh::wire::words;

use super::forward::{Gone, ToClient};
use super::local::{Begun, begun, refuse};
use super::request::Request;

const HELP: &str = "\
This is a Countersign gateway. Reach a target with
  ssh -J GATEWAY ACCOUNT@RESOURCE.ENVIRONMENT    (once: `countersign ssh-config`)
  ssh ACCOUNT+RESOURCE.ENVIRONMENT@GATEWAY
and name one of several grants by its request or ticket, as
  ssh -J GATEWAY ACCOUNT+REQUEST@RESOURCE.ENVIRONMENT
  ssh ACCOUNT+RESOURCE.ENVIRONMENT+REQUEST@GATEWAY

Words, as in `ssh GATEWAY ls`:
  ls        what you may reach or ask for
  request   ask for access: request ACCOUNT@RESOURCE.ENVIRONMENT --reason WHY
  status    your requests and grants
  whoami    who you are here
  help      this text
";

/// Who speaks.
#[derive(Clone)]
pub(super) struct Speaker {
    pub(super) desk: Desk,
    pub(super) key: Key,
    pub(super) public: PublicKey,
    pub(super) proof: LogIn,
    pub(super) client: SocketAddr,
    /// By the `Host` that `countersign ssh-config` wrote.
    pub(super) by_alias: bool,
}

/// Answers one `session` channel.
pub(super) async fn speak(speaker: Speaker, channel: Channel<server::Msg>) {
    let (mut read, write) = channel.split();
    let client = ToClient::new(write);
    let Some(Begun {
        request,
        want_reply,
        pty,
        ..
    }) = begun(&mut read, &client).await
    else {
        return;
    };
    if want_reply && client.answer(true).await.is_err() {
        return;
    }
    let said = speaker.answer(&request).await;
    drop(tell(&client, &said, pty.is_some()).await);
}

/// Tells whoever opened the channel why it leads nowhere.
pub(super) async fn turn_away(text: String, channel: Channel<server::Msg>) {
    let (mut read, write) = channel.split();
    let client = ToClient::new(write);
    let Some(Begun {
        request,
        want_reply,
        pty,
        ..
    }) = begun(&mut read, &client).await
    else {
        return;
    };
    if want_reply && client.answer(true).await.is_err() {
        return;
    }
    let terminal = pty.is_some() && matches!(request, Request::Shell);
    drop(refuse(&client, &text, terminal).await);
}

/// Exit statuses, as the command line has them: what was asked is wrong; nobody answers.
const USAGE: u32 = 64;
const UNAVAILABLE: u32 = 69;

impl Speaker {
    async fn answer(&self, request: &Request) -> Said {
        let command = match request {
            Request::Exec(command) => command.as_slice(),
            Request::Shell => b"help",
            other => return wrong(&format!("this is a gateway; name a target to use {}", other.name())),
        };
        let words = match words::split(command) {
            Ok(words) => words,
            Err(error) => return wrong(&error.to_string()),
        };
        match words.first().map(String::as_str) {
            None | Some("help" | "--help" | "-h") => Said {
                out: HELP.to_owned(),
                ..Said::default()
            },
            Some(_) => {
                let word = Word {
                    key: self.key.clone(),
                    proof: self.proof.clone(),
                    client: self.client,
                    words,
                };
                let said = self.desk.ask(|answer| Ask::Word(word, answer)).await;
                said.unwrap_or_else(|| Said {
                    status: UNAVAILABLE,
                    ..wrong("the gateway cannot answer now; try again")
                })
            }
        }
    }
}

fn wrong(why: &str) -> Said {
    Said {
        err: format!("countersign: {why}\n"),
        status: USAGE,
        ..Said::default()
    }
}

async fn tell(client: &ToClient, said: &Said, terminal: bool) -> Result<(), Gone> {
    let line_ends = |text: &str| {
        if terminal {
            text.replace('\n', "\r\n")
        } else {
            text.to_owned()
        }
    };
    if !said.out.is_empty() {
        client.print(&line_ends(&said.out)).await?;
    }
    if !said.err.is_empty() {
        client.say(&line_ends(&said.err), terminal).await?;
    }
    client.status(said.status).await?;
    client.eof().await?;
    client.close().await
}
