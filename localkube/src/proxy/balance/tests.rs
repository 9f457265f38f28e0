use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

async fn server(name: &'static str) -> SocketAddr {
    let listener = reserve(0).unwrap().listen(BACKLOG).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut text = String::new();
                stream.read_to_string(&mut text).await.unwrap();
                stream.write_all(format!("{name} {text}").as_bytes()).await.unwrap();
            });
        }
    });
    address
}

/// Once somebody listens.
async fn connect(address: SocketAddr) -> TcpStream {
    let connected = async {
        loop {
            if let Ok(stream) = TcpStream::connect(address).await {
                return stream;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), connected).await.unwrap()
}

async fn ask(address: SocketAddr) -> String {
    let mut stream = connect(address).await;
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn spreads_passes_over_the_dead_and_half_closes() {
    let (a, b) = (server("a").await, server("b").await);
    let dead = reserve(0).unwrap().local_addr().unwrap();
    let endpoints = Arc::new(Endpoints::default());
    let front = reserve(0).unwrap();
    let address = front.local_addr().unwrap();
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    endpoints.set(&[dead, a, b]);
    let accepting = tokio::spawn({
        let endpoints = Arc::clone(&endpoints);
        async move { accept(front, &endpoints).await }
    });
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(ask(address).await);
    }
    assert!(answers.iter().all(|answer| answer == "a hello" || answer == "b hello"), "{answers:?}");
    assert!(
        answers.iter().any(|answer| answer.starts_with('a')) && answers.iter().any(|answer| answer.starts_with('b'))
    );
    endpoints.set(&[]);
    accepting.await.unwrap().unwrap();
    let again = reserve(address.port()).unwrap();
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    endpoints.set(&[b]);
    tokio::spawn(async move { accept(again, &endpoints).await });
    assert_eq!(ask(address).await, "b hello");
}

#[tokio::test]
async fn open_connections_outlive_their_endpoint() {
    let a = server("a").await;
    let endpoints = Arc::new(Endpoints::default());
    endpoints.set(&[a]);
    let front = reserve(0).unwrap();
    let address = front.local_addr().unwrap();
    let accepting = tokio::spawn({
        let endpoints = Arc::clone(&endpoints);
        async move { accept(front, &endpoints).await }
    });
    let mut stream = connect(address).await;
    stream.write_all(b"one ").await.unwrap();
    sleep(Duration::from_millis(50)).await;
    endpoints.set(&[]);
    accepting.await.unwrap().unwrap();
    stream.write_all(b"two").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "a one two");
}
