//! Ports of a pod, carried over a connection.

use std::{collections::HashMap, pin::Pin, sync::Arc};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _, future::BoxFuture};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
    task::JoinSet,
};
use tokio_tungstenite::tungstenite::Message;

use super::{
    spdy,
    upgrade::{Transport, Upgrade, socket},
};

/// The protocol of SPDY streams, one pair a connection (KEP-4006).
pub(crate) const TUNNELLED: &str = "SPDY/3.1+portforward.k8s.io";

/// What is read from the pod at once.
const PIECE: usize = 32 << 10;
/// Messages that wait to be sent before who made them does.
const UNSENT: usize = 32;

/// Where the connections go, and whom errors name.
#[derive(Clone)]
pub(crate) struct Target {
    /// The pod's name.
    pub(crate) pod: String,
    /// Its identity.
    pub(crate) uid: String,
    /// Connects to a port of it.
    pub(crate) dial: Dial,
}

/// A way to a pod's ports; what goes wrong is a sentence for the client.
pub(crate) type Dial = Arc<dyn Fn(u16) -> BoxFuture<'static, Result<Link, String>> + Send + Sync>;

/// A connection to a pod. The writer's shutdown half-closes it.
pub(crate) struct Link {
    pub(crate) reader: Pin<Box<dyn AsyncRead + Send>>,
    pub(crate) writer: Pin<Box<dyn AsyncWrite + Send>>,
}

impl Target {
    /// # Errors
    /// A sentence for the client.
    async fn connect(&self, port: u16) -> Result<Link, String> {
        let Self { pod, uid, dial } = self;
        let failed = |why| format!("error forwarding port {port} to pod {pod}, uid {uid}: {why}");
        dial(port).await.map_err(failed)
    }
}

/// Carries ports over SPDY streams: for each connection an error stream, then a data stream, which name each other by a
/// request number. Done when the client ends it.
pub(crate) async fn streams(transport: Transport, target: Target) {
    let mut work = JoinSet::new();
    let mut errors: HashMap<String, spdy::Writer> = HashMap::new();
    let accept = |stream: spdy::Stream| {
        while work.try_join_next().is_some() {}
        let header = |name: &str| stream.headers.get(name).cloned().unwrap_or_default();
        let request = header("requestid");
        if header("streamtype") == "error" {
            errors.insert(request, stream.writer);
        } else if let Some(error) = errors.remove(&request) {
            let (port, target) = (header("port").parse::<u16>(), target.clone());
            work.spawn(async move {
                let said = match port {
                    Ok(port) => exchange(stream, &target, port).await,
                    Err(_) => Err("the stream names no port".to_owned()),
                };
                if let Err(message) = said {
                    error.write(message.as_bytes()).await;
                }
                // Clients wait for its end, with or without a message.
                error.finish().await;
            });
        }
    };
    spdy::serve(transport, accept).await;
}

/// One connection, over its data stream.
async fn exchange(stream: spdy::Stream, target: &Target, port: u16) -> Result<(), String> {
    let spdy::Stream { mut reader, writer, .. } = stream;
    let connected = target.connect(port).await;
    let Link { reader: mut from_pod, writer: mut to_pod } = match connected {
        Ok(link) => link,
        Err(message) => {
            writer.finish().await;
            return Err(message);
        }
    };
    let send = async {
        let mut taken = true;
        while let Some(bytes) = reader.recv().await {
            // A pod that reads no more does not hold up the other streams.
            taken = taken && to_pod.write_all(&bytes).await.is_ok() && to_pod.flush().await.is_ok();
        }
        let _ = to_pod.shutdown().await;
    };
    let receive = async {
        let mut piece = vec![0; PIECE];
        while let Ok(count @ 1..) = from_pod.read(&mut piece).await {
            if !writer.write(&piece[..count]).await {
                return;
            }
        }
        writer.finish().await;
    };
    tokio::select! {
        _ = async { tokio::join!(send, receive) } => {}
        () = writer.reset.cancelled() => {}
    }
    Ok(())
}

/// Carries ports over two channels each, data and error, of a WebSocket. A channel's first message is its port. Done when
/// every port is, or the client leaves.
pub(crate) async fn channels(upgrade: Upgrade, target: Target, ports: Vec<u16>) {
    let Some(socket) = socket(upgrade).await else { return };
    let (mut sink, mut stream) = socket.split();
    let (messages, mut unsent) = mpsc::channel::<Bytes>(UNSENT);
    let mut inputs = Vec::new();
    let mut work = JoinSet::new();
    for (index, port) in ports.into_iter().enumerate() {
        let Ok(channel) = u8::try_from(2 * index) else { break };
        let (input, unread) = mpsc::channel::<Bytes>(UNSENT);
        inputs.push(input);
        work.spawn(carry(target.clone(), port, channel, unread, messages.clone()));
    }
    drop(messages);
    let send = async {
        while let Some(message) = unsent.recv().await {
            let message = Message::Binary(message);
            let sent = if unsent.is_empty() { sink.send(message).await } else { sink.feed(message).await };
            if sent.is_err() {
                return;
            }
        }
        // All ports are done.
        let _ = sink.send(Message::Close(None)).await;
    };
    let receive = async {
        while let Some(Ok(message)) = stream.next().await {
            match message {
                Message::Binary(mut bytes) if !bytes.is_empty() => {
                    let channel = usize::from(bytes.split_to(1)[0]);
                    let input = inputs.get(channel / 2).filter(|_| channel.is_multiple_of(2) && !bytes.is_empty());
                    if let Some(input) = input {
                        // A port that is done takes no more.
                        let _ = input.send(bytes).await;
                    }
                }
                Message::Close(_) => return,
                _ => {}
            }
        }
    };
    tokio::select! {
        () = send => {}
        () = receive => {}
    }
}

/// One port of a WebSocket. What comes from the client cannot end alone, so the port is done when the pod is.
async fn carry(
    target: Target,
    port: u16,
    channel: u8,
    mut unread: mpsc::Receiver<Bytes>,
    messages: mpsc::Sender<Bytes>,
) {
    for one in [channel, channel + 1] {
        let mut hello = BytesMut::with_capacity(3);
        hello.put_u8(one);
        hello.put_u16_le(port);
        let _ = messages.send(hello.freeze()).await;
    }
    let Link { reader: mut from_pod, writer: mut to_pod } = match target.connect(port).await {
        Ok(link) => link,
        Err(message) => {
            let mut text = BytesMut::from(&[channel + 1][..]);
            text.put_slice(message.as_bytes());
            let _ = messages.send(text.freeze()).await;
            return;
        }
    };
    let send = async {
        let mut taken = true;
        while let Some(bytes) = unread.recv().await {
            // A pod that reads no more does not hold up the other ports.
            taken = taken && to_pod.write_all(&bytes).await.is_ok() && to_pod.flush().await.is_ok();
        }
        std::future::pending::<()>().await;
    };
    let receive = async {
        loop {
            let mut piece = BytesMut::with_capacity(PIECE);
            piece.put_u8(channel);
            match from_pod.read_buf(&mut piece).await {
                Ok(1..) if messages.send(piece.freeze()).await.is_ok() => {}
                _ => return,
            }
        }
    };
    tokio::select! {
        () = send => {}
        () = receive => {}
    }
}
