//! The other control experiment: iperf3 must see what is reordered, for its word is the proof that nothing was.

use crate::base;
use crate::checks::Checks;
use crate::command::{Proc, Res, words};
use crate::traffic::{self, Udp};
use std::io::Result;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const LO: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// One in so many datagrams is sent after the one behind it.
const EVERY: usize = 50;
/// How long the relay lives.
const LIFE: Duration = Duration::from_secs(6);

/// A second of iperf3 on the loopback, through a relay that changes the order and one that does not.
pub fn iperf3_sees_reordering(checks: &mut Checks) -> Res<()> {
    for every in [EVERY, usize::MAX] {
        let udp = through_relay(every)?;
        let right = if every == EVERY { udp.out_of_order > 0 && !udp.is_good() } else { udp.is_good() };
        let what =
            if every == EVERY { format!("1 in {every} swapped: seen") } else { "none swapped: none seen".into() };
        checks.check(what, &udp, right);
    }
    Ok(())
}

fn through_relay(every: usize) -> Res<Udp> {
    let dir = base()?.folder;
    let free = || TcpListener::bind((LO, 0)).and_then(|l| l.local_addr()).map(|a| a.port()).map_err(|e| e.to_string());
    let port = free()?;
    let server = Proc::start(&dir.path(""), &traffic::server(port))?;
    let limit = Duration::from_secs(10);
    traffic::listening(port, |line| Proc::start(&dir.path(""), &words(line))?.wait(limit))?;
    let door = relay(port, every).map_err(|e| format!("the relay: {e}"))?;
    let client = traffic::client(&LO.to_string(), door, 1, "-u -b 10M -l 1200");
    let client = traffic::report(Proc::start(&dir.path(""), &client)?.wait(limit)?)?;
    Udp::parse(&client, &traffic::report(server.wait(limit)?)?)
}

/// Relays one connection and the datagrams beside it to a port; the port it listens on. Its threads end by themselves.
fn relay(to: u16, every: usize) -> Result<u16> {
    let listener = TcpListener::bind((LO, 0))?;
    let door = listener.local_addr()?.port();
    let (down, up) = (UdpSocket::bind((LO, door))?, UdpSocket::bind((LO, 0))?);
    up.connect((LO, to))?;
    let beat = Some(Duration::from_millis(50));
    down.set_read_timeout(beat).and_then(|()| up.set_read_timeout(beat))?;
    std::thread::spawn(move || -> Result<()> {
        let (client, server) = (listener.accept()?.0, TcpStream::connect((LO, to))?);
        let (mut from, mut into) = (client.try_clone()?, server.try_clone()?);
        std::thread::spawn(move || std::io::copy(&mut from, &mut into));
        std::io::copy(&mut &server, &mut &client).map(|_| ())
    });
    std::thread::spawn(move || {
        let (end, client) = (Instant::now() + LIFE, OnceLock::new());
        std::thread::scope(|threads| {
            threads.spawn(|| answers(&up, &down, &client, end));
            swap(&down, &up, &client, end, every);
        });
    });
    Ok(door)
}

/// From the server to the client.
fn answers(up: &UdpSocket, down: &UdpSocket, client: &OnceLock<SocketAddr>, end: Instant) {
    let mut buffer = [0; 2048];
    while Instant::now() < end {
        if let (Ok(n), Some(to)) = (up.recv(&mut buffer), client.get()) {
            let _ = down.send_to(&buffer[..n], to);
        }
    }
}

/// From the client to the server, one in `every` after the one behind it.
fn swap(down: &UdpSocket, up: &UdpSocket, client: &OnceLock<SocketAddr>, end: Instant, every: usize) {
    let (mut buffer, mut count, mut held) = ([0; 2048], 0, None::<Vec<u8>>);
    while Instant::now() < end {
        let Ok((n, from)) = down.recv_from(&mut buffer) else { continue };
        client.get_or_init(|| from);
        count += 1;
        if count % every == 0 && held.is_none() {
            held = Some(buffer[..n].to_vec());
            continue;
        }
        let _ = up.send(&buffer[..n]);
        if let Some(late) = held.take() {
            let _ = up.send(&late);
        }
    }
}
