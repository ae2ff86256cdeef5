//! The six steps of a batch, and indexes that change hands.

use super::*;
use crate::rows::tests::{fixed, port, set_down, twin, unbind};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

#[test]
fn a_worker_that_has_not_started_sees_the_first_batch_whole() {
    let b = Bench::new();
    let s = b.now();
    let a = s.segments.get(b.seg("A").0).unwrap();
    assert_eq!(&a.flood_ports[..], [b.port("A1").0, b.port("A3").0]);
    let tunnels = ["H2", "H3", "H4"].map(|h| b.writer.indexes().tunnel(h).unwrap().0);
    assert_eq!(&a.flood_tunnels[..], tunnels);
    assert!(tunnels.iter().all(|t| a.members.contains(*t)));
    assert_eq!(s.vnis.get(1001), Some(b.seg("A").0));
    assert_eq!(s.vnis.get(300), None, "a VLAN id is no VNI");
    let vtep = crate::rows::tests::ip("172.20.0.13");
    assert_eq!(s.vteps.get(vtep), Some(tunnels[1]));
    assert_eq!(s.dvr_macs.get(0x3f00_0003), Some(tunnels[1]));
    assert_eq!((b.place("A", "0a:00:11"), b.place("A", "0a:00:fa")), ("A1 static".to_owned(), "H3 static".to_owned()));
    let vip = b.neighbour("A", "10.1.0.100").unwrap();
    assert!(vip.has(NeighValue::WATCHED) && !vip.has(NeighValue::ANSWER));
    assert_eq!((vip.mac(), vip.target()), (mac("0a:00:11"), Target::Port(b.port("A1").0)));
}

/// Rules: D1.
#[test]
fn nothing_is_numbered_zero_that_would_make_a_free_slots_key() {
    let b = Bench::new();
    assert!(["A", "B", "C", "K", "V", "Z"].iter().all(|n| b.seg(n).0 != 0));
    assert!(["R1", "R2"].iter().all(|r| b.writer.indexes().router(r).unwrap().0 != 0));
}

#[test]
fn a_batch_that_says_nothing_new_changes_nothing() {
    let mut b = Bench::new();
    b.quiet();
    let (before, flat) = (b.now(), b.flat());
    b.apply();
    assert_eq!(b.now().generation, before.generation, "empty steps are skipped");
    assert!(Arc::ptr_eq(&b.now(), &before));
    assert_eq!(b.flat(), flat);
}

#[test]
fn what_a_batch_does_not_touch_is_shared_with_the_generation_before() {
    let mut b = Bench::new();
    let before = b.now();
    set_down(&mut b.cloud, "A3");
    b.apply();
    let after = b.now();
    assert!(after.generation > before.generation);
    let lists = |s: &Snapshot, n: &str| Arc::clone(&s.segments.get(b.seg(n).0).unwrap().flood_ports);
    assert!(!Arc::ptr_eq(&lists(&before, "A"), &lists(&after, "A")), "A3 has left it");
    assert!(Arc::ptr_eq(&lists(&before, "B"), &lists(&after, "B")));
    assert!(Arc::ptr_eq(&before.vnis, &after.vnis) && Arc::ptr_eq(&before.vteps, &after.vteps));
    let allowed = |s: &Snapshot| Arc::clone(&s.ports.get(b.port("A1").0).unwrap().allowed);
    assert!(Arc::ptr_eq(&allowed(&before), &allowed(&after)));
}

#[test]
fn a_burst_under_way_keeps_its_generation() {
    let mut b = Bench::new();
    let held = Arc::clone(b.view.published.load());
    let a3 = b.port("A3").0;
    set_down(&mut b.cloud, "A3");
    b.apply();
    assert!(held.ports.get(a3).unwrap().active);
    assert!(!b.view.published.load().ports.get(a3).unwrap().active, "the next burst has the new one");
}

#[test]
fn a_removed_port_keeps_an_inactive_row_until_its_index_has_a_new_owner() {
    let mut b = Bench::new();
    let (ix, generation) = b.port("A3");
    let a3 = b.cloud.ports.remove("A3").unwrap();
    b.apply();
    let row = b.now().ports.get(ix).cloned().unwrap();
    assert_eq!((row.active, row.generation), (false, generation));
    assert!(b.writer.indexes().port("A3").is_none());
    assert_eq!(b.place("A", "0a:00:13"), "nowhere");
    b.quiet();
    assert!(!b.now().ports.get(ix).unwrap().active, "the grace period alone changes nothing");
    b.cloud.ports.insert("A7".to_owned(), crate::model::Port { id: "A7".to_owned(), ..a3 });
    b.apply();
    let (same, newer) = b.port("A7");
    assert_eq!(same, ix);
    assert!(newer > generation, "whoever remembers the old owner can tell");
    let row = b.now().ports.get(ix).cloned().unwrap();
    assert_eq!((row.active, row.generation), (true, newer));
}

