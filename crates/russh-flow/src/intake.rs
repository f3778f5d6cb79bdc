//! How a session reads its packets: each into memory of its own, opened in place, and its data handed on without a copy.
//!
//! Upstream reads the length with one system call and the rest with another, clears the buffer before each read and copies
//! a packet's data twice. Here one read takes what the socket has, up to the end of a packet and a little beyond.
//! INVARIANT (own memory): data that is handed on without a copy keeps no more memory than its packet and `AHEAD`, so
//! what a queue holds stays in proportion to the bytes that its window counts.

use std::io;
use std::num::Wrapping;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use ssh_encoding::{Decode, Reader};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::Error;
use crate::cipher::{MAXIMUM_DECOMPRESSED_PACKET_LEN as PACKET_MAX, OpeningKey, PACKET_LENGTH_LEN};
use crate::compression::Decompress;
use crate::sshbuffer::SSHBuffer;

/// Room behind a packet for the start of the next; small packets come with one read.
const AHEAD: usize = 1024;
/// Packets up to this share their memory with others, so data shorter than this is copied.
const SHARED_MAX: usize = 2 * AHEAD;
/// Once so much is ready to be written, it is written before more is taken.
pub(crate) const OUTPUT: usize = 128 * 1024;

/// What fits into less is no bulk data: a buffer that was made for bulk data is not kept after it.
const SMALL: usize = 1024;

/// Reads and opens the next packet into `buffer.packet`, without its lengths and padding.
pub(crate) async fn read<R: AsyncRead + Unpin>(
    stream: &mut R,
    buffer: &mut SSHBuffer,
    cipher: &mut (dyn OpeningKey + Send),
) -> Result<usize, Error> {
    // Whoever waits long keeps no more than room for a small packet.
    buffer.packet = Bytes::new();
    let probe = cipher.packet_length_to_read_for_block_length();
    fill(stream, &mut buffer.pending, probe).await?;
    let seqn = buffer.seqn.0;
    let length = cipher.decrypt_packet_length(seqn, &buffer.pending[..probe]);
    let length = u32::from_be_bytes(length) as usize;
    let total = PACKET_LENGTH_LEN + length + cipher.tag_len();
    if length > PACKET_MAX || total < probe {
        return Err(Error::PacketSize(length));
    }
    let (size, packet) = if total <= SHARED_MAX {
        fill(stream, &mut buffer.pending, total).await?;
        let mut packet = buffer.pending.split_to(total);
        if buffer.pending.is_empty() {
            buffer.pending = BytesMut::new();
        }
        (open(cipher, seqn, &mut packet)?, packet.freeze())
    } else {
        let mut block = Block::with_room(total + AHEAD);
        block.0.extend_from_slice(&buffer.pending);
        while block.0.len() < total {
            more(stream, &mut block.0).await?;
        }
        buffer.pending = BytesMut::from(&block.0[total..]);
        block.0.truncate(total);
        (open(cipher, seqn, &mut block.0)?, Bytes::from_owner(block))
    };
    buffer.packet = packet.slice(size.min(PACKET_LENGTH_LEN + 1)..size);
    buffer.seqn += Wrapping(1);
    buffer.bytes = buffer.bytes.saturating_add(buffer.packet.len());
    Ok(size)
}

/// Opens a packet in place; gives where its padding begins.
fn open(cipher: &mut (dyn OpeningKey + Send), seqn: u32, packet: &mut [u8]) -> Result<usize, Error> {
    let plaintext = cipher.open(seqn, packet)?;
    let padding = usize::from(plaintext.first().copied().unwrap_or(0));
    let end = plaintext.len().checked_sub(padding).ok_or(Error::IndexOutOfBounds)?;
    Ok(end + PACKET_LENGTH_LEN)
}

/// The memory of one large packet. When the last of its data is let go, it waits for the next packet of any session:
/// given back to the system, each packet would have to be given fresh pages.
struct Block(Vec<u8>);

/// Blocks that wait.
static BLOCKS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
/// What one block holds, and how many may wait: 2.3 MiB in all.
const BLOCK: usize = 36 * 1024 + 512;
const BLOCKS_MAX: usize = 64;

impl Block {
    fn with_room(room: usize) -> Self {
        let kept = (room <= BLOCK).then(|| blocks().pop()).flatten();
        Self(kept.unwrap_or_else(|| Vec::with_capacity(room.max(BLOCK))))
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut block = std::mem::take(&mut self.0);
        // What passed here is nobody else's: its memory is written over before it is read again.
        block.clear();
        if block.capacity() == BLOCK && blocks().len() < BLOCKS_MAX {
            blocks().push(block);
        }
    }
}

fn blocks() -> MutexGuard<'static, Vec<Vec<u8>>> {
    BLOCKS.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn more<R: AsyncRead + Unpin>(stream: &mut R, into: &mut impl BufMut) -> Result<(), Error> {
    match stream.read_buf(into).await? {
        0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        _ => Ok(()),
    }
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
        more(stream, pending).await?;
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

/// A copy of what one session writes into a channel of another; what would leave much of a block empty has its own memory.
pub(crate) fn copied(data: &[u8]) -> Bytes {
    if data.len() < BLOCK / 2 {
        return Bytes::copy_from_slice(data);
    }
    let mut block = Block::with_room(data.len());
    block.0.extend_from_slice(data);
    Bytes::from_owner(block)
}

/// After everything was written: the buffer is ready for more, and is not kept when it is far too large.
pub(crate) fn written(buffer: &mut Vec<u8>) {
    if buffer.capacity() > OUTPUT / 2 && buffer.len() < SMALL {
        *buffer = Vec::new();
    }
    buffer.clear();
}
