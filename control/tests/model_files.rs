//! Cloud files: the reference cloud, TOML and JSON of one cloud, dumps of Neutron's API.

use std::path::Path;

use control::model::{AgentMode, Cloud, DhcpMode, IpNet, NetworkType, NotFound, PortStatus, Settings};

fn reference() -> Cloud {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pcap-fixtures/T/cloud.json");
    Cloud::load(&path).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn reference_cloud_loads() {
    let c = reference();
    let counts = [c.hosts.len(), c.networks.len(), c.subnets.len(), c.routers.len(), c.ports.len()];
    assert_eq!(counts, [4, 7, 8, 2, 25]);
    assert_eq!([c.floatingips.len(), c.security_groups.len(), c.neighbors.len()], [5, 2, 1]);
    assert_eq!(c.hosts["H3"].agent_mode, AgentMode::DvrSnat);
    assert_eq!(c.settings.dhcp, DhcpMode::Local);
    assert_eq!(c.settings.flood_unknown, Some(false));
    assert_eq!(c.networks["V"].provider_network_type, NetworkType::Vlan);
    let (a1, vip, ra, dh) = (&c.ports["A1"], &c.ports["VIP"], &c.ports["rA"], &c.ports["DH"]);
    assert!(a1.is_active() && a1.is_bound_to("H1") && a1.is_dvr_serviced() && !a1.is_router_owned());
    assert!(!vip.is_bound() && !vip.is_active() && !vip.is_dvr_serviced());
    assert!(ra.is_router_interface() && ra.is_distributed_router_interface() && !ra.is_bound());
    assert!(dh.is_dvr_serviced() && dh.is_dhcp() && !dh.port_security_enabled);
    assert!(c.ports["sgA"].is_router_snat() && c.ports["qg"].is_router_gateway());
    assert!(c.ports["fg1"].is_fip_agent_gateway());
}

const TOML: &str = r#"
[settings]
outer_dscp = 10

[[hosts]]
name = "H1"
agent_mode = "dvr_snat"
vtep = "172.20.0.11"
dvr_mac = "fa:16:3f:00:00:01"
bridge_mappings = { physext = "eth2" }

[[networks]]
name = "A"
provider_network_type = "vxlan"
provider_segmentation_id = 1001
dvrd = { flood_unknown = true, phys_gw_host = "H1" }

[[networks]]
name = "X"
router_external = true
provider_network_type = "flat"
provider_physical_network = "physext"

[[subnets]]
name = "A-v4"
network_id = "A"
cidr = "10.1.0.0/24"
gateway_ip = "10.1.0.1"
host_routes = [{ destination = "10.9.0.0/16", nexthop = "10.1.0.9" }]

[[subnets]]
name = "X-v4"
network_id = "X"
cidr = "203.0.113.0/24"

[[routers]]
name = "R1"
distributed = true
external_gateway_info = { network_id = "X" }
routes = [{ destination = "0.0.0.0/0", nexthop = "203.0.113.1" }]

[[ports]]
name = "rA"
network_id = "A"
mac_address = "fa:16:3e:0a:00:01"
fixed_ips = [{ ip_address = "10.1.0.1" }]
device_owner = "network:router_interface_distributed"
device_id = "R1"

[[ports]]
name = "A1"
network_id = "A"
mac_address = "FA:16:3E:0A:00:11"
fixed_ips = [{ ip_address = "10.1.0.11" }]
device_owner = "compute:nova"
binding_host_id = "H1"
security_groups = ["g"]
allowed_address_pairs = [{ ip_address = "10.1.0.100" }]

[[floatingips]]
floating_ip_address = "203.0.113.101"
floating_network_id = "X"
router_id = "R1"
port_id = "A1"

[[security_groups]]
name = "g"
security_group_rules = [{ direction = "ingress", ethertype = "IPv4", protocol = "icmp", remote_group_id = "g" }]

[[neighbors]]
network_id = "X"
ip_address = "203.0.113.1"
mac_address = "02:ee:00:00:00:01"
"#;

/// The same in full, with ids of its own, names as references, `:` and nulls.
const JSON: &str = r#"{
 "settings": {"outer_dscp": 10, "flood_unknown": null, "dvr_base_mac": "fa:16:3f:00:00:00"},
 "hosts": [{"name": "H1", "agent_mode": "dvr_snat", "vtep": "172.20.0.11", "vtep_mac": null,
            "dvr_mac": "fa:16:3f:00:00:01", "underlay_mtu": 1500, "bridge_mappings": {"physext": "eth2"}}],
 "networks": [
  {"id": "A", "name": "A", "mtu": 1450, "router:external": false, "provider:network_type": "vxlan",
   "provider:physical_network": null, "provider:segmentation_id": 1001, "tags": [], "revision_number": 3,
   "dvrd": {"flood_unknown": true, "phys_gw_host": "H1"}},
  {"id": "X", "name": "X", "mtu": 1500, "router:external": true, "provider:network_type": "flat",
   "provider:physical_network": "physext", "provider:segmentation_id": null}],
 "subnets": [
  {"id": "A-v4", "name": "A-v4", "network_id": "A", "ip_version": 4, "cidr": "10.1.0.0/24",
   "gateway_ip": "10.1.0.1", "enable_dhcp": true,
   "host_routes": [{"destination": "10.9.0.0/16", "nexthop": "10.1.0.9"}]},
  {"id": "X-v4", "name": "X-v4", "network_id": "X", "ip_version": 4, "cidr": "203.0.113.0/24", "gateway_ip": null}],
 "routers": [{"id": "R1", "name": "R1", "distributed": true, "ha": false,
   "external_gateway_info": {"network_id": "X", "enable_snat": true, "external_fixed_ips": []},
   "routes": [{"destination": "0.0.0.0/0", "nexthop": "203.0.113.1"}]}],
 "ports": [
  {"id": "rA", "name": "rA", "network_id": "A", "mac_address": "fa:16:3e:0a:00:01", "status": "ACTIVE",
   "fixed_ips": [{"subnet_id": "A-v4", "ip_address": "10.1.0.1"}], "port_security_enabled": false,
   "device_owner": "network:router_interface_distributed", "device_id": "R1", "binding:host_id": ""},
  {"id": "A1", "name": "A1", "network_id": "A", "mac_address": "fa:16:3e:0a:00:11", "status": "ACTIVE",
   "fixed_ips": [{"subnet_id": "A-v4", "ip_address": "10.1.0.11"}], "port_security_enabled": true,
   "device_owner": "compute:nova", "binding:host_id": "H1", "binding:vif_type": "ovs", "security_groups": ["g"],
   "allowed_address_pairs": [{"ip_address": "10.1.0.100/32", "mac_address": "fa:16:3e:0a:00:11"}]}],
 "floatingips": [{"id": "203.0.113.101", "floating_ip_address": "203.0.113.101", "floating_network_id": "X",
   "router_id": "R1", "port_id": "A1", "fixed_ip_address": "10.1.0.11"}],
 "security_groups": [{"id": "g", "name": "g", "security_group_rules": [
   {"direction": "ingress", "ethertype": "IPv4", "protocol": "1", "remote_group_id": "g"}]}],
 "neighbors": [{"network_id": "X", "ip_address": "203.0.113.1", "mac_address": "02:ee:00:00:00:01"}]
}"#;

