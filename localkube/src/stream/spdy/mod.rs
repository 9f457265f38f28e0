//! As much of SPDY/3.1 as kubectl speaks when it forwards ports: streams that the client opens, either end half-closes,
//! and either end writes at will. Windows do not exist, as the client's library has none either.

mod frame;
mod headers;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::{Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::upgrade::Transport;
use frame::Frame;
use headers::Headers;

/// Frames that wait for a stream's reader before the whole session does.
const UNREAD: usize = 256;
/// Frames that wait to be sent before who made them does.
const UNSENT: usize = 32;

/// A stream that the client opened.
pub(super) struct Stream {
    pub(super) headers: Headers,
    /// What the client writes; ends when it half-closes or gives up.
    pub(super) reader: mpsc::Receiver<Bytes>,
    pub(super) writer: Writer,
}

/// Our half of a stream.
pub(super) struct Writer {
    id: u32,
    frames: mpsc::Sender<Bytes>,
    /// Cancelled when the client gives the stream up.
    pub(super) reset: CancellationToken,
    streams: Streams,
}

impl Writer {
    /// Sends bytes; false if nobody takes them any more.
    pub(super) async fn write(&self, data: &[u8]) -> bool {
        self.send(frame::data(self.id, false, data)).await
    }

    /// Half-closes the stream.
    pub(super) async fn finish(&self) {
        self.send(frame::data(self.id, true, &[])).await;
    }

    async fn send(&self, frame: Bytes) -> bool {
        tokio::select! {
            biased;
            () = self.reset.cancelled() => false,
            sent = self.frames.send(frame) => sent.is_ok(),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.streams.lock().expect("no holder panics").remove(&self.id);
    }
}

type Streams = Arc<Mutex<HashMap<u32, Open>>>;

/// What the session keeps of a stream.
struct Open {
    /// None after the client's last frame.
    unread: Option<mpsc::Sender<Bytes>>,
    reset: CancellationToken,
}

/// Serves the session until its end, giving every new stream to `accept`.
pub(super) async fn serve(transport: Transport, mut accept: impl FnMut(Stream)) {
    let (frames, mut unsent) = mpsc::channel::<Bytes>(UNSENT);
    let Transport { mut incoming, mut outgoing } = transport;
    let send = async move {
        while let Some(frame) = unsent.recv().await {
            let sent = if unsent.is_empty() { outgoing.send(frame).await } else { outgoing.feed(frame).await };
            if sent.is_err() {
                return;
            }
        }
    };
    let receive = async move {
        let mut session = Session { frames, streams: Streams::default(), reader: headers::Reader::new() };
        let mut writer = headers::Writer::new();
        let mut buffer = BytesMut::new();
        while let Some(bytes) = incoming.next().await {
            buffer.extend_from_slice(&bytes);
            loop {
                match frame::take(&mut buffer) {
                    Ok(None) => break,
                    Ok(Some(Frame::GoAway)) => return,
                    Ok(Some(frame)) => match session.take(frame, &mut writer).await {
                        Ok(Some(stream)) => accept(stream),
                        Ok(None) => {}
                        Err(frame::Malformed) => return,
                    },
                    Err(frame::Malformed) => {
                        tracing::debug!("a SPDY client sends what is no frame");
                        return;
                    }
                }
            }
        }
    };
    tokio::select! {
        () = send => {}
        () = receive => {}
    }
}

struct Session {
    frames: mpsc::Sender<Bytes>,
    streams: Streams,
    reader: headers::Reader,
}

impl Session {
    async fn take(&mut self, frame: Frame, writer: &mut headers::Writer) -> Result<Option<Stream>, frame::Malformed> {
        match frame {
            Frame::Open { stream, last, block } => {
                let headers = self.reader.read(&block).ok_or(frame::Malformed)?;
                let (unread, reader) = mpsc::channel(UNREAD);
                let reset = CancellationToken::new();
                let open = Open { unread: Some(unread).filter(|_| !last), reset: reset.clone() };
                if self.lock().insert(stream, open).is_some() {
                    return Err(frame::Malformed);
                }
                let frames = self.frames.clone();
                // Who reads the frames has gone: so will the session.
                let _ = frames.send(frame::reply(stream, &writer.empty())).await;
                let writer = Writer { id: stream, frames, reset, streams: Arc::clone(&self.streams) };
                return Ok(Some(Stream { headers, reader, writer }));
            }
            Frame::Data { stream, last, data } => {
                let unread = self.lock().get(&stream).and_then(|open| open.unread.clone());
                if let Some(unread) = unread.filter(|_| !data.is_empty()) {
                    let _ = unread.send(data).await;
                }
                if let Some(open) = self.lock().get_mut(&stream).filter(|_| last) {
                    open.unread = None;
                }
            }
            Frame::Reset { stream } => {
                if let Some(open) = self.lock().get_mut(&stream) {
                    open.unread = None;
                    open.reset.cancel();
                }
            }
            Frame::Ping { frame } => {
                let _ = self.frames.send(frame).await;
            }
            Frame::GoAway | Frame::Other => {}
        }
        Ok(None)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Open>> {
        self.streams.lock().expect("no holder panics")
    }
}
