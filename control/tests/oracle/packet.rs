//! A packet as Open vSwitch sees it: bytes with their VLAN tag, and the metadata that goes along.

/// What a match looks at or an action writes (ovs-fields(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    InPort,
    TunId,
    Reg(u8),
    EthSrc,
    EthDst,
    EthType,
    /// The whole 16 bits with the CFI bit, which says that there is a tag; 0 without one.
    VlanTci,
    /// The VLAN id and the CFI bit, as `set_field:4100->vlan_vid` gives them.
    VlanVid,
    IpProto,
    IpDst,
    Icmp6Type,
    ArpOp,
    ArpSpa,
    ArpTpa,
    ArpSha,
    ArpTha,
}

/// A packet in a bridge.
#[derive(Clone, Debug)]
pub struct Packet {
    pub bytes: Vec<u8>,
    pub in_port: u16,
    pub tun_id: u64,
    pub regs: [u32; 16],
}

/// The CFI bit: "there is a tag".
const TAGGED: u64 = 0x1000;

impl Packet {
    pub fn new(bytes: &[u8], in_port: u16, tun_id: u64) -> Packet {
        Packet { bytes: bytes.to_vec(), in_port, tun_id, regs: [0; 16] }
    }

    fn be(&self, at: usize, len: usize) -> Option<u64> {
        Some(self.bytes.get(at..at + len)?.iter().fold(0, |v, b| v << 8 | u64::from(*b)))
    }

    fn tagged(&self) -> bool {
        matches!(self.be(12, 2), Some(0x8100 | 0x88a8))
    }

    /// Where the type stands that follows the outer tag, if there is one.
    fn type_at(&self) -> usize {
        if self.tagged() { 16 } else { 12 }
    }

    pub fn eth_type(&self) -> u64 {
        self.be(self.type_at(), 2).unwrap_or(0)
    }

    /// The first byte behind the Ethernet header, of a packet of this type.
    fn payload(&self, eth_type: u64) -> Option<usize> {
        (self.eth_type() == eth_type).then(|| self.type_at() + 2)
    }

    fn ip6_proto(&self) -> Option<u64> {
        let ip = self.payload(0x86dd)?;
        self.be(ip + 6, 1)
    }

    /// `None`: the packet has no such field, and no match on it can hold.
    pub fn get(&self, field: Field) -> Option<u64> {
        let arp = |at, len| self.be(self.payload(0x0806)? + at, len);
        match field {
            Field::InPort => Some(self.in_port.into()),
            Field::TunId => Some(self.tun_id),
            Field::Reg(n) => Some(self.regs[usize::from(n)].into()),
            Field::EthDst => self.be(0, 6),
            Field::EthSrc => self.be(6, 6),
            Field::EthType => Some(self.eth_type()),
            Field::VlanTci | Field::VlanVid if !self.tagged() => Some(0),
            Field::VlanTci => Some(self.be(14, 2)? | TAGGED),
            Field::VlanVid => Some(self.be(14, 2)? & 0x0fff | TAGGED),
            Field::IpProto => match self.payload(0x0800) {
                Some(ip) => self.be(ip + 9, 1),
                None => self.ip6_proto(),
            },
            Field::IpDst => self.be(self.payload(0x0800)? + 16, 4),
            Field::Icmp6Type => {
                let ip = self.payload(0x86dd)?;
                (self.ip6_proto() == Some(58)).then(|| self.be(ip + 40, 1))?
            }
            Field::ArpOp => arp(6, 2),
            Field::ArpSha => arp(8, 6),
            Field::ArpSpa => arp(14, 4),
            Field::ArpTha => arp(18, 6),
            Field::ArpTpa => arp(24, 4),
        }
    }

    fn put(&mut self, at: usize, len: usize, value: u64) {
        let bytes = value.to_be_bytes();
        self.bytes[at..at + len].copy_from_slice(&bytes[8 - len..]);
    }

    /// # Panics
    /// If the packet has no such field, or it cannot be written: the flow is one we misread.
    pub fn set(&mut self, field: Field, value: u64) {
        let arp =
            |p: &Packet, at: usize| p.payload(0x0806).expect("a flow writes a field of ARP into another packet") + at;
        match field {
            Field::TunId => self.tun_id = value,
            Field::Reg(n) => self.regs[usize::from(n)] = u32::try_from(value).expect("a register has 32 bits"),
            Field::EthDst => self.put(0, 6, value),
            Field::EthSrc => self.put(6, 6, value),
            Field::VlanTci if value & TAGGED == 0 => self.pop_vlan(),
            Field::VlanTci | Field::VlanVid => {
                if !self.tagged() {
                    self.push_vlan(0x8100);
                }
                let pcp = if field == Field::VlanVid { self.be(14, 2).unwrap_or(0) & 0xf000 } else { value & 0xe000 };
                self.put(14, 2, pcp | value & 0x0fff);
            }
            Field::ArpOp => self.put(arp(self, 6), 2, value),
            Field::ArpSha => self.put(arp(self, 8), 6, value),
            Field::ArpSpa => self.put(arp(self, 14), 4, value),
            Field::ArpTha => self.put(arp(self, 18), 6, value),
            Field::ArpTpa => self.put(arp(self, 24), 4, value),
            other => panic!("no flow of Neutron writes {other:?}"),
        }
    }

    pub fn push_vlan(&mut self, tpid: u16) {
        let [a, b] = tpid.to_be_bytes();
        self.bytes.splice(12..12, [a, b, 0, 0]);
    }

    /// Takes the outer tag off; nothing without one.
    pub fn pop_vlan(&mut self) {
        if self.tagged() {
            self.bytes.drain(12..16);
        }
    }

    /// VLAN id of the outer tag; 0 if there is none.
    pub fn vid(&self) -> u16 {
        (self.get(Field::VlanVid).unwrap_or(0) & 0x0fff) as u16
    }
}
