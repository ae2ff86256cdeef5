//! [`DropReason`]: why a packet ended here. Every dropped packet has exactly one.

macro_rules! reasons {
    ($($variant:ident $name:literal $rule:literal $text:literal,)*) => {
        /// One name per cause; the names are what operators see in counters, traces and captures.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $(#[doc = concat!("`", $name, "` (", $rule, "): ", $text, ".")] $variant,)*
        }

        impl DropReason {
            /// Every reason, in the order of [`DropReason::index`].
            pub const ALL: &'static [DropReason] = &[$(DropReason::$variant),*];

            /// The name operators see.
            pub const fn name(self) -> &'static str {
                match self { $(DropReason::$variant => $name),* }
            }

            /// The rules of docs/behaviour.md that give it.
            pub const fn rule(self) -> &'static str {
                match self { $(DropReason::$variant => $rule),* }
            }

            /// What it means, as half a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(DropReason::$variant => $text),* }
            }
        }
    };
}

reasons! {
    ParseShort "parse_short" "I0 T0" "the frame is shorter than an Ethernet header",
    VnetBad "vnet_bad" "I0-gso" "the guest's virtio header contradicts the frame",
    ParseL3 "parse_l3" "I0 T0" "the ARP, IPv4 or IPv6 header is malformed or longer than the frame",
    ParseCsum "parse_csum" "I0" "the IPv4 header checksum is wrong",
    EthSrcBad "eth_src_bad" "I0" "the Ethernet source is multicast or all zero",
    LinkLocalMcast "link_local_mcast" "I0" "the destination is 01:80:c2:00:00:00-0f, which bridges never forward (802.1Q, 8.6.3)",
    VlanUnexpected "vlan_unexpected" "I1 T2 V0 E0" "a VLAN tag where the network or trunk has none",
    Ethertype "ethertype" "I2-ps" "the EtherType is not permitted on a secured port",
    PortDown "port_down" "I1 L1 T4" "the port is not ACTIVE on this host",
    ReservedSrc "reserved_src" "I2 D7" "the guest uses an address of a router or a DVR MAC as its own",
    ReservedDst "reserved_dst" "L2 T5 V4 D7" "the destination is a DVR MAC, which only routers use between hosts",
    RaGuest "ra_guest" "I2" "router advertisement from a guest",
    MacSpoof "mac_spoof" "I2-ps" "the source MAC is not one of the port's",
    IpSpoof "ip_spoof" "I2-ps" "the source IP is not one of the port's",
    ArpSpoof "arp_spoof" "I2-ps" "the ARP sender is not one of the port's address pairs",
    NdSpoof "nd_spoof" "I2-ps" "the advertised neighbour address is not one of the port's",
    DhcpServer "dhcp_server" "I2-ps" "a guest answers as a DHCP server",
    SgEgress "sg_egress" "G1" "no egress rule of the port's security groups allows it",
    SgIngress "sg_ingress" "G2" "no ingress rule of the port's security groups allows it",
    CtInvalid "ct_invalid" "R2 I0-l4 G1 G2" "the layer 4 header is bad, or an ICMP error quotes no known flow",
    CtFull "ct_full" "G1 G2 S3" "the connection limit of the port or router is reached",
    VxBad "vx_bad" "T0" "outer fragment, bad outer UDP header or checksum, or VXLAN without the I flag",
    UnknownVtep "unknown_vtep" "T1" "the outer source is no host of this cloud",
    VtepNotMember "vtep_not_member" "T1" "the sending host has no part in this network",
    UnknownVni "unknown_vni" "T2" "no network on this host has this VNI",
    OwnDvrMac "own_dvr_mac" "T3" "this host's own DVR MAC comes in from the fabric",
    LocalMacFromFabric "local_mac_from_fabric" "T3 V1 V2 E0" "the MAC of a port or router of this host comes in from the fabric",
    DvrWrongVtep "dvr_wrong_vtep" "T3 V2 D8" "a DVR MAC from a host that does not own it, or that nobody owns",
    DvrUnknownDst "dvr_unknown_dst" "T4 V3" "a remote router sent to a MAC that no port of this host has",
    RouterMacFromFabric "router_mac_from_fabric" "T5 V4" "a frame to a router interface comes in from the fabric; its sender's host should have routed it",
    RouterArpFromFabric "router_arp_from_fabric" "T3 V2 D10" "ARP or ND about a router address, or an RA, comes in from the fabric",
    UnknownUnicast "unknown_unicast" "L3" "nobody is known by the destination MAC and flooding is not allowed",
    Storm "storm" "L6-storm" "the port exceeds its broadcast and multicast rate",
    Martian "martian" "R1" "a source or destination address that is never routed",
    LinkLocal "link_local" "R1" "169.254/16 and fe80::/10 are never routed",
    SrcRoute "src_route" "I0" "the packet asks for source routing (LSRR, SSRR)",
    Ttl "ttl" "R3 D3" "TTL or hop limit used up",
    NoRoute "no_route" "R4" "the router has no route to the destination",
    NoNeigh "no_neigh" "R7-probe FO4" "the MAC of the next hop is not known",
    Mtu "mtu" "R8-icmp FO2 O3" "larger than the next network or the underlay can carry",
    Scope "scope" "R6" "the address scopes of source and destination network differ",
    LoopLimit "loop_limit" "R7" "more than 8 routers of this host in a row",
    MetaBlocked "meta_blocked" "R1 R2-m" "something other than HTTP to the metadata address",
    FipNotLocal "fip_not_local" "FI" "the floating IP is not served by this host",
    SnatNoState "snat_no_state" "S3 S-in R4-5 T4 L1" "no address translation exists for this packet",
    SnatPorts "snat_ports" "S3" "no free source port for address translation",
    NotActiveRole "not_active_role" "S0" "this host is not the router's active SNAT host",
    FragBad "frag_bad" "X" "fragments overlap or do not fit together",
    FragLimit "frag_limit" "X" "too many fragments wait, or the first came too late",
    Policed "policed" "Q" "over the rate limit of the QoS policy",
    PuntFull "punt_full" "R2-m ICMP" "the queue to the control side is full",
    FwDeny "fw_deny" "R3-fw" "a firewall rule of the router denies it",
    RouterDown "router_down" "R0" "the router or its interface is administratively down",
    NoReceiver "no_receiver" "L6 L1" "nobody but the sender would get it",
    NotOurs "not_ours" "T0 E1 E2 L6" "it came on the underlay or provider NIC and is not for us",
    EcnBad "ecn_bad" "T0" "congestion was marked on a packet that cannot carry the mark (RFC 6040)",
    Ipv6Unrouted "ipv6_unrouted" "R1" "IPv6 to a router: not routed yet",
    NeighQueueFull "neigh_queue_full" "R7-probe" "too many packets wait for neighbours",
    UnderlayUnresolved "underlay_unresolved" "O3-wait" "the MAC of the way to the other host is not known, and did not become known in time",
    TxFull "tx_full" "egress" "the egress ring is full",
    NoFrame "no_frame" "I3-a L3 L6" "no buffer for a copy or answer",
    NoHeadroom "no_headroom" "O3" "under 50 bytes before the frame",
    HandoffFull "handoff_full" "W1" "the ring to the worker that owns the egress port is full",
    PortGone "port_gone" "egress" "the egress port was removed after the decision",
    Internal "internal" "" "a defect of the dataplane; must stay 0",
}

