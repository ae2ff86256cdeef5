use super::*;

const DVR: MacAddr = MacAddr::new([0xfa, 0x16, 0x3f, 0, 0, 1]);
const FG: MacAddr = MacAddr::new([0xfa, 0x16, 0x3e, 0x0f, 0, 0x21]);
const TENANT: u32 = u32::from_be_bytes([10, 2, 0, 99]);
const FG_IP: u32 = u32::from_be_bytes([203, 0, 113, 21]);
const FIP: u32 = u32::from_be_bytes([203, 0, 113, 103]);

#[test]
fn a_tenant_probe_asks_in_nobodys_name() {
    let wanted = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfa, 0x16, 0x3f, 0, 0, 1, 0x08, 0x06, // Ethernet
        0, 1, 8, 0, 6, 4, 0, 1, // request
        0xfa, 0x16, 0x3f, 0, 0, 1, 0, 0, 0, 0, // sender: DVR MAC, 0.0.0.0
        0, 0, 0, 0, 0, 0, 10, 2, 0, 99, // target
    ];
    assert_eq!(Arp::probe(DVR, TENANT).frame(), wanted);
}

#[test]
fn outside_the_asker_has_a_name() {
    let wanted = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfa, 0x16, 0x3e, 0x0f, 0, 0x21, 0x08, 0x06, // Ethernet
        0, 1, 8, 0, 6, 4, 0, 1, // request
        0xfa, 0x16, 0x3e, 0x0f, 0, 0x21, 203, 0, 113, 21, // sender
        0, 0, 0, 0, 0, 0, 203, 0, 113, 103, // target
    ];
    assert_eq!(Arp::who_has(FG, FG_IP, FIP).frame(), wanted);
}

#[test]
fn announcements_name_one_address_twice() {
    let request = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfa, 0x16, 0x3e, 0x0f, 0, 0x21, 0x08, 0x06, // Ethernet
        0, 1, 8, 0, 6, 4, 0, 1, // request
        0xfa, 0x16, 0x3e, 0x0f, 0, 0x21, 203, 0, 113, 103, // sender
        0, 0, 0, 0, 0, 0, 203, 0, 113, 103, // target: the same address, no MAC
    ];
    assert_eq!(Arp::announcement(FG, FIP, REQUEST).frame(), request);
    let mut reply = request;
    reply[21] = 2;
    reply[32..38].copy_from_slice(&[0xfa, 0x16, 0x3e, 0x0f, 0, 0x21]);
    assert_eq!(Arp::announcement(FG, FIP, REPLY).frame(), reply);
}

#[test]
fn each_field_stands_in_its_place() {
    let mac = |n| MacAddr::new([n; 6]);
    let arp = Arp {
        eth_dst: mac(1),
        eth_src: mac(2),
        op: 0x0304,
        sha: mac(5),
        spa: 0x0607_0809,
        tha: mac(10),
        tpa: 0x0b0c_0d0e,
    };
    let wanted = "010101010101020202020202080600010800060403040505050505050607080\
                  90a0a0a0a0a0a0b0c0d0e";
    let text: String = arp.frame().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(text, wanted);
    // etherparse reads the same.
    let frame = arp.frame();
    let read = etherparse::ArpPacketSlice::from_slice(&frame[14..]).unwrap();
    assert_eq!((read.hw_addr_type().0, read.proto_addr_type().0, read.operation().0), (1, 0x0800, 0x0304));
    assert_eq!((read.sender_hw_addr(), read.sender_protocol_addr()), (&[5; 6][..], &[6, 7, 8, 9][..]));
    assert_eq!((read.target_hw_addr(), read.target_protocol_addr()), (&[10; 6][..], &[11, 12, 13, 14][..]));
}
