//! Load on one loopback address by raw HTTP/1.1, so that no client library hides a failed request by trying again.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

const BODY: &str = r#"{"data":"reverse me"}"#;
const ANSWER: &str = r#"{"data":"EM ESREVER"}"#;
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);

/// Requests that are being sent until [`Load::stop`].
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<Report>>,
}

/// What became of them.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) sent: u64,
    pub(crate) connections: u64,
    pub(crate) failures: Vec<String>,
}

impl Load {
    /// Starts `each` workers that keep their connection and `each` that open one for every request.
    pub(crate) fn start(address: SocketAddr, each: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let workers = (0..2 * each)
            .map(|index| {
                let stop = stop.clone();
                std::thread::spawn(move || work(address, index % 2 == 0, &stop))
            })
            .collect();
        Self { stop, workers }
    }

    /// Ends the load and adds up what the workers saw.
    pub(crate) fn stop(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        self.workers.into_iter().map(|worker| worker.join().expect("a load worker panicked")).fold(
            Report::default(),
            |mut all, one| {
                all.sent += one.sent;
                all.connections += one.connections;
                all.failures.extend(one.failures);
                all
            },
        )
    }
}

fn work(address: SocketAddr, keep_alive: bool, stop: &AtomicBool) -> Report {
    let mut report = Report::default();
    let mut connection: Option<BufReader<TcpStream>> = None;
    while !stop.load(Ordering::Relaxed) {
        report.sent += 1;
        match request(&mut connection, address, keep_alive, &mut report.connections) {
            Ok(()) => {}
            Err(error) => {
                report.failures.push(format!("{} connection: {error}", if keep_alive { "kept" } else { "fresh" }));
                connection = None;
            }
        }
        std::thread::park_timeout(PAUSE);
    }
    report
}

fn request(
    connection: &mut Option<BufReader<TcpStream>>,
    address: SocketAddr,
    keep_alive: bool,
    connections: &mut u64,
) -> std::io::Result<()> {
    let stream = match connection {
        Some(stream) => stream,
        None => {
            *connections += 1;
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_nodelay(true)?;
            connection.insert(BufReader::new(stream))
        }
    };
    let wish = if keep_alive { "keep-alive" } else { "close" };
    stream.get_mut().write_all(
        format!(
            "POST /v1 HTTP/1.1\r\nhost: {address}\r\nconnection: {wish}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{BODY}",
            BODY.len()
        )
        .as_bytes(),
    )?;
    let (status, body, closing) = response(stream)?;
    if status != 200 || body != ANSWER {
        return Err(std::io::Error::other(format!("answered {status}: {body}")));
    }
    if !keep_alive || closing {
        *connection = None;
    }
    Ok(())
}

/// Status, body and whether the server is about to close the connection.
fn response(stream: &mut BufReader<TcpStream>) -> std::io::Result<(u16, String, bool)> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "closed before the answer"));
    }
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let (mut length, mut closing) = (0, false);
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "closed within the headers"));
        }
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        closing |= header.strip_prefix("connection:").is_some_and(|value| value.contains("close"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((status, String::from_utf8_lossy(&body).into_owned(), closing))
}