impl DropReason {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Position in [`DropReason::ALL`].
    #[inline(always)]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// From the name operators see.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|r| r.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEHAVIOUR: &str = include_str!("../../docs/behaviour.md");

    /// Id and text of every rule of docs/behaviour.md, state included.
    fn rules() -> Vec<(&'static str, &'static str)> {
        let items = BEHAVIOUR.split("\n- **").skip(1).map(|item| item.split_once("** \u{b7} ").unwrap());
        items.map(|(id, text)| (id, text.split("\n\n").next().unwrap())).collect()
    }

    /// Name and rules of every row of its table of drop reasons.
    fn table() -> Vec<(&'static str, Vec<&'static str>)> {
        let rows = BEHAVIOUR.lines().filter_map(|line| line.strip_prefix("| [`")?.split_once("`](drops.md#"));
        rows.map(|(name, rest)| {
            let (link, rules) = rest.split_once(") | ").unwrap();
            assert_eq!(name, link, "the link of a drop reason leads elsewhere");
            (name, rules.trim_end_matches(" |").split(", ").collect())
        })
        .collect()
    }

    #[test]
    fn names_lead_back_and_indexes_are_places() {
        for reason in DropReason::ALL {
            assert_eq!(DropReason::from_name(reason.name()), Some(*reason));
            assert_eq!(DropReason::ALL[reason.index()], *reason);
        }
    }

