//! A control thread that changes rows beside the forwarding: half of its updates move a learned address to another host,
//! half learn a new one, for which the oldest of its source is forgotten (an insert and a delete).

use bench::cloud;
use bench::host::Host;
use bench::topo::{HOSTS, NETS};
use control::writer::Writer;
use dataplane::addr::MacAddr;
use dataplane::learn::LearnEvent;
use dataplane::tables::Target;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Addresses that move; few enough that none is forgotten.
const MOVING: u64 = 4096;
/// Updates are made in portions, so often.
const TICK: Duration = Duration::from_millis(1);

/// Updates `rate` rows a second until told to stop; returns how many a second it were.
pub fn run(host: &mut Host, rate: u64, stop: &AtomicBool) -> f64 {
    let (start, mut done) = (Instant::now(), 0u64);
    while !stop.load(Ordering::Relaxed) {
        let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
        // Who cannot keep up must notice that he is to stop.
        let until = due.min(done + 10_000);
        for c in done..until {
            if let Some(event) = event(&host.writer, c) {
                host.writer.learn(&event);
            }
        }
        done = done.max(until);
        host.writer.poll();
        if due <= done {
            std::thread::sleep(TICK);
        }
    }
    done as f64 / start.elapsed().as_secs_f64()
}

/// Update number `c`.
fn event(writer: &Writer, c: u64) -> Option<LearnEvent> {
    let (number, new) = (c / 2, c % 2 == 1);
    // New ones are all behind one host in one network, whose quota they fill.
    let (mac, net, host) = if new {
        (0x0200_0100_0000 | (number & 0xff_ffff), 0, 0)
    } else {
        let at = number % MOVING;
        let net = (at % u64::from(NETS)) as u16;
        (0x0200_0000_0000 | at, net, 1 + ((number / MOVING + at) % u64::from(HOSTS - 1)) as u16)
    };
    let (seg, seg_generation) = writer.indexes().segment(&cloud::network(net))?;
    let (tunnel, target_generation) = writer.indexes().tunnel(&cloud::host(host))?;
    Some(LearnEvent {
        seg,
        seg_generation: writer.current().segments.get(seg).map_or(seg_generation, |s| s.generation),
        mac: MacAddr::from_u64(mac),
        target: Target::Tunnel(tunnel),
        target_generation: writer.current().tunnels.get(tunnel).map_or(target_generation, |t| t.generation),
        seen: c + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench::host::Setup;

    #[test]
    fn rows_move_and_come_and_go() {
        let mut host = Host::new(Setup { as_dvrd: false, ..Setup::default() }).unwrap();
        for c in 0..40_000 {
            let event = event(&host.writer, c).unwrap();
            host.writer.learn(&event);
            host.writer.poll();
        }
        // All that move, and as many new ones as one host may have in a network.
        assert_eq!(host.writer.learned() as u64, MOVING + host.writer.limits().learned_by_host as u64);
        let evicted = host.writer.counters().iter().find(|(name, _)| *name == "learn_quota_evicted").unwrap().1;
        assert_eq!(evicted, 20_000 - host.writer.limits().learned_by_host as u64);
    }
}
