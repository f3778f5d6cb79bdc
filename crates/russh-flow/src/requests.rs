//! Channel requests as messages: every one reaches the channel's reader in the order of its data, with its own
//! want-reply flag, and is answered from there.
//!
//! Upstream keeps one want-reply flag per channel, so an answer given later than the next request was lost.
//! INVARIANT (answers): whoever reads a channel answers each request that wants a reply exactly once, in order.

use bytes::Bytes;
use ssh_encoding::{Encode, Reader};

use crate::channels::{ChannelMsg, ChannelWriteHalf};
use crate::session::Encrypted;
use crate::{ChannelId, Error, Sig, msg};

impl<S: From<(ChannelId, ChannelMsg)> + Send + Sync + 'static> ChannelWriteHalf<S> {
    /// Sends a channel request of any name; `data` follows the want-reply flag as it is.
    pub async fn request(&self, name: &str, want_reply: bool, data: Bytes) -> Result<(), Error> {
        self.post(ChannelMsg::Request {
            name: name.to_owned(),
            want_reply,
            data,
        })
        .await
    }

    /// Answers the oldest request that wants a reply. Servers only.
    pub async fn answer(&self, success: bool) -> Result<(), Error> {
        self.post(if success {
            ChannelMsg::Success
        } else {
            ChannelMsg::Failure
        })
        .await
    }

    /// Says which signal ended the program. Servers only.
    pub async fn exit_signal(
        &self,
        signal: Sig,
        core_dumped: bool,
        message: String,
        language: String,
    ) -> Result<(), Error> {
        self.post(ChannelMsg::ExitSignal {
            signal_name: signal,
            core_dumped,
            error_message: message,
            lang_tag: language,
        })
        .await
    }

    async fn post(&self, msg: ChannelMsg) -> Result<(), Error> {
        self.sender
            .send((self.id, msg).into())
            .await
            .map_err(|_| Error::SendError)
    }
}

/// The rest of a request that has no variant of its own.
pub(crate) fn read(name: &str, want_reply: bool, rest: &mut impl Reader) -> Result<ChannelMsg, Error> {
    let mut data = vec![0; rest.remaining_len()];
    rest.read(&mut data)?;
    Ok(ChannelMsg::Request {
        name: name.to_owned(),
        want_reply,
        data: Bytes::from(data),
    })
}

/// Sends a request as it is; on a channel that is gone, nothing.
pub(crate) fn write(
    enc: Option<&mut Encrypted>,
    id: ChannelId,
    name: &str,
    want_reply: bool,
    data: &[u8],
) -> Result<(), Error> {
    let Some(enc) = enc else { return Ok(()) };
    let Some(channel) = enc.channels.get(&id) else {
        return Ok(());
    };
    push_packet!(enc.write, {
        msg::CHANNEL_REQUEST.encode(&mut enc.write)?;
        channel.recipient_channel.encode(&mut enc.write)?;
        name.encode(&mut enc.write)?;
        enc.write.push(u8::from(want_reply));
        enc.write.extend_from_slice(data);
    });
    Ok(())
}

/// The answer that follows was asked for.
pub(crate) fn due(enc: Option<&mut Encrypted>, id: ChannelId) {
    if let Some(channel) = enc.and_then(|enc| enc.channels.get_mut(&id)) {
        channel.wants_reply = true;
    }
}
