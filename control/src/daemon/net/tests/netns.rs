use super::super::*;
use super::lab::*;

fn current() -> std::path::PathBuf {
    std::fs::read_link("/proc/thread-self/ns/net").unwrap()
}

#[test]
fn a_closure_runs_in_the_namespace_and_the_caller_stays() {
    if !possible() {
        return;
    }
    let ns = Ns::new("run");
    let before = current();
    let names = |netns: &Netns| netns.run(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap()).unwrap();
    ns.ip("link add only0 type bridge");
    let named = ns.open();
    assert!(names(&named).contains("only0:"));
    assert!(!names(&Netns::open(None).unwrap()).contains("only0:"));
    assert_ne!(named.run(current).unwrap(), before);
    assert_eq!((current(), Netns::open(None).unwrap().run(current).unwrap()), (before.clone(), before));
    // By a path it is the same one, and it can be entered when its name is gone.
    let by_path = Netns::open(Some(&format!("/var/run/netns/{}", ns.0))).unwrap();
    assert_eq!(by_path, named);
    assert_ne!(Netns::open(None).unwrap(), named);
    drop(ns);
    assert!(names(&named).contains("only0:"));
}

#[test]
fn a_panic_in_a_namespace_goes_on_in_the_caller() {
    if !possible() {
        return;
    }
    let own = Netns::open(None).unwrap();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| own.run(|| panic!("from there"))));
    assert_eq!(*caught.unwrap_err().downcast_ref::<&str>().unwrap(), "from there");
}

#[test]
fn a_namespace_that_is_none_is_named_with_what_to_do() {
    if !possible() {
        return;
    }
    let error = |spec: &str| Netns::open(Some(spec)).unwrap_err().to_string();
    assert_eq!(
        error("no-such"),
        "namespace no-such: cannot open /var/run/netns/no-such: No such file or directory (os error 2); `ip netns list` shows the names, `ls -l /proc/PID/ns/net` those of processes"
    );
    assert_eq!(
        error("/etc/hostname"),
        "namespace /etc/hostname: cannot be entered: Invalid argument (os error 22); the file is no network namespace; `ip netns list` shows the names"
    );
    // A namespace of another kind.
    let other = error("/proc/self/ns/uts");
    assert!(other.contains("/proc/self/ns/uts: cannot be entered: Invalid argument"), "{other}");
}