#[test]
fn an_index_waits_for_the_last_worker() {
    let mut writer = Writer::new(2, Limits::default());
    let mut cloud = fixture();
    writer.apply(&rows(&cloud, "H1"), None).unwrap();
    let (quick, slow) = (writer.view(0).unwrap(), writer.view(1).unwrap());
    quick.token.online();
    slow.token.online();
    assert!(writer.view(2).is_none());
    let old = writer.indexes().port("A3").unwrap().0;
    let a3 = cloud.ports.remove("A3").unwrap();
    writer.apply(&rows(&cloud, "H1"), None).unwrap();
    quick.token.quiesce();
    writer.poll();
    let mut add = |writer: &mut Writer, id: &str| {
        cloud.ports.insert(id.to_owned(), crate::model::Port { id: id.to_owned(), ..a3.clone() });
        writer.apply(&rows(&cloud, "H1"), None).unwrap();
        cloud.ports.remove(id);
        writer.indexes().port(id).unwrap().0
    };
    assert_ne!(add(&mut writer, "A7"), old, "the slow worker may still mean A3 by it");
    slow.token.offline();
    writer.poll();
    assert_eq!(add(&mut writer, "A8"), old, "a sleeping worker means nothing");
}

#[test]
fn a_port_that_comes_back_before_its_index_is_free_gets_another_one() {
    let mut b = Bench::new();
    let (old, generation) = b.port("A3");
    let a3 = b.cloud.ports.remove("A3").unwrap();
    b.apply();
    b.cloud.ports.insert("A3".to_owned(), a3);
    b.apply();
    let (new, newer) = b.port("A3");
    assert!(new != old && newer > generation);
    let s = b.now();
    assert!(!s.ports.get(old).unwrap().active && s.ports.get(new).unwrap().active);
    assert_eq!(b.fdb("A", mac("0a:00:13")).unwrap().target, Target::Port(new));
    assert_eq!(&s.segments.get(b.seg("A").0).unwrap().flood_ports[..], [b.port("A1").0, new]);
}

#[test]
fn networks_tunnels_and_routers_that_are_gone_have_no_row() {
    let mut b = Bench::new();
    let ix = b.writer.indexes().clone();
    let (z, h4) = (ix.segment("Z").unwrap().0, ix.tunnel("H4").unwrap().0);
    let (r2, rk) = (ix.router("R2").unwrap().0, ix.interface("rK").unwrap().0);
    for id in ["Z1", "K1"] {
        unbind(&mut b.cloud, id);
    }
    b.cloud.ports.retain(|id, p| p.device_id != "R2" && id != "A4");
    b.cloud.routers.remove("R2");
    b.cloud.hosts.remove("H4");
    b.apply();
    let s = b.now();
    assert!(s.segments.get(z).is_none() && s.tunnels.get(h4).is_none());
    assert!(s.routers.get(r2).is_none() && s.interfaces.get(rk).is_none());
    assert_eq!((s.vnis.get(2001), s.vteps.get(crate::rows::tests::ip("172.20.0.14"))), (None, None));
    assert_eq!(s.dvr_macs.get(0x3f00_0004), None);
    assert_eq!(b.neighbour("C", "10.9.0.2"), None);
    let c = s.segments.get(b.seg("C").0).unwrap();
    assert_eq!((c.interfaces.len(), c.flood_tunnels.len()), (1, 2));
}

#[test]
fn rows_of_the_model_that_are_unchanged_keep_their_indexes() {
    let mut b = Bench::new();
    let names = ["A1", "B1", "K1", "V1", "Z1"];
    let before = names.map(|p| b.port(p));
    twin(&mut b.cloud, "A3", "A0", "0a:00:10", fixed("A-v4", "10.1.0.10"));
    b.cloud.ports.remove("A3");
    port(&mut b.cloud, "B1").mac_address = mac("0b:00:99");
    b.apply();
    assert_eq!(names.map(|p| b.port(p)), before);
    assert_eq!((b.place("B", "0b:00:99"), b.place("B", "0b:00:11")), ("B1 static".to_owned(), "nowhere".to_owned()));
}

