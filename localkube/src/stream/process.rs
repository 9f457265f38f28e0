//! A process's input and output over a WebSocket: one channel a stream, its number before each message
//! (`v5.channel.k8s.io`, KEP-4006, and `v4.channel.k8s.io`, which cannot end a stream alone).

use std::pin::Pin;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{
    SinkExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{BoxStream, SplitSink, SplitStream},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
};
use tokio_tungstenite::tungstenite::{
    Message, Utf8Bytes,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::upgrade::{Socket, Upgrade, socket};
use crate::status::Status;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
/// The message after it is the number of a channel that ends.
const CLOSE: u8 = 255;
/// Messages that wait for the process to read them before the client has to.
const UNREAD: usize = 64;

/// A process that runs, or is about to end.
pub(crate) struct Process {
    /// What it writes; the end is its end. True: to stderr.
    pub(crate) output: BoxStream<'static, (bool, Bytes)>,
    /// Where it reads from, if it may.
    pub(crate) input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    /// Tells its terminal the width and height in characters.
    pub(crate) resize: Box<dyn Fn(u16, u16) -> BoxFuture<'static, ()> + Send + Sync>,
    /// How it ended, once the output has.
    pub(crate) exit: BoxFuture<'static, Exit>,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exit {
    /// As it should, or nobody asks how.
    Success,
    /// With this code; the sentence says so.
    Code(i64, String),
    /// It never ran, or nobody knows.
    Unknown(String),
}

impl Exit {
    /// What clients read their own exit code from.
    fn status(&self) -> Value {
        match self {
            Self::Success => json!({"metadata": {}, "status": "Success"}),
            Self::Code(code, why) => json!({
                "metadata": {},
                "status": "Failure",
                "message": format!("command terminated with non-zero exit code: {why}"),
                "reason": "NonZeroExitCode",
                "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
            }),
            Self::Unknown(why) => Status::internal(format!("error executing command in container: {why}")).to_value(),
        }
    }
}

/// Takes the connection over and carries the process's streams until it ends or the client leaves.
pub(crate) async fn attend(upgrade: Upgrade, first: Channel, start: impl Future<Output = Result<Process, String>>) {
    let Some(socket) = socket(upgrade).await else { return };
    let (mut sink, mut stream) = socket.split();
    // Tells the client that the connection stands.
    if send(&mut sink, first as u8, b"").await.is_err() {
        return;
    }
    let exit = match start.await {
        Err(why) => Exit::Unknown(why),
        Ok(Process { mut output, input, resize, exit }) => {
            let (unread, inputs) = mpsc::channel(UNREAD);
            let write = async {
                while let Some((error, bytes)) = output.next().await {
                    send(&mut sink, if error { STDERR } else { STDOUT }, &bytes).await?;
                }
                Ok::<_, Gone>(exit.await)
            };
            tokio::select! {
                exit = write => match exit {
                    Ok(exit) => exit,
                    Err(Gone) => return,
                },
                () = receive(&mut stream, unread, &resize) => return,
                () = feed(input, inputs) => unreachable!("it goes on for ever"),
            }
        }
    };
    if send(&mut sink, STATUS, exit.status().to_string().as_bytes()).await.is_ok() {
        // Without the code clients take it for an accident.
        let normal = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
        let _ = sink.send(Message::Close(Some(normal))).await;
        // The client's own close is read, so that nothing that was sent is lost to a reset.
        while let Some(Ok(_)) = stream.next().await {}
    }
}

/// The channel whose first, empty message tells that the connection stands: the first that we write to.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(crate) enum Channel {
    Stdout = STDOUT,
    Stderr = STDERR,
    Status = STATUS,
}

/// Nobody reads any more.
struct Gone;

async fn send(sink: &mut SplitSink<Socket, Message>, channel: u8, bytes: &[u8]) -> Result<(), Gone> {
    let mut message = BytesMut::with_capacity(1 + bytes.len());
    message.put_u8(channel);
    message.put_slice(bytes);
    sink.send(Message::Binary(message.freeze())).await.map_err(|_| Gone)
}

/// Done when the client leaves.
async fn receive(
    stream: &mut SplitStream<Socket>,
    unread: mpsc::Sender<Bytes>,
    resize: &(dyn Fn(u16, u16) -> BoxFuture<'static, ()> + Send + Sync),
) {
    let mut unread = Some(unread);
    while let Some(Ok(message)) = stream.next().await {
        let mut bytes = match message {
            Message::Binary(bytes) if !bytes.is_empty() => bytes,
            Message::Close(_) => return,
            _ => continue,
        };
        match (bytes.split_to(1)[0], unread.as_ref()) {
            (STDIN, Some(input)) if !bytes.is_empty() => {
                let _ = input.send(bytes).await;
            }
            (CLOSE, _) if bytes.first() == Some(&STDIN) => unread = None,
            (RESIZE, _) => {
                let size: Value = serde_json::from_slice(&bytes).unwrap_or_default();
                let side = |name: &str| size[name].as_u64().and_then(|side| u16::try_from(side).ok());
                if let (Some(width), Some(height)) = (side("Width"), side("Height")) {
                    resize(width, height).await;
                }
            }
            _ => {}
        }
    }
}

/// Writes to the process what the client sends, and ends its input where the client does. Never done.
async fn feed(mut input: Option<Pin<Box<dyn AsyncWrite + Send>>>, mut inputs: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = inputs.recv().await {
        // A process that reads no more does not keep the client from writing.
        if let Some(open) = &mut input
            && (open.write_all(&bytes).await.is_err() || open.flush().await.is_err())
        {
            input = None;
        }
    }
    if let Some(mut open) = input {
        let _ = open.shutdown().await;
        // Dropping it could end the output, too.
        std::future::pending::<()>().await;
    }
    std::future::pending::<()>().await;
}
