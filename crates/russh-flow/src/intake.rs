//! How a session reads its packets: each into memory of its own, opened in place, and its data handed on without a copy.
//!
//! Upstream reads the length with one system call and the rest with another, clears the buffer before each read and copies
//! a packet's data twice. Here one read takes what the socket has, up to the end of a packet and a little beyond.
//! INVARIANT (own memory): data that is handed on without a copy keeps no more memory than its packet and `AHEAD`, so
//! what a queue holds stays in proportion to the bytes that its window counts.

use std::io;
use std::num::Wrapping;

use bytes::{Buf, Bytes, BytesMut};
use ssh_encoding::{Decode, Reader};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::Error;
use crate::cipher::{MAXIMUM_DECOMPRESSED_PACKET_LEN as PACKET_MAX, OpeningKey, PACKET_LENGTH_LEN};
use crate::compression::Decompress;
use crate::sshbuffer::SSHBuffer;

/// Room behind a packet for the start of the next; small packets come with one read.
const AHEAD: usize = 4096;
/// Data shorter than this is copied: it may share its memory with other packets.
const SHARED_MAX: usize = 2 * AHEAD;
/// Once so much is ready to be written, it is written before more is taken.
pub(crate) const OUTPUT: usize = 128 * 1024;

/// Reads and opens the next packet into `buffer.packet`, without its lengths and padding.
pub(crate) async fn read<R: AsyncRead + Unpin>(
    stream: &mut R,
    buffer: &mut SSHBuffer,
    cipher: &mut (dyn OpeningKey + Send),
) -> Result<usize, Error> {
    let probe = cipher.packet_length_to_read_for_block_length();
    fill(stream, &mut buffer.pending, probe).await?;
    let seqn = buffer.seqn.0;
    let length = cipher.decrypt_packet_length(seqn, &buffer.pending[..probe]);
    let length = u32::from_be_bytes(length) as usize;
    let total = PACKET_LENGTH_LEN + length + cipher.tag_len();
    if length > PACKET_MAX || total < probe {
        return Err(Error::PacketSize(length));
    }
    fill(stream, &mut buffer.pending, total).await?;
    let mut packet = buffer.pending.split_to(total);
    if buffer.pending.is_empty() {
        buffer.pending = BytesMut::new();
    }
    let plaintext = cipher.open(seqn, &mut packet)?;
    let padding = usize::from(plaintext.first().copied().unwrap_or(0));
    let end = plaintext.len().checked_sub(padding).ok_or(Error::IndexOutOfBounds)?;
    let size = end + PACKET_LENGTH_LEN;
    packet.truncate(size);
    packet.advance(size.min(PACKET_LENGTH_LEN + 1));
    buffer.seqn += Wrapping(1);
    buffer.bytes = buffer.bytes.saturating_add(packet.len());
    buffer.packet = packet.freeze();
    Ok(size)
}

/// Reads until `pending` holds `until` bytes.
async fn fill<R: AsyncRead + Unpin>(stream: &mut R, pending: &mut BytesMut, until: usize) -> Result<(), Error> {
    if pending.len() >= until {
        return Ok(());
    }
    if pending.capacity() < until {
        let mut room = BytesMut::with_capacity(until + AHEAD);
        room.extend_from_slice(pending);
        *pending = room;
    }
    while pending.len() < until {
        if stream.read_buf(pending).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(())
}

/// The packet as its reader wants it.
pub(crate) fn decompressed(decompress: &mut Decompress, packet: &Bytes) -> Result<Bytes, Error> {
    if matches!(decompress, Decompress::None) {
        return Ok(packet.clone());
    }
    let mut out = Vec::new();
    Ok(Bytes::copy_from_slice(decompress.decompress(packet, &mut out)?))
}

/// The data that `packet` ends with, and nothing after it; `rest` is what of it was not read yet. The packet is taken:
/// what was opened for it is let go with its data.
pub(crate) fn data(packet: &mut Bytes, rest: &mut impl Reader) -> Result<Bytes, Error> {
    let length = usize::decode(rest)?;
    let packet = std::mem::take(packet);
    if length != rest.remaining_len() {
        return Err(Error::IndexOutOfBounds);
    }
    let start = packet.len().checked_sub(length).ok_or(Error::IndexOutOfBounds)?;
    Ok(match length < SHARED_MAX {
        true => Bytes::copy_from_slice(&packet[start..]),
        false => packet.slice(start..),
    })
}

/// After everything was written: the buffer is ready for more, and is not kept when it is far too large.
pub(crate) fn written(buffer: &mut Vec<u8>) {
    if buffer.capacity() > OUTPUT / 2 && buffer.len() < buffer.capacity() / 8 {
        *buffer = Vec::new();
    }
    buffer.clear();
}
