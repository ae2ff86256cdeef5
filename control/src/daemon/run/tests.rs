use super::super::net::tests::lab::{Ns, possible};
use super::*;
use std::sync::mpsc::{Receiver, Sender, channel};

struct Heard {
    ready: Sender<String>,
    books: Sender<u64>,
}

impl Says for Heard {
    fn ready(&mut self, banner: &str) {
        let _ = self.ready.send(banner.to_owned());
    }

    fn books(&mut self, totals: &Totals, frames: Option<(usize, usize)>) {
        assert!(frames.is_none_or(|(free, total)| free == total), "{frames:?}");
        let _ = self.books.send(totals.received);
    }
}

/// Ends the daemon whatever happens.
struct Stops(Signals);

impl Drop for Stops {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// `und0` of H1, and the wire to H2.
fn underlay(host: &Ns, far: &Ns) {
    host.ip(&format!("link add und0 type veth peer name und1 netns {}", far.0));
    for (ns, name, address) in [(host, "und0", "172.20.0.11/24"), (far, "und1", "172.20.0.12/24")] {
        ns.ip(&format!("addr add {address} dev {name}"));
        ns.ip(&format!("link set {name} up"));
    }
}

/// Sends to the VTEP until dvrd has received something.
#[track_caller]
fn receives(far: &Ns, signals: &Signals, books: &Receiver<u64>) {
    let asked = || {
        signals.books.store(true, Ordering::Relaxed);
        books.recv_timeout(Duration::from_secs(5)).unwrap()
    };
    let (before, start) = (asked(), Instant::now());
    while asked() == before {
        assert!(start.elapsed() < Duration::from_secs(10), "nothing is received");
        // While it is taken anew there is a moment without a way.
        let sent = far.open().run(|| std::net::UdpSocket::bind("172.20.0.12:0")?.send_to(b"vxlan", "172.20.0.11:4789"));
        let _ = sent.unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_underlay_that_goes_is_taken_again_when_it_is_back() {
    if !possible() {
        return;
    }
    let (host, far) = (Ns::new("uh"), Ns::new("uf"));
    underlay(&host, &far);
    let cloud = Cloud::from_json(include_str!("../../../../pcap-fixtures/T/cloud.json"), "T").unwrap();
    for nic in ["eth1", "eth2"] {
        host.ip(&format!("link add {nic} type veth peer name far-{nic}"));
    }
    let netns = &host.0;
    let nic = |name: &str, nic: &str| {
        format!("[[physical_networks]]\nname = \"{name}\"\ninterface = \"{nic}\"\nnetns = \"{netns}\"\n")
    };
    let text = format!(
        "host = \"H1\"\n[underlay]\ninterface = \"und0\"\nnetns = \"{netns}\"\n[workers]\nframes = 8192\n{}{}",
        nic("physnet1", "eth1"),
        nic("physext", "eth2")
    );
    let config = Config::from_toml(&text, "dvrd.toml", &[0].into()).unwrap();
    let signals = Signals::default();
    let ((ready, is_ready), (told, books)) = (channel(), channel());
    let mut says = Heard { ready, books: told };
    std::thread::scope(|scope| {
        let stops = Stops(signals.clone());
        let dvrd = scope.spawn(|| run(&config, &cloud, None, &signals, &mut says));
        is_ready.recv_timeout(Duration::from_secs(20)).unwrap();
        receives(&far, &signals, &books);
        host.ip("link del und0");
        std::thread::sleep(Duration::from_millis(1500)); // long enough to be seen without
        underlay(&host, &far);
        receives(&far, &signals, &books);
        // At once, by another one.
        host.ip("link del und0");
        underlay(&host, &far);
        receives(&far, &signals, &books);
        // With its namespace, all of the same name.
        drop(Ns(host.0.clone()));
        let again = Ns::new("uh");
        far.ip("link del und1");
        underlay(&again, &far);
        receives(&far, &signals, &books);
        drop(stops);
        dvrd.join().unwrap().unwrap();
        assert!(!again.ip("-d link show und0").contains("xdp"));
    });
}
