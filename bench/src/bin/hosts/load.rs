//! A source and a sink of small UDP packets that tell what they cost themselves.

use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// Bytes in a datagram: with 42 of headers and the FCS a frame of 64.
const PAYLOAD: usize = 18;
/// Packets the source sends between two sleeps.
const BATCH: u32 = 16;
/// The sink ends after so long without a packet.
const SILENCE: Duration = Duration::from_millis(300);
/// Room for what the sink has not read yet, bytes.
const BUFFER: usize = 8 << 20;
/// What the sink prints when it listens.
pub const READY: &str = "listening";

/// What an end says when it ends.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct End {
    /// Packets sent or received.
    pub packets: u64,
    /// CPU time of the process, ns; with that of the kernel's work on its packets, as far as this ran in its context.
    pub cpu_ns: u64,
}

/// CPU time of this process, ns.
fn cpu() -> u64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Sends `rate` packets a second to an address for so long.
pub fn send(to: &str, rate: u32, seconds: f64) -> io::Result<End> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(to)?;
    let (start, before) = (Instant::now(), cpu());
    let all = (f64::from(rate) * seconds) as u64;
    let mut packets = 0;
    while packets < all {
        let due = ((start.elapsed().as_secs_f64() * f64::from(rate)) as u64).min(all);
        while packets < due {
            // A full queue loses a packet, as it does for everybody.
            let _ = socket.send(&[0; PAYLOAD]);
            packets += 1;
        }
        std::thread::sleep(Duration::from_secs_f64(f64::from(BATCH) / f64::from(rate)));
    }
    Ok(End { packets, cpu_ns: cpu() - before })
}

/// Receives on a port until nothing comes any more, or nothing came in `patience`.
pub fn sink(port: u16, patience: Duration) -> io::Result<End> {
    let socket = UdpSocket::bind(("0.0.0.0", port))?;
    set_socket_recv_buffer_size_force(&socket, BUFFER)?;
    socket.set_read_timeout(Some(patience))?;
    println!("{READY}");
    let (mut packets, mut buffer, before) = (0, [0; 64], cpu());
    loop {
        match socket.recv(&mut buffer) {
            Ok(_) if packets == 0 => {
                socket.set_read_timeout(Some(SILENCE))?;
                packets = 1;
            }
            Ok(_) => packets += 1,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(End { packets, cpu_ns: cpu() - before })
}