#[test]
fn toml_and_json_are_one_model() {
    let toml = Cloud::from_toml(TOML, "small.toml").unwrap_or_else(|e| panic!("{e}"));
    let mut json = Cloud::from_json(JSON, "small.json").unwrap_or_else(|e| panic!("{e}"));
    // A resource without an id has its name as id; the name itself is whatever was given.
    assert_eq!(toml, json);
    json.settings.outer_dscp = 0;
    assert_eq!(json.settings, Settings::default());
    assert_eq!(toml.ports["A1"].allowed_address_pairs[0].ip_address, IpNet::parse_strict("10.1.0.100/32").unwrap());
    assert_eq!(toml.networks["A"].mtu, 1450);
}

#[test]
fn dump_of_the_api_with_ids_as_references() {
    // Attributes as Neutron's API lists them, all of them.
    let text = r#"{
     "networks": [{"id": "5c39", "name": "net-a", "tenant_id": "1", "project_id": "1", "admin_state_up": true, "mtu": 1450,
       "status": "ACTIVE", "subnets": ["e67e"], "shared": false, "availability_zone_hints": [],
       "availability_zones": [], "ipv4_address_scope": null, "ipv6_address_scope": null, "router:external": false,
       "vlan_transparent": null, "qinq": null, "description": "", "port_security_enabled": true, "is_default": false,
       "l2_adjacency": true, "dns_domain": "", "qos_policy_id": null, "tags": [], "created_at": "2026-11-22T12:57:12Z",
       "updated_at": "2026-11-22T12:57:12Z", "revision_number": 2, "provider:network_type": "vxlan",
       "provider:physical_network": null, "provider:segmentation_id": 1273}],
     "networks_links": [{"rel": "next", "href": "http://example.org"}],
     "subnets": [{"id": "e67e", "name": "sub-a", "tenant_id": "1", "project_id": "1", "network_id": "5c39", "ip_version": 4,
       "subnetpool_id": null, "enable_dhcp": false, "ipv6_ra_mode": null, "ipv6_address_mode": null,
       "gateway_ip": "10.1.0.1", "cidr": "10.1.0.0/24", "allocation_pools": [{"start": "10.1.0.2", "end": "10.1.0.254"}],
       "host_routes": [], "dns_nameservers": ["203.0.113.53"], "dns_publish_fixed_ip": false, "description": "",
       "service_types": [], "segment_id": null, "router:external": false, "tags": [], "revision_number": 0,
       "created_at": "2026-11-22T12:57:13Z", "updated_at": "2026-11-22T12:57:13Z"}],
     "hosts": [{"name": "compute1", "agent_mode": "dvr", "vtep": "10.99.0.1"}],
     "ports": [{"id": "80a8", "name": "a1", "network_id": "5c39", "tenant_id": "1", "project_id": "1",
       "mac_address": "fa:16:3e:25:09:9f", "admin_state_up": true, "status": "BUILD", "device_id": "vm-a1",
       "device_owner": "compute:nova", "fixed_ips": [{"subnet_id": "e67e", "ip_address": "10.1.0.45"}],
       "allowed_address_pairs": [{"mac_address": "fa:16:3e:25:09:9f", "ip_address": "10.1.0.99"}],
       "extra_dhcp_opts": [{"opt_name": "mtu", "opt_value": "1400", "ip_version": 4}], "security_groups": ["858d"],
       "description": "", "binding:vnic_type": "normal", "binding:profile": {}, "binding:host_id": "compute1",
       "binding:vif_type": "binding_failed", "binding:vif_details": {"port_filter": true}, "port_security_enabled": true,
       "qos_policy_id": null, "qos_network_policy_id": null, "resource_request": null, "ip_allocation": "immediate",
       "dns_name": "", "dns_assignment": [], "dns_domain": "", "propagate_uplink_status": false,
       "data_plane_status": null, "numa_affinity_policy": null, "device_profile": null, "hints": null, "tags": [],
       "trunk_details": null, "created_at": "x", "updated_at": "x", "revision_number": 5}],
     "routers": [{"id": "c398", "name": "r1", "tenant_id": "1", "project_id": "1", "admin_state_up": true,
       "status": "ACTIVE", "external_gateway_info": null, "external_gateways": [], "availability_zone_hints": [],
       "availability_zones": ["nova"], "description": "", "distributed": true, "ha": false, "ha_vr_id": 0,
       "flavor_id": null, "routes": [], "enable_ndp_proxy": false, "enable_default_route_bfd": false,
       "enable_default_route_ecmp": false, "tags": [], "created_at": "x", "updated_at": "x", "revision_number": 4}],
     "floatingips": [],
     "security_groups": [{"id": "858d", "name": "sg-vm", "stateful": true, "tenant_id": "1", "project_id": "1",
       "shared": false, "is_default": false, "description": "", "tags": [], "created_at": "x", "updated_at": "x",
       "revision_number": 1, "security_group_rules": [{"id": "323b", "tenant_id": "1", "project_id": "1",
        "security_group_id": "858d", "ethertype": "IPv6", "direction": "egress", "protocol": "icmp",
        "port_range_min": null, "port_range_max": null, "remote_ip_prefix": null, "remote_address_group_id": null,
        "normalized_cidr": null, "remote_group_id": "858d", "standard_attr_id": 4, "belongs_to_default_sg": false,
        "description": "", "tags": [], "created_at": "x", "updated_at": "x", "revision_number": 0}]}]
    }"#;
    let c = Cloud::from_json(text, "dump.json").unwrap_or_else(|e| panic!("{e}"));
    let p = &c.ports["80a8"];
    assert_eq!(p.binding_host_id.as_deref(), Some("compute1"));
    assert_eq!(p.status, PortStatus::Build);
    assert!(!p.is_bound(), "binding_failed is not bound");
    assert_eq!(c.security_groups["858d"].security_group_rules[0].protocol, Some(58));
    assert_eq!(c.port_by_name("a1").map(|p| p.id.as_str()), Ok("80a8"));
}

