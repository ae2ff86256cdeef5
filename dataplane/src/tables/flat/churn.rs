//! Wear: what 10^6 operations (10^8 with `CHURN=100000000`) do to the length of a miss.

use super::*;
use crate::tables::QsbrWorker;

/// Which row goes when a new one comes.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// The oldest.
    Fifo,
    /// Any.
    Random,
    /// 64 neighbours together, replaced by 64 others: a subnet's worth of ports.
    Runs,
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Mean miss in a fresh table that holds `limit` rows in `slots` slots, and the worst of many
/// measurements while `operations` deletions and insertions pass.
fn churn(order: Order, slots: usize, limit: usize, operations: u64) -> (f64, f64) {
    let q = Qsbr::new(2);
    let workers = [q.worker(0).unwrap(), q.worker(1).unwrap()];
    workers.iter().for_each(QsbrWorker::online);
    let hasher = RandomState::with_seeds(5, 6, 7, 8);
    let mut w = FlatWriter::<1>::with_slots(slots, limit, Arc::clone(&q), hasher);
    let mut live: Vec<u64> = (1..=limit as u64).collect();
    live.iter().for_each(|k| w.put(&[*k], *k).unwrap());
    let (fresh, mut worst) = (w.mean_miss_probe(), 0.0_f64);
    let (mut next, mut at, mut random) = (limit as u64, 0, Random(88_172_645_463_325_252));
    for n in 0..operations / 2 {
        at = match order {
            Order::Random => random.below(limit as u64) as usize,
            Order::Runs if n % 64 == 0 => random.below(limit as u64) as usize,
            Order::Fifo | Order::Runs => (at + 1) % limit,
        };
        // One worker is quick, one slow and sometimes asleep.
        if random.below(16) == 0 {
            workers[0].quiesce();
        }
        match random.below(600) {
            0 => workers[1].online(),
            1 => workers[1].offline(),
            2 | 3 => workers[1].quiesce(),
            _ => {}
        }
        assert!(w.remove(&[live[at]]));
        next += 1;
        w.put(&[next], next).unwrap();
        live[at] = next;
        if n % (operations / 40) == 0 {
            worst = worst.max(w.mean_miss_probe());
        }
    }
    assert_eq!(w.len(), limit);
    assert!(live.iter().all(|k| w.get(&[*k]) == *k));
    (fresh, worst)
}

fn operations() -> u64 {
    std::env::var("CHURN").map_or(1_000_000, |n| n.parse().unwrap())
}

#[track_caller]
fn stays_short(order: Order) {
    let limit = 4096;
    let (fresh, worst) = churn(order, 4 * limit, limit, operations());
    println!("{order:?}: {} operations, mean miss {worst:.2} slots at worst, fresh {fresh:.2}", operations());
    assert!(worst <= 2.0 * fresh, "{order:?}: {worst:.2} against {fresh:.2}");
}

#[test]
fn misses_stay_short_when_the_oldest_row_goes() {
    stays_short(Order::Fifo);
}

#[test]
fn misses_stay_short_when_any_row_goes() {
    stays_short(Order::Random);
}

#[test]
fn misses_stay_short_when_rows_go_in_runs() {
    stays_short(Order::Runs);
}

/// Why tables are not half full at their limit; the numbers are in ARCHITECTURE.md, "Tables".
#[test]
#[ignore = "a measurement: .ci/nightly"]
fn half_full_is_too_full() {
    let mut at_half = 0.0_f64;
    for (limit, load) in [(4096, "1/4"), (6144, "3/8"), (8192, "1/2")] {
        for order in [Order::Fifo, Order::Random, Order::Runs] {
            let (fresh, worst) = churn(order, 16384, limit, operations());
            println!("{load} full, {order:?}: fresh {fresh:.2}, at worst {worst:.2}, {:.2} times", worst / fresh);
            if load == "1/2" {
                at_half = at_half.max(worst / fresh);
            }
        }
    }
    assert!(at_half > 2.0, "{at_half:.2}: the tables could be half as large");
}
