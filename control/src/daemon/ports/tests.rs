use super::super::model::Model;
use super::super::net::tests::lab::{Ns, possible};
use super::*;
use crate::model::Cloud;
use dataplane::umem::Umem;
use std::path::PathBuf;

/// Takes ports as a worker does, or nothing at all.
#[derive(Default)]
struct Taker<'u> {
    has: BTreeMap<PortIx, XdpPort<'u>>,
    full: bool,
}

impl<'u> Workers<'u> for Taker<'u> {
    fn attach(&mut self, at: Place, port: XdpPort<'u>) -> bool {
        if !self.full {
            self.has.insert(at.ix, port);
        }
        !self.full
    }

    fn detach(&mut self, at: Place) -> bool {
        if !self.full {
            self.has.remove(&at.ix);
        }
        !self.full
    }
}

/// A port of host H1 at the interface `tap` of this namespace. `test` gets what looks, with a worker that takes nothing or
/// everything.
fn look<R>(netns: &str, test: impl FnOnce(&mut dyn FnMut(bool) -> (Vec<News>, usize)) -> R) -> R {
    let cloud = Cloud::from_json(include_str!("../../../../pcap-fixtures/T/cloud.json"), "T").unwrap();
    let mut model = Model::new(&cloud, "H1", 1);
    model.store().unwrap();
    let mut umem = Umem::shared(1024).unwrap();
    let pools = umem.pools(1);
    let id = model.writer().indexes().ports().next().unwrap().0.to_owned();
    let interface = Interface { name: "tap".to_owned(), netns: Some(netns.to_owned()) };
    let mut ports = Ports::new([Attachment { port: id, interface, explicit: true }], pools[0].region(), 64);
    let mut workers = Taker::default();
    test(&mut |full| {
        workers.full = full;
        (ports.look(model.writer(), &mut workers), workers.has.len())
    })
}

/// What became of the port, in a word each; ports the worker has.
fn words((news, has): (Vec<News>, usize)) -> (Vec<&'static str>, usize) {
    let word = |n: &News| match n {
        News::Attached(..) => "attached",
        News::Gone(_) => "gone",
        News::Missing(_) => "missing",
        News::Failed(..) => "failed",
        News::Refused(_) => "refused",
        News::Unknown(..) => "unknown",
    };
    (news.iter().map(word).collect(), has)
}

fn tap(ns: &Ns) {
    ns.ip("link add tap index 50 type veth peer name eth0 index 51");
}

/// As when file descriptors run out: an error that says nothing about the interface.
#[test]
fn a_namespace_that_cannot_be_looked_at_changes_nothing_and_is_told_once() {
    if !possible() {
        return;
    }
    let ns = Ns::new("pu");
    tap(&ns);
    let path = std::env::temp_dir().join(format!("dvrd-ports-{}", std::process::id()));
    let leads_to = |to: &str| {
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(to, &path).unwrap();
    };
    let named = PathBuf::from("/var/run/netns").join(&ns.0).display().to_string();
    leads_to(&named);
    look(path.to_str().unwrap(), |look| {
        let mut look = || words(look(false));
        assert_eq!(look(), (vec!["attached"], 1));
        leads_to(path.to_str().unwrap()); // to itself: ELOOP
        assert_eq!(look(), (vec!["unknown"], 1));
        assert_eq!(look(), (vec![], 1));
        leads_to(&named);
        assert_eq!(look(), (vec![], 1), "it was there all the time");
        leads_to(path.to_str().unwrap());
        assert_eq!(look(), (vec!["unknown"], 1));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(look(), (vec!["gone"], 0));
    });
}

#[test]
fn a_namespace_made_anew_between_two_looks_is_another() {
    if !possible() {
        return;
    }
    let ns = Ns::new("pi");
    tap(&ns);
    look(&ns.0, |look| {
        let mut look = || words(look(false));
        assert_eq!(look(), (vec!["attached"], 1));
        drop(Ns(ns.0.clone()));
        let again = Ns::new("pi");
        tap(&again);
        assert_eq!(look(), (vec!["gone", "attached"], 1));
        assert!(again.ip("-d link show tap").contains("xdp"), "it is the new one that is taken");
        assert_eq!(look(), (vec![], 1));
    });
}

#[test]
fn what_a_worker_does_not_take_is_told_once_and_tried_until_it_does() {
    if !possible() {
        return;
    }
    let ns = Ns::new("pr");
    tap(&ns);
    look(&ns.0, |look| {
        let mut look = |full| words(look(full));
        assert_eq!(look(true), (vec!["refused"], 0));
        // The socket that was refused may have its queue for a moment longer, which is told as a failure.
        let again = look(true);
        assert!(again.1 == 0 && !again.0.contains(&"refused"), "told once: {again:?}");
        let start = std::time::Instant::now();
        let taken = std::iter::repeat_with(|| look(false)).find(|(news, _)| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            news.contains(&"attached") || start.elapsed().as_secs() > 2
        });
        assert_eq!(taken, Some((vec!["attached"], 1)));
        ns.ip("link del tap");
        assert_eq!(look(true), (vec!["gone"], 1));
        tap(&ns);
        assert_eq!(look(true), (vec![], 1), "the old one has to go first");
        assert_eq!(look(false), (vec!["attached"], 1));
        ns.ip("link del tap");
        assert_eq!(look(true), (vec!["gone"], 1));
        assert_eq!(look(false), (vec![], 0), "the worker is told as soon as it listens");
    });
}