    #[test]
    fn is_the_table_of_docs_behaviour() {
        let ours: Vec<_> = DropReason::ALL.iter().map(|r| (r.name(), r.rule().split_whitespace().collect())).collect();
        let mut theirs = table();
        for (name, rules) in &mut theirs {
            if (*name, rules.as_slice()) == ("internal", &["none"]) {
                rules.clear();
            }
        }
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "left: DropReason, right: docs/behaviour.md");
        }
        assert_eq!(ours.len(), theirs.len());
    }

    /// Every rule a reason names is there, and the text of one of them, or of the readings below them, says the
    /// reason's name.
    #[test]
    fn rules_of_docs_behaviour_say_when() {
        let rules = rules();
        let (_, readings) = BEHAVIOUR.split_once("## Where the rules left a choice").unwrap();
        let (readings, _) = readings.split_once("\n## ").unwrap();
        for reason in DropReason::ALL {
            let word = format!("`{}`", reason.name());
            let mut said = readings.contains(&word);
            for id in reason.rule().split_whitespace() {
                // What can happen to any frame on its way out of a port is no rule.
                let text = rules.iter().find(|(name, _)| *name == id).map(|(_, text)| *text);
                assert!(text.is_some() || id == "egress", "{}: docs/behaviour.md has no rule {id}", reason.name());
                // A list of reasons stands in one pair of backquotes.
                let words = |t: &str| t.split('`').skip(1).step_by(2).any(|c| c.split(' ').any(|w| w == reason.name()));
                said |= id == "egress" || text.is_some_and(words);
            }
            let everywhere = matches!(reason, DropReason::Internal | DropReason::NoFrame);
            assert!(said || everywhere, "no rule that {} names says when it drops as it", reason.name());
        }
    }

    /// The list of the specification, 3.9; its `not_built` went with the last rule it stood for.
    const SPECIFIED: &str = "parse_short vnet_bad parse_l3 parse_csum eth_src_bad link_local_mcast vlan_unexpected ethertype \
        port_down reserved_src reserved_dst ra_guest mac_spoof ip_spoof arp_spoof nd_spoof dhcp_server sg_egress sg_ingress \
        ct_invalid ct_full vx_bad unknown_vtep vtep_not_member unknown_vni own_dvr_mac local_mac_from_fabric dvr_wrong_vtep \
        dvr_unknown_dst router_mac_from_fabric router_arp_from_fabric unknown_unicast storm martian link_local src_route ttl \
        no_route no_neigh mtu scope loop_limit meta_blocked fip_not_local snat_no_state snat_ports not_active_role frag_bad \
        frag_limit policed punt_full fw_deny router_down no_receiver not_ours ecn_bad ipv6_unrouted neigh_queue_full \
        underlay_unresolved tx_full no_frame no_headroom handoff_full port_gone internal";

    #[test]
    fn is_the_specified_list() {
        let ours: Vec<_> = DropReason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(ours, SPECIFIED.split_whitespace().collect::<Vec<_>>());
    }
}
