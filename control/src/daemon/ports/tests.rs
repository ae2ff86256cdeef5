use super::super::config::PortIo;
use super::super::model::Model;
use super::super::net::tests::lab::{Ns, possible};
use super::*;
use crate::model::Cloud;
use dataplane::umem::Umem;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Takes ports as a worker does, or nothing at all.
#[derive(Default)]
struct Taker<'u> {
    has: BTreeMap<PortIx, Port<'u>>,
    full: bool,
}

impl<'u> Workers<'u> for Taker<'u> {
    fn attach(&mut self, at: Place, port: Port<'u>) -> bool {
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
    let mut ports =
        Ports::new([Attachment { port: id, interface, explicit: true, io: PortIo::AfXdp }], pools[0].region(), 64);
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

/// Looks until nothing is on its way any more: the last news, and all words.
fn settle<'u>(ports: &mut Ports<'u>, model: &Model, workers: &mut Taker<'u>) -> (Vec<&'static str>, usize) {
    let start = Instant::now();
    let mut all = Vec::new();
    loop {
        let (news, has) = words((ports.look(model.writer(), workers), workers.has.len()));
        all.extend(news);
        let rests = !ports.any_settles() && !ports.any_busy();
        if rests || start.elapsed() > Duration::from_secs(10) {
            return (all, has);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ports that another configuration or cloud brings, takes away and moves; an interface goes from one to another.
#[test]
fn what_is_wanted_comes_goes_and_moves_while_the_rest_stays() {
    if !possible() {
        return;
    }
    let ns = Ns::new("pw");
    for n in 1..=3 {
        ns.ip(&format!("link add tap{n} type veth peer name eth{n}"));
    }
    let cloud = Cloud::from_json(include_str!("../../../../pcap-fixtures/T/cloud.json"), "T").unwrap();
    let mut model = Model::new(&cloud, "H1", 1);
    model.store().unwrap();
    let mut umem = Umem::shared(4096).unwrap();
    let pools = umem.pools(1);
    let (mut ports, mut workers) = (Ports::new([], pools[0].region(), 1024), Taker::default());
    let at = |port: &str, tap: &str| {
        let interface = Interface { name: tap.to_owned(), netns: Some(ns.0.clone()) };
        Attachment { port: port.to_owned(), interface, explicit: true, io: PortIo::AfXdp }
    };
    let changes = |new: &[&str], gone: &[&str], moved: &[&str]| {
        let all = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        Changes { new: all(new), gone: all(gone), moved: all(moved) }
    };
    let xdp = |tap: &str| ns.ip(&format!("-d link show {tap}")).contains("xdp");
    let index = |id: &str| model.writer().indexes().port(id).unwrap().0;

    assert_eq!(ports.want([at("A1", "tap1"), at("A3", "tap2")]), changes(&["A1", "A3"], &[], &[]));
    assert_eq!(settle(&mut ports, &model, &mut workers), (vec!["attached", "attached"], 2));
    let owner = |workers: &Taker<'_>| workers.has.keys().copied().collect::<BTreeSet<_>>();
    assert_eq!(owner(&workers), [index("A1"), index("A3")].into());

    assert_eq!(ports.want([at("A1", "tap1"), at("A3", "tap2")]), changes(&[], &[], &[]));
    assert_eq!(settle(&mut ports, &model, &mut workers), (vec![], 2), "nothing has changed");

    // To another interface, and away; the one left is the kernel's again.
    assert_eq!(ports.want([at("A1", "tap3"), at("A3", "tap2")]), changes(&[], &[], &["A1"]));
    assert_eq!(settle(&mut ports, &model, &mut workers), (vec!["attached"], 2));
    assert!(!xdp("tap1") && xdp("tap2") && xdp("tap3"));
    assert_eq!(ports.want([at("A3", "tap2")]), changes(&[], &["A1"], &[]));
    assert_eq!(settle(&mut ports, &model, &mut workers), (vec![], 1));
    assert!(!xdp("tap3"));
    assert_eq!(owner(&workers), [index("A3")].into());

    // An interface goes to another port, without an error on the way.
    assert_eq!(ports.want([at("A1", "tap2")]), changes(&["A1"], &["A3"], &[]));
    assert_eq!(settle(&mut ports, &model, &mut workers), (vec!["attached"], 1));
    assert_eq!(owner(&workers), [index("A1")].into());
    assert!(xdp("tap2"));
    // Two change places.
    ports.want([at("A1", "tap2"), at("A3", "tap1")]);
    assert_eq!(settle(&mut ports, &model, &mut workers).1, 2);
    assert_eq!(ports.want([at("A1", "tap1"), at("A3", "tap2")]), changes(&[], &[], &["A1", "A3"]));
    assert_eq!(settle(&mut ports, &model, &mut workers), (vec!["attached", "attached"], 2));
    let names: BTreeMap<&str, &str> =
        ports.attached().map(|(a, nic)| (a.port.as_str(), nic.interface.name.as_str())).collect();
    assert_eq!(names, [("A1", "tap1"), ("A3", "tap2")].into());
}

/// Who has an interface is named when it is told.
#[test]
fn an_interface_that_another_has_is_told_with_its_name() {
    if !possible() {
        return;
    }
    let ns = Ns::new("pn");
    tap(&ns);
    use dataplane::io::af_xdp::filter::{Attached, Filter};
    let other = ns.open().run(|| Attached::new(50, Filter::NONE, 1, Duration::ZERO).unwrap()).unwrap();
    look(&ns.0, |look| {
        let (news, _) = look(false);
        let [News::Failed(port, error)] = news.as_slice() else { panic!("{news:?}") };
        let (text, pid) = (error.to_string(), std::process::id());
        assert!(port.contains("(tap in namespace ") && error.is_busy(), "{port}: {text}");
        for part in [
            "tap is taken: XDP program ",
            "(dvrd_filter), native, of ",
            &format!("(pid {pid})"),
            &format!("`kill {pid}`"),
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(look(false).0.is_empty(), "told once");
        drop(other);
        let start = Instant::now();
        while !matches!(look(false).0.as_slice(), [News::Attached(..)]) {
            assert!(start.elapsed() < Duration::from_secs(5), "it is not taken");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
}

/// A worker that stands still does not let go; who comes back meanwhile is not lost.
#[test]
fn a_port_that_is_gone_stays_until_its_worker_has_let_go() {
    if !possible() {
        return;
    }
    let ns = Ns::new("pg");
    ns.ip("link add tap1 type veth peer name eth1");
    let cloud = Cloud::from_json(include_str!("../../../../pcap-fixtures/T/cloud.json"), "T").unwrap();
    let mut model = Model::new(&cloud, "H1", 1);
    model.store().unwrap();
    let mut umem = Umem::shared(1024).unwrap();
    let pools = umem.pools(1);
    let (mut ports, mut workers) = (Ports::new([], pools[0].region(), 64), Taker::default());
    let interface = Interface { name: "tap1".to_owned(), netns: Some(ns.0.clone()) };
    let at = || Attachment { port: "A1".to_owned(), interface: interface.clone(), explicit: true, io: PortIo::AfXdp };
    ports.want([at()]);
    assert_eq!(settle(&mut ports, &model, &mut workers), (vec!["attached"], 1));
    workers.full = true;
    assert_eq!(ports.want([]).gone, ["A1"]);
    assert_eq!(settle(&mut ports, &model, &mut workers), (vec![], 1));
    assert_eq!(ports.want([at()]).new, ["A1"]);
    workers.full = false;
    assert_eq!(settle(&mut ports, &model, &mut workers), (vec!["attached"], 1));
    workers.full = true;
    ports.want([]);
    settle(&mut ports, &model, &mut workers);
    workers.full = false;
    assert_eq!(settle(&mut ports, &model, &mut workers), (vec![], 0), "told as soon as it listens");
}

/// Of 1024 buffers: what the first ports have stays theirs, who comes late gets at least 64.
#[test]
fn who_comes_later_gets_a_part_of_what_is_left() {
    if !possible() {
        return;
    }
    let ns = Ns::new("ps");
    let mut cloud = Cloud::from_json(include_str!("../../../../pcap-fixtures/T/cloud.json"), "T").unwrap();
    let here: Vec<String> = cloud
        .ports
        .values()
        .filter(|p| p.is_bound_to("H1") && crate::rows::derive::has_queues(p))
        .map(|p| p.id.clone())
        .collect();
    assert!(here.len() >= 3, "{here:?}");
    let all = cloud.clone();
    here.iter().skip(1).for_each(|id| drop(cloud.ports.remove(id)));
    let mut model = Model::new(&cloud, "H1", 1);
    model.store().unwrap();
    let mut umem = Umem::shared(4096).unwrap();
    let pools = umem.pools(1);
    let (mut ports, mut workers) = (Ports::new([], pools[0].region(), 1024), Taker::default());
    for n in 0..here.len() {
        ns.ip(&format!("link add tap{n} type veth peer name eth{n}"));
    }
    let at = |n: usize| {
        let interface = Interface { name: format!("tap{n}"), netns: Some(ns.0.clone()) };
        Attachment { port: here[n].clone(), interface, explicit: true, io: PortIo::AfXdp }
    };
    ports.want([at(0)]);
    settle(&mut ports, &model, &mut workers);
    let shares = |ports: &Ports<'_>| ports.attached().map(|(_, nic)| nic.frames()).collect::<Vec<_>>();
    assert_eq!(shares(&ports), [1024]);
    model.set_cloud(all).unwrap();
    ports.want((0..here.len()).map(at));
    settle(&mut ports, &model, &mut workers);
    let mut expected = vec![64; here.len()];
    expected[0] = 1024;
    assert_eq!(shares(&ports), expected);
    // The first one anew: what it had is there for all that come.
    ports.want((1..here.len()).map(at));
    settle(&mut ports, &model, &mut workers);
    ports.want((0..here.len()).map(at));
    settle(&mut ports, &model, &mut workers);
    let last = *shares(&ports).last().unwrap();
    assert_eq!(last, 1024 / here.len(), "not more than its part");
}
