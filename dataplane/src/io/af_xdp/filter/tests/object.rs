//! `filter.c`, compiled and taken out of its object file.

use super::super::asm::Insn;
use crate::testkit::netns::installed;
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};
use std::net::Ipv4Addr;
use std::process::Command;

/// Its programs, as one section of instructions and where each map is named.
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

    /// One of its programs, with these maps by name.
    pub fn program(&self, name: &str, maps: &[(&str, i32)]) -> Vec<Insn> {
        let file = object::File::parse(&*self.0).unwrap();
        let section = file.section_by_name("xdp.frags").unwrap();
        let bytes = section.data().unwrap();
        let mut insns: Vec<Insn> = bytes.as_chunks().0.iter().map(|b| Insn::from_bytes(*b)).collect();
        let symbol = file.symbols().find(|s| s.name() == Ok(name)).unwrap();
        let start = symbol.address() as usize / size_of::<Insn>();
        let range = start..start + symbol.size() as usize / size_of::<Insn>();
        let mut named = Vec::new();
        for (offset, relocation) in section.relocations() {
            let at = offset as usize / size_of::<Insn>();
            if !range.contains(&at) {
                continue;
            }
            let RelocationTarget::Symbol(symbol) = relocation.target() else { panic!("{relocation:?}") };
            let symbol = file.symbol_by_index(symbol).unwrap();
            let (name, map) = maps.iter().find(|(name, _)| symbol.name() == Ok(name)).unwrap();
            insns[at].point_to_map(*map);
            named.push(*name);
        }
        named.sort_unstable();
        let mut all: Vec<&str> = maps.iter().map(|(name, _)| *name).collect();
        all.sort_unstable();
        assert!(all.iter().all(|name| named.contains(name)), "{name} looks into {named:?} of {all:?}");
        insns[range].to_vec()
    }
}