#[test]
fn lookup_by_id_then_unique_name() {
    let mut c = reference();
    c.ports.get_mut("A2").unwrap().name = "A1".to_owned();
    c.ports.get_mut("B1").unwrap().name = "web".to_owned();
    c.ports.get_mut("B2").unwrap().name = "twin".to_owned();
    c.ports.get_mut("A4").unwrap().name = "twin".to_owned();
    assert_eq!(c.port_by_name("A1").unwrap().id, "A1");
    assert_eq!(c.port_by_name("web").unwrap().id, "B1");
    assert!(matches!(c.port_by_name("twin"), Err(NotFound::Ambiguous { ids, .. }) if ids == ["A4", "B2"]));
    let e = c.port_by_name("wab").unwrap_err();
    assert_eq!(e.to_string(), "there is no port \"wab\"; did you mean web?");
    assert!(c.port_by_name("").is_err());
}

#[test]
fn files_that_are_no_cloud() {
    for (text, want) in [
        ("", "a.json:1: file: EOF while parsing a value"),
        ("{\"ports\": [}", "a.json:1: file: expected value"),
        ("{}\n{}", "a.json:2: file: trailing characters"),
        ("[]", "a.json: file: expected an object of lists of resources, found a list"),
        ("{\"ports\": 7}", "a.json /ports: file: ports: expected a list, found an integer"),
    ] {
        let e = Cloud::from_json(text, "a.json").unwrap_err().to_string();
        assert!(e.starts_with(want), "{e}");
    }
    let e = Cloud::from_toml("a = 1\n[[ports]\nx = \n", "a.toml").unwrap_err();
    assert_eq!(e.as_slice()[0].place.line, Some(2));
    let deep = format!("{{\"ports\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Cloud::from_json(&deep, "a.json").unwrap_err().to_string().contains("recursion limit"));
    let deep = format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Cloud::from_toml(&deep, "a.toml").unwrap_err().to_string().contains("recurs"));
    let missing = Cloud::load(Path::new("no-such-directory/cloud.json")).unwrap_err();
    assert!(missing.to_string().starts_with("no-such-directory/cloud.json: file: cannot be read: "), "{missing}");
    assert_eq!(Cloud::from_json("{}", "a.json").unwrap(), Cloud::default());
}

/// A parser that recursed as deep as a file says would run out of stack.
#[test]
fn a_file_nested_too_deep_is_refused() {
    let refused = |depth: usize| {
        let text = format!("{{\"networks\": {}1{}}}", "[".repeat(depth), "]".repeat(depth));
        Cloud::from_json(&text, "deep.json").unwrap_err().to_string()
    };
    for depth in [127, 128, 1_000_000] {
        let error = refused(depth);
        assert!(error.contains("recursion limit exceeded"), "{error}");
    }
    let error = refused(126); // with the object around it 127
    assert!(!error.contains("recursion"), "wrong, but not too deep: {error}");
}
