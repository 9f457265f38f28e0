//! What runs in the containers of the tests: one static program, its first argument says as what.

use std::{
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::exit,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

static DRAINING: AtomicBool = AtomicBool::new(false);

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let argument = |index: usize| arguments.get(index).map(String::as_str).unwrap_or_default();
    match argument(0) {
        "say" => println!("{}", arguments[1..].join(" ")),
        "fail" => {
            println!("failing");
            exit(argument(1).parse().unwrap());
        }
        "eat" => {
            let mut eaten: Vec<Vec<u8>> = Vec::new();
            loop {
                eaten.push(vec![1; 1 << 20]);
            }
        }
        "sleep" => thread::sleep(Duration::from_secs(3600)),
        "show" => show(&arguments[1..]),
        "write" => fs::write(argument(1), argument(2)).unwrap(),
        "exists" => exit(i32::from(!fs::exists(argument(1)).unwrap())),
        "get" => print!("{}", get(argument(1))),
        "serve" => serve(argument(1)),
        "echo" => echo(),
        other => panic!("what is {other:?}?"),
    }
}

/// Port 9000 sends back what it gets, 9001 how much it got once that ends, 9002 the same as 9000 for the pod alone.
fn echo() {
    let counter = TcpListener::bind("0.0.0.0:9001").unwrap();
    thread::spawn(move || {
        for stream in counter.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let count = std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
                stream.write_all(count.to_string().as_bytes())
            });
        }
    });
    let local = TcpListener::bind("127.0.0.1:9002").unwrap();
    thread::spawn(move || back(&local));
    let listener = TcpListener::bind("0.0.0.0:9000").unwrap();
    println!("listening");
    back(&listener);
}

fn back(listener: &TcpListener) {
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        thread::spawn(move || {
            let _ = std::io::copy(&mut &stream, &mut &stream);
            stream.shutdown(std::net::Shutdown::Write)
        });
    }
}

/// Environment variables by `$NAME`, files by path, one a line.
fn show(what: &[String]) {
    for one in what {
        match one.strip_prefix('$') {
            Some(name) => println!("{name}={}", env::var(name).unwrap_or_else(|_| "unset".into())),
            None => match fs::read_to_string(one) {
                Ok(text) => println!("{one}={}", text.trim_end()),
                Err(error) => println!("{one}: {:?}", error.kind()),
            },
        }
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    for line in status.lines().filter(|line| ["Uid", "Gid", "Groups", "CapEff"].contains(&line.split(':').next().unwrap())) {
        println!("{}", line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
}

fn get(address: &str) -> String {
    match TcpStream::connect(address) {
        Ok(mut stream) => {
            stream.write_all(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text.split("\r\n\r\n").nth(1).unwrap_or_default().into()
        }
        Err(error) => format!("{:?}\n", error.kind()),
    }
}

/// An HTTP server; `/ready` and `/alive` fail while a file of that name is missing or there; `/drain` begins the end.
fn serve(name: &str) {
    let name: &'static str = name.to_owned().leak();
    let listener = TcpListener::bind("0.0.0.0:8080").unwrap();
    println!("listening");
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                let request = String::from_utf8_lossy(&buffer[..count]);
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                if path == "/drain" {
                    DRAINING.store(true, Ordering::SeqCst);
                    thread::spawn(|| {
                        thread::sleep(Duration::from_millis(700));
                        exit(0);
                    });
                }
                let last = DRAINING.load(Ordering::SeqCst) || request.contains("connection: close");
                let code = if path == "/missing" { "503 Service Unavailable" } else { "200 OK" };
                let close = if last { "connection: close\r\n" } else { "" };
                let answer = format!("HTTP/1.1 {code}\r\ncontent-length: {}\r\n{close}\r\n{name}", name.len());
                if stream.write_all(answer.as_bytes()).is_err() || last {
                    return;
                }
            }
        });
    }
}
