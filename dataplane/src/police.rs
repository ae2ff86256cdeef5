//! Rate limits: token buckets in integers, driven by the frames' own receive times.

use ahash::RandomState;

/// So many a second, so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come back each second.
    pub per_second: u32,
    /// Tokens a full bucket holds.
    pub burst: u32,
}

/// A token in the unit of [`TokenBucket`]: what one a second brings in one nanosecond is 1.
const TOKEN: u64 = 1_000_000_000;

/// A token bucket, full at first. Exact: no rounding, whatever the rate and however often it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    /// Billionths of a token.
    level: u64,
    /// Time of `level`, ns.
    at: u64,
}

impl TokenBucket {
    /// A full bucket of any size.
    pub const FULL: TokenBucket = TokenBucket { level: u64::MAX, at: 0 };

    /// Takes one token at `now` ns; `false`: there is none. A time before the last one counts as the last one.
    #[inline]
    pub fn take(&mut self, rate: Rate, now: u64) -> bool {
        let come_back = now.saturating_sub(self.at).saturating_mul(u64::from(rate.per_second));
        let full = u64::from(rate.burst) * TOKEN;
        let level = self.level.saturating_add(come_back).min(full);
        self.at = self.at.max(now);
        let rest = level.checked_sub(TOKEN);
        self.level = rest.unwrap_or(level);
        rest.is_some()
    }
}

/// Buckets of [`HashedBuckets`].
pub const HASHED: usize = 1024;

/// Limits for more sources than a worker could keep: each has one of 1,024 token buckets, by a hash with a secret that
/// no source knows. Two may share one; then they share its rate, and nobody gets more than it.
#[derive(Clone, Debug)]
pub struct HashedBuckets {
    hasher: RandomState,
    buckets: Box<[TokenBucket; HASHED]>,
}

impl Default for HashedBuckets {
    fn default() -> Self {
        HashedBuckets::new()
    }
}

impl HashedBuckets {
    /// All full, with a secret of their own. Allocates, once.
    pub fn new() -> Self {
        HashedBuckets::with_hasher(RandomState::new())
    }

    /// The same with a given hash: for results that are to be the same in every run.
    pub fn with_hasher(hasher: RandomState) -> Self {
        HashedBuckets { hasher, buckets: Box::new([TokenBucket::FULL; HASHED]) }
    }

    /// Takes one token of the source `key` at `now` ns, as [`TokenBucket::take`]. Each source is to be asked with the
    /// same `rate` always.
    #[inline]
    pub fn take(&mut self, key: u64, rate: Rate, now: u64) -> bool {
        let at = self.hasher.hash_one(key) as usize % HASHED;
        self.buckets.get_mut(at).is_some_and(|bucket| bucket.take(rate, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 1000, burst: 2000 };
    const MS: u64 = 1_000_000;

    fn taken(bucket: &mut TokenBucket, rate: Rate, now: u64) -> usize {
        (0..10_000).take_while(|_| bucket.take(rate, now)).count()
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_its_rate() {
        for start in [0, 1_700_000_000_123_456_789, u64::MAX - 10_000_000_000] {
            let mut b = TokenBucket::FULL;
            assert_eq!(taken(&mut b, RATE, start), 2000);
            assert!(!b.take(RATE, start + MS - 1), "one ns before the first comes back");
            assert!(b.take(RATE, start + MS));
            assert!(!b.take(RATE, start + 2 * MS - 1));
            assert_eq!(taken(&mut b, RATE, start + 1001 * MS), 1000, "a second later");
            assert_eq!(taken(&mut b, RATE, start + 9000 * MS), 2000, "never more than the burst");
        }
    }

    #[test]
    fn asking_often_or_in_vain_costs_nothing() {
        let mut b = TokenBucket::FULL;
        taken(&mut b, RATE, 0);
        for ns in 1..MS {
            assert!(!b.take(RATE, ns));
        }
        assert!(b.take(RATE, MS));
        // 7 a second is no whole number of ns a token.
        let (mut b, rate) = (TokenBucket::FULL, Rate { per_second: 7, burst: 2 });
        let given: usize = (0..=1_000_000u64).map(|ms| taken(&mut b, rate, ms * MS)).sum();
        assert_eq!(given, 2 + 7 * 1000);
    }

    #[test]
    fn a_clock_that_steps_back_gives_no_tokens() {
        let mut b = TokenBucket::FULL;
        assert_eq!(taken(&mut b, RATE, 10_000 * MS), 2000);
        assert!(!b.take(RATE, 5_000 * MS));
        assert!(!b.take(RATE, 10_000 * MS), "the way back counts once");
        assert!(b.take(RATE, 10_001 * MS));
    }

    #[test]
    fn none_and_as_many_as_can_be() {
        let mut none = TokenBucket::FULL;
        assert!(!none.take(Rate { per_second: 1000, burst: 0 }, u64::MAX));
        let (mut most, rate) = (TokenBucket::FULL, Rate { per_second: u32::MAX, burst: u32::MAX });
        assert!(most.take(rate, 0) && most.take(rate, u64::MAX));
    }

    fn seeded() -> HashedBuckets {
        HashedBuckets::with_hasher(RandomState::with_seeds(1, 2, 3, 4))
    }

    const TEN: Rate = Rate { per_second: 10, burst: 10 };

    /// Empties the bucket of `key` at time 0: how many it gave.
    fn drained(buckets: &mut HashedBuckets, key: u64) -> usize {
        (0..100).take_while(|_| buckets.take(key, TEN, 0)).count()
    }

    #[test]
    fn a_source_gets_its_rate_whatever_another_takes() {
        let mut b = seeded();
        assert_eq!(drained(&mut b, 1), 10);
        assert_eq!(drained(&mut b, 2), 10, "another bucket");
        assert!(!b.take(1, TEN, 100 * MS - 1) && b.take(1, TEN, 100 * MS));
        assert!(!b.take(1, TEN, 100 * MS) && b.take(2, TEN, 100 * MS));
    }

    #[test]
    fn two_sources_of_one_bucket_share_its_rate_and_no_third_feels_it() {
        let mut b = seeded();
        assert_eq!(drained(&mut b, 0), 10);
        // Keys that find nothing have the bucket of key 0: of 100,000 about 98, and hardly under 60 or above 140.
        let sharing: Vec<u64> = (1..100_000).filter(|key| !b.clone().take(*key, TEN, 0)).collect();
        assert!((60..140).contains(&sharing.len()), "{}", sharing.len());
        assert!(b.take(sharing[0], TEN, 100 * MS) && !b.take(0, TEN, 100 * MS), "one token, for one of them");
    }

    #[test]
    fn sources_spread_over_all_buckets_and_differently_with_each_secret() {
        let mut b = seeded();
        let full: Vec<u64> = (0..20_000).map(|n| 0x0a01_0000 + n).filter(|key| drained(&mut b, *key) == 10).collect();
        assert_eq!(full.len(), HASHED, "the first of each bucket");
        let firsts = |b: &mut HashedBuckets| -> Vec<u64> { (0..2000).filter(|key| drained(b, *key) == 10).collect() };
        assert_ne!(firsts(&mut HashedBuckets::new()), firsts(&mut HashedBuckets::new()));
        assert_eq!(firsts(&mut seeded()), firsts(&mut seeded()));
    }
}
