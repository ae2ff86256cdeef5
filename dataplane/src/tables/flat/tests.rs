use super::*;

fn fixed() -> RandomState {
    RandomState::with_seeds(1, 2, 3, 4)
}

fn writer<const K: usize>(limit: usize) -> (FlatWriter<K>, Arc<Qsbr>) {
    let q = Qsbr::new(1);
    (FlatWriter::new(limit, Arc::clone(&q), fixed()), q)
}

#[test]
fn insert_update_delete() {
    let (mut w, _q) = writer::<1>(64);
    let k = [1 << 48 | 5];
    assert_eq!(w.get(&k), 0);
    w.put(&k, 7).unwrap();
    assert_eq!(w.reader().lookup(&k), 7);
    w.put(&k, 8).unwrap();
    assert_eq!((w.get(&k), w.len()), (8, 1));
    assert!(w.remove(&k));
    assert!(!w.remove(&k));
    assert_eq!((w.get(&k), w.len()), (0, 0));
}

#[test]
fn a_table_tells_its_size_its_rows_and_the_slots_that_wait() {
    let (mut w, q) = writer::<1>(2048);
    let worker = q.worker(0).unwrap();
    worker.online();
    assert_eq!((w.reader().capacity(), w.limit()), (4 * 2048, 2048)); // a quarter full at its limit
    assert_eq!((w.len(), w.is_empty(), w.waiting()), (0, true, 0));
    for i in 1..=3 {
        w.put(&[i], i).unwrap();
    }
    assert_eq!((w.len(), w.is_empty()), (3, false));
    assert!((1..=3).all(|i| w.remove(&[i])));
    assert_eq!((w.len(), w.is_empty(), w.waiting()), (0, true, 3));
    worker.quiesce();
    w.bury();
    assert_eq!(w.waiting(), 0);
}

#[test]
fn an_absent_key_looks_at_one_slot_more_where_a_row_is() {
    let (mut w, _q) = writer::<1>(8); // 32 slots
    assert_eq!(w.mean_miss_probe(), 1.0);
    w.put(&[1], 1).unwrap();
    assert_eq!(w.mean_miss_probe(), 33.0 / 32.0);
    // A second row with the same home stands behind the first: from there two more, from itself one.
    let home = |w: &FlatWriter<1>, k: u64| w.table.home(&[k]) & w.table.mask;
    let same = (2..).find(|k| home(&w, *k) == home(&w, 1)).unwrap();
    w.put(&[same], 1).unwrap();
    assert_eq!(w.mean_miss_probe(), (32.0 + 2.0 + 1.0) / 32.0);
}

#[test]
fn keys_of_three_words_differ_in_any_word() {
    let (mut w, _q) = writer::<3>(64);
    for (n, k) in [[1, 2, 3], [1, 2, 4], [1, 5, 3], [6, 2, 3]].iter().enumerate() {
        w.put(k, n as u64 + 1).unwrap();
    }
    assert_eq!(w.get(&[1, 2, 4]), 2);
    assert_eq!(w.get(&[6, 2, 3]), 4);
    assert_eq!(w.get(&[6, 2, 4]), 0);
}

#[test]
fn refuses_past_the_limit_and_reserved_words_and_keeps_the_rest() {
    let (mut w, _q) = writer::<1>(8);
    for i in 1..=8 {
        w.put(&[i], i).unwrap();
    }
    assert_eq!(w.put(&[9], 9), Err(InsertError::Full));
    w.put(&[3], 33).unwrap();
    assert_eq!(w.put(&[0], 1), Err(InsertError::Reserved));
    assert_eq!(w.put(&[u64::MAX], 1), Err(InsertError::Reserved));
    assert_eq!(w.put(&[3], 0), Err(InsertError::Reserved));
    assert_eq!((w.get(&[3]), w.get(&[8]), w.len()), (33, 8, 8));
}

#[test]
fn a_slot_is_not_refilled_while_a_worker_may_stand_on_it() {
    let (mut w, q) = writer::<1>(8);
    let worker = q.worker(0).unwrap();
    worker.online();
    w.put(&[1], 11).unwrap();
    let home = w.table.home(&[1]) & w.table.mask;
    let word0 = |w: &FlatWriter<1>| w.table.slots[home].word0();
    assert!(w.remove(&[1]));
    assert_eq!(word0(&w), TOMBSTONE);
    w.put(&[1], 12).unwrap();
    assert_eq!(word0(&w), TOMBSTONE, "the row came back in another slot");
    assert_eq!(w.get(&[1]), 12);
    worker.quiesce();
    w.bury();
    assert!(!w.is_grave(home));
    assert_eq!(w.get(&[1]), 12, "behind a tombstone that others still probe across");
    assert!(w.remove(&[1]));
    worker.quiesce();
    w.bury();
    assert_eq!(word0(&w), FREE, "tombstones before a free slot become free");
}

/// The keys are addresses, chosen by tenants: neighbours in every part of a key must not be neighbours here.
#[test]
fn every_bit_of_a_key_moves_its_home_and_keys_in_a_row_spread() {
    let (w, _q) = writer::<1>(4096); // 16384 slots
    let home = |k: u64| w.table.home(&[k]);
    for key in [1 << 48 | 0x0a01_0011, 7 << 48 | 0xfa16_3e0a_0011, 0x5555_5555_5555_5555] {
        let same: Vec<_> = (0..64).filter(|bit| home(key) == home(key ^ 1 << bit)).collect();
        assert_eq!(same, [0; 0], "bits of {key:x} that do not matter");
    }
    // Thrown at random, 4096 keys hit 16384 * (1 - e^-(1/4)) = 3624 different slots; 30 is a standard deviation, about.
    for first in [1u64 << 48 | 0x0a01_0000, 1 << 48 | 0xfa16_3e0a_0000] {
        let homes: std::collections::BTreeSet<_> = (first..first + 4096).map(home).collect();
        assert!(homes.len() > 3624 - 150, "{} slots", homes.len());
    }
}

/// Rows with one home stand in a row behind it, round the end of the array too, and are found there.
#[test]
fn rows_that_share_a_home_are_found_wherever_it_is() {
    for at in [0, 1, 15, 30, 31] {
        let (mut w, _q) = writer::<1>(8); // 32 slots
        let same: Vec<u64> = (1..).filter(|k| w.table.home(&[*k]) == at).take(5).collect();
        let (absent, rows) = same.split_first().unwrap();
        rows.iter().for_each(|k| w.put(&[*k], *k).unwrap());
        rows.iter().for_each(|k| assert_eq!(w.get(&[*k]), *k, "home {at}"));
        assert_eq!(w.get(&[*absent]), 0);
    }
}
