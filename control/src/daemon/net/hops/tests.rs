use super::*;
use NeighbourState::{Delay, Failed, Incomplete, Noarp, Permanent, Probe, Reachable, Stale};

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
const MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);

fn entry(state: NeighbourState) -> Option<Entry> {
    Some(Entry { state, mac: Some(MAC) })
}

/// Hops to these VTEPs, each on the wire.
fn on_wire(vteps: &[Ipv4Addr], now: Instant) -> Hops {
    let mut hops = Hops::default();
    hops.want(&vteps.iter().copied().collect());
    let ways = vteps.iter().map(|v| (*v, Ok(IpAddr::V4(*v)))).collect();
    assert_eq!(hops.set_ways(ways, now).len(), vteps.len());
    hops
}

fn told(hops: &mut Hops) -> Vec<(Ipv4Addr, News)> {
    let mut out = Vec::new();
    hops.tell(|vtep, news| {
        out.push((vtep, news));
        true
    });
    out
}

#[test]
fn which_states_have_an_address_and_which_are_nudged() {
    let now = Instant::now();
    for (state, has_mac, nudged) in [
        (NeighbourState::None, false, true),
        (Incomplete, false, false),
        (Reachable, true, false),
        (Stale, true, true),
        (Delay, true, false),
        (Probe, true, false),
        (Failed, false, true),
        (Noarp, true, false),
        (Permanent, true, false),
    ] {
        let mut hops = on_wire(&[A], now);
        hops.set_entry(A.into(), entry(state), now);
        let expected = if has_mac { vec![(A, News::Mac(Some(MAC)))] } else { vec![] };
        assert_eq!(told(&mut hops), expected, "{state:?}");
        assert_eq!(hops.visit(A.into(), now), nudged, "{state:?}");
    }
    // No entry at all.
    assert!(on_wire(&[A], now).visit(A.into(), now));
    // Addresses no machine has.
    for mac in [None, Some(MacAddr::ZERO), Some(MacAddr::BROADCAST)] {
        let mut hops = on_wire(&[A], now);
        hops.set_entry(A.into(), Some(Entry { state: Permanent, mac }), now);
        assert_eq!(told(&mut hops), []);
    }
}

#[test]
fn a_change_is_told_once_and_again_if_it_was_not_heard() {
    let now = Instant::now();
    let mut hops = on_wire(&[A, B], now);
    hops.set_entry(A.into(), entry(Reachable), now);
    hops.tell(|_, _| false);
    assert_eq!(told(&mut hops), [(A, News::Mac(Some(MAC)))]);
    hops.set_entry(A.into(), entry(Stale), now);
    assert_eq!(told(&mut hops), []);
    hops.set_entry(A.into(), entry(Failed), now);
    assert_eq!(told(&mut hops), [(A, News::Mac(None))]);
    // B by A's hop, then by none.
    hops.set_entry(A.into(), entry(Reachable), now);
    assert!(hops.set_ways(vec![(B, Ok(A.into()))], now).is_empty());
    assert_eq!(told(&mut hops), [(A, News::Mac(Some(MAC))), (B, News::Mac(Some(MAC)))]);
    hops.set_ways(vec![(B, Err(NoWay::NoInterface))], now);
    assert_eq!(told(&mut hops), [(B, News::NoWay(Some(NoWay::NoInterface))), (B, News::Mac(None))]);
    hops.set_ways(vec![(B, Ok(A.into()))], now);
    assert_eq!(told(&mut hops), [(B, News::NoWay(None)), (B, News::Mac(Some(MAC)))]);
    // A full table is a reason, until there is an address.
    hops.set_trouble(A.into(), Some(NoWay::TableFull));
    let full = News::NoWay(Some(NoWay::TableFull));
    assert_eq!(told(&mut hops), [(A, full.clone()), (B, full)]);
    hops.set_entry(A.into(), entry(Reachable), now);
    assert_eq!(told(&mut hops), [(A, News::NoWay(None)), (B, News::NoWay(None))]);
    // One that is not wanted any more is forgotten, and its hop if nobody else has it.
    hops.want(&[B].into());
    assert_eq!(told(&mut hops), []);
    hops.want(&BTreeSet::new());
    hops.set_ways(Vec::new(), now);
    assert!(!hops.contains(A.into()));
}

#[test]
fn when_a_hop_is_due() {
    let start = Instant::now();
    let mut hops = on_wire(&[A, B], start);
    assert_eq!(hops.due(start, 9), [IpAddr::from(A), B.into()]);
    assert_eq!(hops.due(start, 1), [IpAddr::from(A)]);
    // Found: again after 15 s. Not found: after 1 s.
    hops.set_entry(A.into(), entry(Stale), start);
    hops.visit(A.into(), start);
    hops.visit(B.into(), start);
    assert_eq!(hops.due(start + RETRY, 9), [IpAddr::from(B)]);
    hops.set_entry(B.into(), entry(Permanent), start);
    hops.visit(B.into(), start + RETRY);
    assert_eq!(hops.due(start + REFRESH, 9), [IpAddr::from(A)]);
    // Lost: at once, but never twice within 1 s.
    let lost = start + Duration::from_secs(3);
    hops.set_entry(A.into(), entry(Failed), lost);
    assert_eq!(hops.due(lost, 9), [IpAddr::from(A)]);
    assert!(hops.visit(A.into(), lost));
    hops.set_entry(A.into(), None, lost);
    assert!(hops.due(lost + RETRY / 2, 9).is_empty());
    assert_eq!(hops.due(lost + RETRY, 9), [IpAddr::from(A)]);
    // Frames wait for it: then sooner. Not for one that has an address, or that nobody wants.
    assert!(!hops.ask(B, lost) && !hops.ask(Ipv4Addr::new(10, 0, 0, 9), lost));
    assert!(hops.due(lost, 9).is_empty());
    assert!(!hops.ask(A, lost));
    assert_eq!(hops.due(lost, 9), [IpAddr::from(A)]);
    hops.visit(A.into(), lost);
    // Without a way the routes are to be read.
    hops.set_ways(vec![(A, Err(NoWay::NoInterface))], lost);
    assert!(hops.ask(A, lost));
    hops.set_ways(vec![(A, Ok(A.into()))], lost);
    hops.set_entry(A.into(), entry(Failed), lost);
    // Another interface: everything anew.
    hops.forget_entries(lost);
    assert_eq!(hops.due(lost, 9).len(), 2);
    assert_eq!(told(&mut hops), []);
}
