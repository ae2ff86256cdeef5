//! Floods to more receivers than a turn of a worker serves.

use super::*;

/// The reference cloud with `n` more hosts on network A.
fn large(n: u8) -> Cloud {
    let mut cloud = fixture();
    let (h2, a2) = (cloud.hosts["H2"].clone(), cloud.ports["A2"].clone());
    for i in 0..n {
        let host = crate::model::Host {
            name: format!("X{i}"),
            vtep: format!("172.20.1.{i}").parse().unwrap(),
            dvr_mac: Some(format!("fa:16:3f:01:00:{i:02x}").parse().unwrap()),
            ..h2.clone()
        };
        let port = crate::model::Port {
            id: format!("PX{i}"),
            name: String::new(),
            mac_address: mac(&format!("0a:02:{i:02x}")),
            binding_host_id: Some(host.name.clone()),
            fixed_ips: Vec::new(),
            ..a2.clone()
        };
        cloud.hosts.insert(host.name.clone(), host);
        cloud.ports.insert(port.id.clone(), port);
    }
    cloud
}

fn broadcast(src: &str, from: &str) -> Vec<u8> {
    let mut frame = udp(src, "00:00:00", from, "255.255.255.255");
    frame[..6].fill(0xff);
    frame
}

/// What is sent must not depend on how many frames are taken at a time.
fn whatever_the_burst(hosts: u8, frames: &[(&str, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let run = |burst| {
        let mut umem = Umem::new(2048);
        let mut host = Host::new(large(hosts), "H1", &mut umem).unwrap();
        frames.iter().for_each(|(port, frame)| host.receive(port, frame, NOW, burst));
        host.settle(NOW);
        assert!(!host.pending());
        balanced(&host);
        let t = host.totals();
        assert_eq!((t.held, t.dropped), (0, 0), "{:?}", t.drops);
        let mut sent = sent(&mut host);
        sent.sort_by(|a, b| a.0.cmp(&b.0)); // port by port, each in order
        sent
    };
    let one = run(1);
    for burst in [2, 7, 64] {
        assert!(run(burst) == one, "burst {burst}");
    }
    one
}

#[test]
fn every_receiver_gets_its_copies_in_order_at_every_burst() {
    let all = [broadcast("0a:00:11", "10.1.0.11"), traffic().remove(0).1, broadcast("0a:00:13", "10.1.0.13")];
    let frames: Vec<_> = (0..10).flat_map(|_| ["A1", "A1", "A3"].into_iter().zip(all.clone())).collect();
    // 20 broadcasts to a local port, three hosts and the others; 10 frames to A3.
    assert_eq!(whatever_the_burst(100, &frames).len(), 20 * 104 + 10);
    assert_eq!(whatever_the_burst(255, &frames).len(), 20 * 259 + 10, "three more than a turn serves");
}

#[test]
fn a_storm_ends_a_flood_and_is_named() {
    let mut umem = Umem::new(2048);
    let mut host = start("H1", &mut umem);
    for _ in 0..2001 {
        host.receive("A1", &broadcast("0a:00:11", "10.1.0.11"), NOW, 64);
    }
    host.settle(NOW);
    let t = host.totals();
    assert_eq!((t.sent, t.drops["storm"]), (4 * 2000, 1));
    balanced(&host);
}
