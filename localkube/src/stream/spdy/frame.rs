//! Frames of SPDY/3: four bytes that say what, one of flags, three of length, and the content (draft 3, section 2.2).

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

const HEAD: usize = 8;
const VERSION: u16 = 3;
const CONTROL: u16 = 0x8000;
/// The flag of a sender's last frame of a stream.
const FIN: u8 = 1;
/// What a frame may hold. Clients send 32 KiB.
const FRAME_BYTES: usize = 1 << 20;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GO_AWAY: u16 = 7;

/// A frame of the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A new stream, with its packed headers.
    Open { stream: u32, last: bool, block: Bytes },
    /// Content of a stream.
    Data { stream: u32, last: bool, data: Bytes },
    /// The client gives a stream up.
    Reset { stream: u32 },
    /// To be sent back as it is.
    Ping { frame: Bytes },
    /// The client ends the session.
    GoAway,
    /// What needs no answer: settings, windows.
    Other,
}

/// What cannot be a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Takes the next frame off the buffer, if all of it is there.
pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Frame>, Malformed> {
    let Some((mut head, _)) = buffer.split_at_checked(HEAD) else { return Ok(None) };
    let first = head.get_u32();
    let last = head.get_u8() & FIN != 0;
    let length = usize::try_from(head.get_uint(3)).map_err(|_| Malformed)?;
    if length > FRAME_BYTES {
        return Err(Malformed);
    }
    if buffer.len() < HEAD + length {
        buffer.reserve(HEAD + length - buffer.len());
        return Ok(None);
    }
    let whole = buffer.split_to(HEAD + length).freeze();
    let mut content = whole.slice(HEAD..);
    let [high, kind] = [first >> 16, first & 0xffff].map(|half| u16::try_from(half).unwrap_or_default());
    if high & CONTROL == 0 {
        return Ok(Some(Frame::Data { stream: first, last, data: content }));
    }
    if high != CONTROL | VERSION {
        return Err(Malformed);
    }
    let stream = |content: &Bytes| content.clone().try_get_u32().map(|id| id & !(1 << 31)).map_err(|_| Malformed);
    Ok(Some(match kind {
        SYN_STREAM => {
            let stream = stream(&content)?;
            // The stream that this one belongs to, its priority and its slot mean nothing here.
            content.try_copy_to_slice(&mut [0; 10]).map_err(|_| Malformed)?;
            Frame::Open { stream, last, block: content }
        }
        RST_STREAM => Frame::Reset { stream: stream(&content)? },
        PING => Frame::Ping { frame: whole },
        GO_AWAY => Frame::GoAway,
        _ => Frame::Other,
    }))
}

/// A frame that accepts a stream.
pub(super) fn reply(stream: u32, block: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD + 4 + block.len());
    control(&mut frame, SYN_REPLY, 4 + block.len());
    frame.put_u32(stream);
    frame.put_slice(block);
    frame.freeze()
}

/// Content of a stream.
pub(super) fn data(stream: u32, last: bool, data: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD + data.len());
    frame.put_u32(stream);
    frame.put_u8(if last { FIN } else { 0 });
    frame.put_uint(data.len() as u64, 3);
    frame.put_slice(data);
    frame.freeze()
}

fn control(frame: &mut BytesMut, kind: u16, length: usize) {
    frame.put_u16(CONTROL | VERSION);
    frame.put_u16(kind);
    frame.put_u8(0);
    frame.put_uint(length as u64, 3);
}

#[cfg(test)]
mod tests;