/// A worker reads while batches pass by: each row is the old or the new one, what moves is never
/// absent, a snapshot agrees with itself, and no row names what the newest snapshot lacks.
#[test]
fn between_the_steps_a_reader_meets_the_old_world_or_the_new_one() {
    let Bench { mut cloud, mut writer, mut view } = Bench::new();
    let seg = writer.indexes().segment("A").unwrap().0;
    let [h2, h3] = ["H2", "H3"].map(|h| Target::Tunnel(writer.indexes().tunnel(h).unwrap().0));
    let (a2, a3) = (fdb_key(seg, mac("0a:00:12")), fdb_key(seg, mac("0a:00:13")));
    let a2_ip = ip4_key(seg, crate::rows::tests::ip("10.1.0.12"));
    let worlds = [rows(&cloud, "H1"), {
        port(&mut cloud, "A2").binding_host_id = Some("H3".to_owned());
        cloud.ports.remove("A3");
        rows(&cloud, "H1")
    }];
    // One bit for each thing seen: A3 there and not, A2 at H2 and at H3.
    let (done, seen) = (AtomicBool::new(false), AtomicU8::new(0));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                view.token.quiesce();
                let snap = Arc::clone(view.published.load());
                let segment = snap.segments.get(seg).expect("A is never gone");
                for (ix, p) in snap.ports.iter().filter(|(_, p)| p.seg == seg) {
                    assert_eq!(p.active, segment.flood_ports.contains(&ix), "port and flood list switch together");
                }
                assert!(segment.flood_tunnels.iter().all(|t| snap.tunnels.get(*t).is_some()));
                let moved = FdbValue::unpack(view.tables.fdb.lookup(&a2)).expect("A2 is somewhere at all times");
                let next_hop = NeighValue::from_word(view.tables.neigh.lookup(&a2_ip)).expect("and so is its address");
                for at in [moved.target, next_hop.target()] {
                    assert!(at == h2 || at == h3, "{at:?}");
                }
                match FdbValue::unpack(view.tables.fdb.lookup(&a3)).map(|r| r.target) {
                    Some(Target::Port(p)) => {
                        assert!(view.newest.load().ports.get(p).is_some(), "a row names a port nobody has");
                        seen.fetch_or(1, Ordering::Relaxed);
                    }
                    None => {
                        seen.fetch_or(2, Ordering::Relaxed);
                    }
                    other => panic!("{other:?}"),
                }
                seen.fetch_or(if moved.target == h2 { 4 } else { 8 }, Ordering::Relaxed);
            }
        });
        let all_seen = || seen.load(Ordering::Relaxed) == 15;
        for n in (0..60_000).take_while(|n| *n < 600 || !all_seen()) {
            if reader.is_finished() {
                break;
            }
            writer.apply(&worlds[(n + 1) % 2], None).unwrap();
            std::thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(seen.into_inner(), 15, "both worlds were seen");
}

/// In both snapshots of the batch that brings a network's first ports, its router interface and a host:
/// where a port of it is active, the router's MAC and address and the host's DVR MAC are known.
/// Rules: o1.
#[test]
fn a_port_is_active_only_where_its_router_and_the_dvr_macs_are_reserved() {
    let whole = rows(&fixture(), "H1");
    let mut before = fixture();
    before.ports.retain(|id, _| !["A1", "A3", "rA"].contains(&id.as_str()));
    before.hosts.remove("H4");
    let mut writer = Writer::new(1, Limits::default());
    writer.apply(&rows(&before, "H1"), None).unwrap();
    let mut ix = writer.indexes.clone();
    ix.assign(&whole).unwrap();
    let batch = Compiled::new(&whole, &writer.current, &ix, &writer.indexes);
    let (first, last) = (batch.fresh.unwrap(), batch.snapshot.unwrap());
    let a = ix.segment("A").unwrap().0;
    let active = |s: &Snapshot| s.ports.iter().filter(|(_, p)| p.seg == a && p.active).count();
    assert_eq!((active(&first), active(&last)), (0, 2));
    let seg = last.segments.get(a).unwrap();
    assert!(seg.interfaces.iter().any(|i| i.mac == mac("0a:00:01")));
    assert!(seg.router_ips.iter().any(|r| r.ip == crate::rows::tests::ip("10.1.0.1")));
    assert!(last.dvr_macs.get(0x3f00_0004).is_some());
    // What they lead to is there a step earlier.
    assert!(first.tunnels.get(ix.tunnel("H4").unwrap().0).is_some());
    assert!(first.interfaces.get(ix.interface("rA").unwrap().0).is_some());
}
