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

    /// Index of the egress router interface; 65535 is none.
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

/// Where a packet goes, by [`RouteSet::find`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No route.
    Nowhere,
    /// The only hop.
    By(Hop),
    /// One of several hops, by the number of their group: [`RouteSet::lookup`] chooses.
    Several(u32),
}

/// What stands for an interval: no route, a hop, or several hops of a route (ECMP); for a bucket also that there is more
/// than one interval in it.
const NONE: u64 = u64::MAX;
const SEVERAL: u64 = 0xffff << 32;
const MIXED: u64 = 1 << 48;

/// Immutable. The prefixes are cut into disjoint intervals of addresses, each with its longest
/// prefix's hop, so that a lookup is one branch-free binary search whatever the prefixes nest like:
/// five steps for a router on ten subnets, eleven at the limit. In front of it stands an array of
/// buckets of equal size: where subnets lie side by side, as those of a subnet pool do, it has the answer itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSet {
    /// First address of each interval, ascending; the first is 0.
    starts: Box<[u32]>,
    /// Of each interval: [`NONE`], a [`Hop`], or [`SEVERAL`] | number of the group.
    hops: Box<[u64]>,
    buckets: Buckets,
    /// Hops of routes with more than one.
    groups: Box<[Box<[Hop]>]>,
    routes: usize,
}

impl Default for RouteSet {
    fn default() -> Self {
        RouteSet::new([])
    }
}

/// Addresses by `(address - base) >> shift`; those below `base` are in the first bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Buckets {
    base: u32,
    shift: u32,
    /// As the interval that all of the bucket is in, or [`MIXED`].
    words: Box<[u64]>,
    /// As the last interval: what is behind the last bucket.
    above: u64,
}

impl Buckets {
    /// So many are always affordable (2 KiB).
    const FEW: usize = 256;

    fn new(starts: &[u32], hops: &[u64]) -> Self {
        let word = |interval: usize| hops.get(interval).copied().unwrap_or(NONE);
        let interval = |address: u32| starts.partition_point(|start| *start <= address) - 1;
        let above = word(starts.len() - 1);
        let [_, first, ..] = *starts else { return Buckets { base: 0, shift: 0, words: Box::default(), above } };
        let last = starts.last().copied().unwrap_or(first);
        let base = |shift: u32| (first >> shift).saturating_sub(1) << shift;
        let count = |shift: u32| ((last - base(shift)) >> shift) as usize + 1;
        // The largest in which every start is the first of its bucket; larger if that makes too many.
        let exact = starts.iter().skip(1).fold(31, |shift, start| start.trailing_zeros().min(shift));
        let affordable = Self::FEW.max(starts.len() * 4);
        let shift = (exact..31).find(|shift| count(*shift) <= affordable).unwrap_or(31);
        let base = base(shift);
        let words = (0..count(shift) as u32).map(|n| {
            let from = base + (n << shift);
            let (low, high) = (interval(if n == 0 { 0 } else { from }), interval(from | !(u32::MAX << shift)));
            if low == high { word(low) } else { MIXED }
        });
        Buckets { base, shift, words: words.collect(), above }
    }

    #[inline(always)]
    fn find(&self, address: u32) -> u64 {
        let bucket = address.saturating_sub(self.base) >> (self.shift & 31);
        self.words.get(bucket as usize).copied().unwrap_or(self.above)
    }
}

impl RouteSet {
    /// Limit of routes of one router.
    pub const LIMIT: usize = 1024;

