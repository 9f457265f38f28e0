//! Input and output as a connection to a port of the pod's own loopback, which nobody else reaches.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream},
    os::fd::AsFd,
    process::ExitCode,
    thread,
};

/// What is written before anything of the connection, once it stands.
const CONNECTED: &[u8] = b"+";
/// How much is read at once.
const PIECE: usize = 32 << 10;

/// Carries the connection until the other end closes it; fails if there is nobody.
pub(crate) fn run(port: u16) -> ExitCode {
    match carry(port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn carry(port: u16) -> io::Result<()> {
    let addresses: [SocketAddr; 2] = [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
    let connection = TcpStream::connect(&addresses[..])?;
    connection.set_nodelay(true)?;
    // The standard output would wait for the ends of lines.
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    output.write_all(CONNECTED)?;
    let mut writer = connection.try_clone()?;
    thread::spawn(move || {
        let _ = pass(io::stdin().lock(), &mut writer);
        let _ = writer.shutdown(Shutdown::Write);
    });
    pass(connection, output)
}

/// Passes bytes on until there are no more. Not `io::copy`, whose splice(2) keeps the pipe locked while it waits for the
/// connection, so that nobody could read what is in it already.
fn pass(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&piece[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
