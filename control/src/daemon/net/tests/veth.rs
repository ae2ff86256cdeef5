use super::super::*;
use super::lab::*;

#[track_caller]
fn peer(netns: &Netns, name: &str) -> (Netns, String) {
    veth_peer(netns, &link(netns, name).unwrap()).unwrap().unwrap()
}

#[test]
fn the_other_end_in_the_same_namespace() {
    if !possible() {
        return;
    }
    let ns = Ns::new("vsame");
    ns.ip("link add v0 type veth peer name v1");
    ns.ip("link add d0 type bridge");
    let netns = ns.open();
    assert_eq!(peer(&netns, "v0"), (netns.clone(), "v1".to_owned()));
    assert_eq!(veth_peer(&netns, &link(&netns, "d0").unwrap()).unwrap(), None);
    // A macvlan stands on v0, which is not its other end.
    ns.ip("link add link v0 name m0 type macvlan");
    let on = link(&netns, "m0").unwrap();
    assert_eq!(on.peer.map(|e| e.ifindex), Some(link(&netns, "v0").unwrap().ifindex));
    assert_eq!(veth_peer(&netns, &on).unwrap(), None);
}

/// Both pairs end at index 200, and both beginnings look the same but for the number of the namespace.
#[test]
fn two_pairs_with_equal_indexes_in_different_namespaces() {
    if !possible() {
        return;
    }
    let (a, b, c) = (Ns::new("va"), Ns::new("vb"), Ns::new("vc"));
    a.ip(&format!("link add one index 100 type veth peer name p1 index 200 netns {}", b.0));
    a.ip(&format!("link add two index 101 type veth peer name p2 index 200 netns {}", c.0));
    a.ip("link add three index 200 type bridge");
    let netns = a.open();
    assert_eq!(peer(&netns, "one"), (b.open(), "p1".to_owned()));
    assert_eq!(peer(&netns, "two"), (c.open(), "p2".to_owned()));
    assert_eq!(peer(&netns, "two").0.to_string(), format!("namespace {}", c.0));
    // And from the other side, seen by its own numbers.
    assert_eq!(peer(&b.open(), "p1"), (netns.clone(), "one".to_owned()));
    // It can be entered although its name is gone.
    let (there, name) = peer(&netns, "two");
    let id = c.open().id();
    drop(c);
    assert_eq!((there.id(), link(&there, &name).unwrap().ifindex), (id, 200));
}

#[test]
fn the_other_end_in_the_namespace_of_a_process() {
    if !possible() {
        return;
    }
    let (a, unnamed) = (Ns::new("vp"), Unnamed::new());
    a.ip("link add v0 type veth peer name v1");
    a.ip(&format!("link set v1 netns {}", unnamed.pid()));
    let (there, name) = peer(&a.open(), "v0");
    let expected = Netns::open(Some(&unnamed.path())).unwrap();
    assert_eq!((&there, name.as_str()), (&expected, "v1"));
    // When the process is gone, only the open file leads there: ours.
    drop(unnamed);
    drop(expected);
    assert_eq!(peer(&a.open(), "v0"), (there.clone(), "v1".to_owned()));
    assert!(link(&there, "v1").unwrap().peer.is_some());
}

#[test]
fn the_other_end_in_our_own_namespace() {
    if !possible() {
        return;
    }
    // As of a port whose VM end stays with us: the namespace of the whole process is a candidate like any other.
    let a = Ns::new("vo");
    let name = format!("dv{}", std::process::id());
    a.ip(&format!("link add v0 type veth peer name {name} netns {}", std::process::id()));
    assert_eq!(peer(&a.open(), "v0"), (Netns::open(None).unwrap(), name.clone()));
    let own = Netns::open(None).unwrap();
    assert_eq!(peer(&own, &name), (a.open(), "v0".to_owned()));
    a.ip("link del v0");
    let gone = link(&own, &name).unwrap_err().to_string();
    assert_eq!(gone, format!("there is no interface {name} in dvrd's own namespace; `ip link` shows those there are"));
}

/// What was read has changed since: the index belongs to somebody else by now.
#[test]
fn an_end_that_is_not_ours_any_more_is_not_taken() {
    if !possible() {
        return;
    }
    let (a, b) = (Ns::new("vg"), Ns::new("vh"));
    a.ip(&format!("link add v0 index 100 type veth peer name p0 index 200 netns {}", b.0));
    let netns = a.open();
    let before = link(&netns, "v0").unwrap();
    a.ip("link del v0");
    b.ip("link add q0 index 200 type veth peer name q1 index 201");
    let error = veth_peer(&netns, &before).unwrap_err().to_string();
    let expected =
        format!("the other end of v0 in namespace {} is in a namespace that no name and no process leads to", a.0);
    assert!(error.starts_with(&expected) && error.ends_with("`ip netns attach NAME PID`)"), "{error}");
}

/// In a process of its own: the limit is the whole process's.
#[test]
fn too_few_descriptors_is_not_taken_for_no_such_process() {
    const HERE: &str = "DVRD_TEST_FEW_FILES";
    if std::env::var_os(HERE).is_some() {
        let (a, name) = (Netns::open(Some(&std::env::var(HERE).unwrap())).unwrap(), "v0");
        let on = link(&a, name).unwrap();
        // Netlink's sockets and runtime need a few; what is left for the search is less and less.
        let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        for room in (0..24).rev() {
            use rustix::process::{Resource, Rlimit, setrlimit};
            setrlimit(Resource::Nofile, Rlimit { current: Some(open + room), maximum: Some(1024) }).unwrap();
            if let Err(error) = veth_peer(&a, &on) {
                let error = error.to_string();
                assert!(error.contains("Too many open files") && !error.contains("no process"), "{room}: {error}");
            }
        }
        return println!("done");
    }
    if !possible() {
        return;
    }
    let (a, unnamed) = (Ns::new("vf"), Unnamed::new());
    a.ip("link add v0 type veth peer name v1");
    a.ip(&format!("link set v1 netns {}", unnamed.pid()));
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    let name = "daemon::net::tests::veth::too_few_descriptors_is_not_taken_for_no_such_process";
    let ran = again.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(HERE, &a.0).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("done"), "{said}");
}