    /// From routes in any order; one that has no hop is left out, of two equal prefixes the first counts.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Self {
        let mut routes: Vec<Route> = routes.into_iter().filter(|r| !r.hops.is_empty() && r.len <= 32).collect();
        routes.sort_by_key(|r| std::cmp::Reverse(r.len));
        let mask = |len: u8| u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
        let ends = routes.iter().flat_map(|r| {
            let first = r.net & mask(r.len);
            [Some(first), (first | !mask(r.len)).checked_add(1)]
        });
        let mut starts: Vec<u32> = ends.flatten().chain([0]).collect();
        starts.sort_unstable();
        starts.dedup();
        let mut groups = Vec::new();
        let words: Vec<u64> = routes
            .iter()
            .map(|r| match r.hops.as_slice() {
                [one] => one.0,
                several => {
                    groups.push(several.into());
                    SEVERAL | (groups.len() as u64 - 1)
                }
            })
            .collect();
        let longest = |start: &u32| routes.iter().position(|r| (start ^ r.net) & mask(r.len) == 0);
        let hop = |start| longest(start).and_then(|n| words.get(n)).copied().unwrap_or(NONE);
        let hops: Box<[u64]> = starts.iter().map(hop).collect();
        let buckets = Buckets::new(&starts, &hops);
        RouteSet { hops, starts: starts.into(), buckets, groups: groups.into(), routes: routes.len() }
    }

    /// The hop for `dst` (host byte order); among several the one the flow's hash picks, the same
    /// for each of its packets; `hash` is asked only then.
    #[inline(always)]
    pub fn lookup(&self, dst: u32, hash: impl FnOnce() -> u64) -> Option<Hop> {
        match self.find(dst) {
            Found::Nowhere => None,
            Found::By(hop) => Some(hop),
            Found::Several(group) => self.pick(group, hash()),
        }
    }

    /// As [`RouteSet::lookup`], without a choice among several.
    #[inline(always)]
    pub fn find(&self, dst: u32) -> Found {
        let word = match self.buckets.find(dst) {
            MIXED => self.search(dst),
            word => word,
        };
        match word {
            hop if hop < SEVERAL => Found::By(Hop(hop)),
            NONE => Found::Nowhere,
            several => Found::Several(several as u32),
        }
    }

    #[inline(never)]
    fn search(&self, dst: u32) -> u64 {
        let interval = self.starts.partition_point(|start| *start <= dst).wrapping_sub(1);
        self.hops.get(interval).copied().unwrap_or(NONE)
    }

    #[cold]
    fn pick(&self, group: u32, hash: u64) -> Option<Hop> {
        let hops = self.groups.get(group as usize)?;
        let at = ((hash >> 32) * hops.len() as u64) >> 32;
        hops.get(at as usize).copied()
    }

    /// Number of routes.
    pub fn len(&self) -> usize {
        self.routes
    }

    /// No routes?
    pub fn is_empty(&self) -> bool {
        self.routes == 0
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

    /// Rules: R4-1.
    #[test]
    fn longest_prefix_wins_whatever_the_order() {
        let set = RouteSet::new([
            route([10, 0, 0, 0], 8, 1),
            route([0; 4], 0, 9),
            route([10, 1, 2, 0], 24, 3),
            route([10, 1, 2, 3], 32, 4),
        ]);
        assert_eq!(find(&set, [10, 1, 2, 3]), Some(4));
        assert_eq!(find(&set, [10, 1, 2, 4]), Some(3));
        assert_eq!(find(&set, [10, 2, 0, 0]), Some(1));
        assert_eq!(find(&set, [11, 0, 0, 0]), Some(9));
        assert_eq!(find(&set, [0, 0, 0, 1]), Some(9));
        assert_eq!((set.len(), set.is_empty()), (4, false));
        assert_eq!((RouteSet::default().len(), RouteSet::default().is_empty()), (0, true));
    }

    /// Rules: R4-1.
    #[test]
    fn outside_every_prefix_there_is_no_route() {
        let set = RouteSet::new([route([10, 0, 0, 0], 8, 1)]);
        for ip in [[0, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [255, 255, 255, 255]] {
            assert_eq!(find(&set, ip), None);
        }
        assert_eq!(find(&RouteSet::default(), [10, 0, 0, 1]), None);
    }

    /// Rules: R5.
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
        /// Rules: R4-1.
        #[test]
        fn agrees_with_a_plain_search(
            anywhere in proptest::collection::vec((proptest::num::u32::ANY, 0u8..=32), 0..20),
            // Subnets of a pool, in buckets of their own if they are large enough.
            pool in proptest::collection::vec((0x0a00_0000u32..0x0a10_0000, 12u8..28), 0..20),
            both in proptest::bool::ANY,
            dst in proptest::num::u32::ANY,
        ) {
            let routes: Vec<_> = anywhere.into_iter().filter(|_| both).chain(pool).collect();
            let mut unique = std::collections::BTreeMap::new();
            for (i, (net, len)) in routes.iter().enumerate() {
                let mask = if *len == 0 { 0 } else { u32::MAX << (32 - len) };
                unique.entry((*len, net & mask)).or_insert(i as u16);
            }
            let set = RouteSet::new(unique.iter().map(|((len, net), i)| Route { net: *net, len: *len, hops: vec![hop(*i)] }));
            let edges = |(len, net): &(u8, u32)| {
                let last = net | !u32::MAX.checked_shl(32 - u32::from(*len)).unwrap_or(0);
                [*net, net | 1, net.wrapping_sub(1), last, last.wrapping_add(1)]
            };
            for dst in unique.keys().flat_map(edges).chain([dst, dst & 0xf_ffff | 0x0a00_0000]) {
                let expect = unique.iter().rev().find(|((len, net), _)| *len == 0 || (dst ^ net) >> (32 - len) == 0);
                proptest::prop_assert_eq!(set.lookup(dst, || 0).map(|h| h.iface()), expect.map(|(_, i)| *i));
            }
        }
    }
}
