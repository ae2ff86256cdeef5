//! `filter.c`, compiled and taken out of its object file.

use super::super::asm::Insn;
use crate::testkit::netns::installed;
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};
use std::net::Ipv4Addr;
use std::process::Command;

/// Its two programs, as one section of instructions and where each map is named.
pub struct Compiled(Vec<u8>);

impl Compiled {
    /// `None` and a word about it where clang is missing.
    pub fn new(test: &str, vtep: Ipv4Addr, port: u16) -> Option<Compiled> {
        installed(test, "clang", &["--version"], "clang")?;
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/io/af_xdp/filter/filter.c");
        let output = Command::new("clang")
            .args(["-O2", "-g", "-target", "bpf", "-Wall", "-Wextra", "-Werror", "-D"])
            .args([&format!("VTEP={:#010x}", u32::from(vtep)), "-D", &format!("PORT={port}")])
            .args(["-c", source, "-o", "-"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(Compiled(output.stdout))
    }

    /// One of its programs, with this map.
    pub fn program(&self, name: &str, map: i32) -> Vec<Insn> {
        let file = object::File::parse(&*self.0).unwrap();
        let section = file.section_by_name("xdp.frags").unwrap();
        let bytes = section.data().unwrap();
        let mut insns: Vec<Insn> = bytes.as_chunks().0.iter().map(|b| Insn::from_bytes(*b)).collect();
        let mut maps = 0;
        for (offset, relocation) in section.relocations() {
            let RelocationTarget::Symbol(symbol) = relocation.target() else { panic!("{relocation:?}") };
            assert_eq!(file.symbol_by_index(symbol).unwrap().name(), Ok("xsks"));
            insns[offset as usize / size_of::<Insn>()].point_to_map(map);
            maps += 1;
        }
        assert_eq!(maps, 2, "each program looks into the map once");
        let symbol = file.symbols().find(|s| s.name() == Ok(name)).unwrap();
        let (start, len) = (symbol.address() as usize / size_of::<Insn>(), symbol.size() as usize / size_of::<Insn>());
        insns[start..start + len].to_vec()
    }
}
