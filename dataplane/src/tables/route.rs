//! [`RouteSet`]: longest-prefix match of one router's main table (T12).

/// A next hop, in one word so that it travels in a register: `iface:16 | via:32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop(u64);

impl Hop {
    /// Out by interface `iface`, to `via` (host byte order); `via` 0 = to the destination itself (connected).
    #[inline(always)]
    pub const fn new(iface: u16, via: u32) -> Self {
        Hop((iface as u64) << 32 | via as u64)
    }

    /// Index of the egress router interface.
    #[inline(always)]
    pub const fn iface(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// Next-hop address, 0 = the destination itself.
    #[inline(always)]
    pub const fn via(self) -> u32 {
        self.0 as u32
    }
}

/// A route: prefix and one or more equal-cost hops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Network address, host byte order, host bits 0.
    pub net: u32,
    /// Prefix length, 0..=32.
    pub len: u8,
    /// At least one; several = ECMP (R5).
    pub hops: Vec<Hop>,
}

/// Prefixes of one block: as many as share a cache line with their masks.
const BLOCK: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    net: [u32; BLOCK],
    mask: [u32; BLOCK],
}

/// Immutable. Prefixes stand in order of falling length, so the first match is the longest; the
/// whole block is compared without a branch. Meant for the few routes a tenant router has; a
/// router near the limit of 1,024 routes scans 128 blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteSet {
    blocks: Box<[Block]>,
    /// Per prefix: first hop and number of hops in `hops`.
    spans: Box<[(u16, u16)]>,
    hops: Box<[Hop]>,
}

impl RouteSet {
    /// Limit of routes of one router.
    pub const LIMIT: usize = 1024;

    /// From routes in any order; one that has no hop is left out, of two equal prefixes the first counts.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Self {
        let mut routes: Vec<Route> = routes.into_iter().filter(|r| !r.hops.is_empty() && r.len <= 32).collect();
        routes.sort_by_key(|r| std::cmp::Reverse(r.len));
        // A padding entry never matches: an address with mask 0 is 0, never 1.
        let mut blocks = vec![Block { net: [1; BLOCK], mask: [0; BLOCK] }; routes.len().div_ceil(BLOCK)];
        let (mut spans, mut hops) = (Vec::new(), Vec::new());
        for (i, r) in routes.iter().enumerate() {
            let mask = u32::MAX.checked_shl(32 - u32::from(r.len)).unwrap_or(0);
            if let Some(b) = blocks.get_mut(i / BLOCK) {
                if let (Some(n), Some(m)) = (b.net.get_mut(i % BLOCK), b.mask.get_mut(i % BLOCK)) {
                    (*n, *m) = (r.net & mask, mask);
                }
            }
            spans.push((hops.len() as u16, r.hops.len() as u16));
            hops.extend_from_slice(&r.hops);
        }
        RouteSet { blocks: blocks.into(), spans: spans.into(), hops: hops.into() }
    }

    /// The hop for `dst` (host byte order); among several the one the flow's
    /// hash picks, the same for each of its packets; `hash` is asked only then.
    #[inline(always)]
    pub fn lookup(&self, dst: u32, hash: impl FnOnce() -> u64) -> Option<Hop> {
        for (n, block) in self.blocks.iter().enumerate() {
            // One byte per prefix: the compiler turns this into vector compares.
            let mut hits = [0u8; BLOCK];
            for ((hit, net), mask) in hits.iter_mut().zip(&block.net).zip(&block.mask) {
                *hit = u8::from(dst & mask == *net);
            }
            let hit = u64::from_le_bytes(hits);
            if hit != 0 {
                let (first, count) = *self.spans.get(n * BLOCK + hit.trailing_zeros() as usize / 8)?;
                let pick = if count == 1 { 0 } else { (hash() >> 32) * u64::from(count) >> 32 };
                return self.hops.get(usize::from(first) + pick as usize).copied();
            }
        }
        None
    }

    /// Number of routes.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// No routes?
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(iface: u16) -> Hop {
        Hop::new(iface, 0)
    }

    fn route(net: [u8; 4], len: u8, iface: u16) -> Route {
        Route { net: u32::from_be_bytes(net), len, hops: vec![hop(iface)] }
    }

    fn find(set: &RouteSet, ip: [u8; 4]) -> Option<u16> {
        set.lookup(u32::from_be_bytes(ip), || 0).map(|h| h.iface())
    }

    #[test]
    fn longest_prefix_wins_whatever_the_order() {
        let set = RouteSet::new([route([10, 0, 0, 0], 8, 1), route([0; 4], 0, 9), route([10, 1, 2, 0], 24, 3), route([10, 1, 2, 3], 32, 4)]);
        assert_eq!(find(&set, [10, 1, 2, 3]), Some(4));
        assert_eq!(find(&set, [10, 1, 2, 4]), Some(3));
        assert_eq!(find(&set, [10, 2, 0, 0]), Some(1));
        assert_eq!(find(&set, [11, 0, 0, 0]), Some(9));
        assert_eq!(find(&set, [0, 0, 0, 1]), Some(9));
    }

    #[test]
    fn empty_slots_never_match() {
        let set = RouteSet::new([route([10, 0, 0, 0], 8, 1)]);
        for ip in [[0, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [255, 255, 255, 255]] {
            assert_eq!(find(&set, ip), None);
        }
        assert_eq!(find(&RouteSet::default(), [10, 0, 0, 1]), None);
    }

    #[test]
    fn ecmp_spreads_flows_and_keeps_each_on_its_path() {
        let hops: Vec<Hop> = (0..4).map(hop).collect();
        let set = RouteSet::new([Route { net: 0, len: 0, hops }]);
        let mut seen = [0; 4];
        for flow in 0..4000u64 {
            let hash = flow.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let first = set.lookup(1, || hash).unwrap().iface();
            assert_eq!(set.lookup(2, || hash).unwrap().iface(), first);
            seen[usize::from(first)] += 1;
        }
        assert!(seen.iter().all(|n| (800..1200).contains(n)), "{seen:?}");
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_a_plain_search(
            routes in proptest::collection::vec((proptest::num::u32::ANY, 0u8..=32), 0..40),
            dst in proptest::num::u32::ANY,
        ) {
            let mut unique = std::collections::BTreeMap::new();
            for (i, (net, len)) in routes.iter().enumerate() {
                let mask = if *len == 0 { 0 } else { u32::MAX << (32 - len) };
                unique.entry((*len, net & mask)).or_insert(i as u16);
            }
            let set = RouteSet::new(unique.iter().map(|((len, net), i)| Route { net: *net, len: *len, hops: vec![hop(*i)] }));
            for dst in unique.keys().map(|(_, net)| net | 1).chain([dst]) {
                let expect = unique.iter().rev().find(|((len, net), _)| *len == 0 || (dst ^ net) >> (32 - len) == 0);
                proptest::prop_assert_eq!(set.lookup(dst, || 0).map(|h| h.iface()), expect.map(|(_, i)| *i));
            }
        }
    }
}
