use super::super::*;
use super::lab::*;

#[test]
fn a_link_is_what_ip_shows() {
    if !possible() {
        return;
    }
    let ns = Ns::new("link");
    ns.ip("link add v0 mtu 1400 index 50 type veth peer name v1 index 60");
    ns.ip("tuntap add tap0 mode tap");
    ns.ip("link add d0 address 02:00:00:00:00:0d type bridge");
    ns.ip("link set v0 up");
    ns.ip("link set d0 up");
    let netns = ns.open();
    let names = ["v0", "v1", "tap0", "d0", "lo"];
    for name in names {
        let shown: serde_json::Value = serde_json::from_str(&ns.ip(&format!("-j -d link show {name}"))).unwrap();
        let shown = &shown[0];
        let link = link(&netns, name).unwrap();
        assert_eq!(link.name, name);
        assert_eq!(Some(link.ifindex.into()), shown["ifindex"].as_u64(), "{name}");
        assert_eq!(Some(link.mtu.into()), shown["mtu"].as_u64(), "{name}");
        assert_eq!(link.mac.unwrap().to_string(), shown["address"].as_str().unwrap(), "{name}");
        assert_eq!(link.kind, shown["linkinfo"]["info_kind"].as_str().unwrap_or_default(), "{name}");
        let flag = |f: &str| shown["flags"].as_array().unwrap().iter().any(|v| v == f);
        assert_eq!((link.up, link.lower_up), (flag("UP"), flag("LOWER_UP")), "{name}");
    }
    let seen = names.map(|name| link(&netns, name).map(|l| (l.kind.clone(), l.up, l.is_running(), l.peer)).unwrap());
    let end = |ifindex| Some(VethEnd { ifindex, nsid: None });
    let expected = [
        ("veth".to_owned(), true, false, end(60)), // its other end is down
        ("veth".to_owned(), false, false, end(50)),
        ("tun".to_owned(), false, false, None),
        ("bridge".to_owned(), true, false, None),
        (String::new(), true, true, None),
    ];
    assert_eq!(seen, expected);
    let none = link(&netns, "v2").unwrap_err().to_string();
    assert_eq!(
        none,
        format!("there is no interface v2 in namespace {0}; `ip -n {0} link` shows those there are", ns.0)
    );
}
