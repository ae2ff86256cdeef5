//! Every ordering in `flat.rs` and `qsbr.rs`, one at a time weaker than written: some model must
//! notice, or the list below says why none can.

use super::*;
use crate::sync::modelled::{Weaker, seen, weaken};
use std::panic::catch_unwind;

const MODELS: &[(Option<usize>, Model)] = &[
    (None, probe::whole_row),
    (None, order::addition),
    (None, order::reuse),
    (Some(2), grace::a_worker_that_sleeps),
    (Some(2), grace::one_worker),
];

/// Why no model notices that an ordering is weaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unnoticed {
    /// Nobody needs it: a worker that sees a deletion looks no further. The writer pays for it
    /// once per deletion; it stays as a margin.
    Margin,
    /// It keeps a worker's loads before the store that says they are done. A machine may delay them
    /// past it (load buffering: ARM does); loom runs each load where it stands.
    LoadBuffering,
}
use Unnoticed::{LoadBuffering, Margin};

/// The orderings that no model notices, by source line.
const UNNOTICED: &[(&str, &str, Unnoticed)] = &[
    ("self.value.store(0, Ordering::Release);", "Relaxed", Margin),
    ("s.store(TOMBSTONE, Ordering::Release);", "Relaxed", Margin),
    ("s.store(FREE, Ordering::Release);", "Relaxed", Margin),
    ("let epoch = Epoch(self.token.fetch_add(1, Ordering::AcqRel) + 1);", "Release", Margin),
    ("self.seen.iter().all(|s| s.load(Ordering::Acquire) >= epoch.0)", "Relaxed", LoadBuffering),
    ("seen.store(token, Ordering::Release);", "Relaxed", LoadBuffering),
];

fn holds((preemptions, model): &(Option<usize>, Model)) -> bool {
    catch_unwind(|| check(*preemptions, *model)).is_ok()
}

/// The line of source a site is on.
fn line(site: &Weaker) -> Option<&'static str> {
    let (flat, qsbr) = (include_str!("../../flat.rs"), include_str!("../../qsbr.rs"));
    let source = [("tables/flat.rs", flat), ("tables/qsbr.rs", qsbr)];
    let (_, text) = source.into_iter().find(|(file, _)| site.file.ends_with(file))?;
    Some(text.lines().nth(site.line as usize - 1)?.trim())
}

#[test]
fn a_weaker_ordering_is_noticed() {
    assert!(MODELS.iter().all(holds));
    let sites: Vec<_> = seen().into_iter().filter_map(|s| Some((s, line(&s)?))).collect();
    println!("{} orderings", sites.len());
    assert!(sites.len() >= 14, "orderings were not met");
    let mut unnoticed = Vec::new();
    for (site, text) in sites {
        weaken(Some(site));
        let caught = MODELS.iter().position(|m| !holds(m));
        println!("line {}: {text} -> {}: noticed by model {caught:?}", site.line, site.to);
        if caught.is_none() {
            unnoticed.push((text, site.to));
        }
    }
    weaken(None);
    let expected: Vec<_> = UNNOTICED.iter().map(|(text, to, _)| (*text, *to)).collect();
    assert_eq!(unnoticed, expected);
}
