//! Stub, to be replaced by the real one.
#![allow(missing_docs, unused_variables)]

use crate::model::{Change, Cloud, Problems};
use dataplane::addr::MacAddr;
use dataplane::umem::Umem;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

#[derive(Debug)]
pub struct HostError(String);
impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
#[derive(Debug)]
pub struct Host<'u> {
    cloud: Cloud,
    names: Names,
    umem: PhantomData<&'u mut Umem>,
}
#[derive(Clone, Debug, Default)]
pub struct PortTotals {
    pub rx: u64,
    pub tx: u64,
}
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub received: u64,
    pub generated: u64,
    pub copied: u64,
    pub sent: u64,
    pub dropped: u64,
    pub consumed: u64,
    pub held: u64,
    pub drops: BTreeMap<String, u64>,
    pub counters: BTreeMap<String, u64>,
    pub ports: BTreeMap<String, PortTotals>,
    pub stages: Vec<(&'static str, &'static str, u64, u64, u64)>,
}
#[derive(Clone, Debug)]
pub struct TableUse {
    pub name: &'static str,
    pub rows: usize,
    pub limit: usize,
}
#[derive(Debug)]
pub struct Names;
impl Names {
    pub fn port(&self, ix: u16) -> String {
        String::new()
    }
    pub fn seg(&self, ix: u16) -> String {
        String::new()
    }
    pub fn tunnel(&self, ix: u16) -> String {
        String::new()
    }
    pub fn router(&self, ix: u16) -> String {
        String::new()
    }
    pub fn iface(&self, ix: u16) -> String {
        String::new()
    }
    pub fn mac(&self, seg: u16, mac: MacAddr) -> Option<String> {
        None
    }
    pub fn address(&self, seg: u16, ip: u32) -> Option<String> {
        None
    }
}
impl<'u> Host<'u> {
    pub fn new(cloud: Cloud, name: &str, umem: &'u mut Umem) -> Result<Host<'u>, HostError> {
        if !cloud.hosts.contains_key(name) {
            return Err(HostError(format!("there is no host {name}")));
        }
        Ok(Host { cloud, names: Names, umem: PhantomData })
    }
    pub fn port_name(&self, word: &str) -> Option<String> {
        Some(word.to_owned())
    }
    pub fn receive(&mut self, port: &str, frame: &[u8], now: u64, burst: usize) {}
    pub fn settle(&mut self, now: u64) {}
    pub fn drain_sent(&mut self, see: &mut dyn FnMut(&str, &[u8], u64)) {}
    pub fn apply(&mut self, change: &Change, now: u64) -> Result<(), Problems> {
        Ok(())
    }
    pub fn next_timer(&self) -> Option<u64> {
        None
    }
    pub fn run_timers(&mut self, now: u64) {}
    pub fn pending(&self) -> bool {
        false
    }
    pub fn totals(&self) -> Totals {
        Totals::default()
    }
    pub fn set_trace(&mut self, on: bool) {}
    pub fn take_trace(&mut self) -> Vec<dataplane::trace::TraceRecord> {
        Vec::new()
    }
    pub fn names(&self) -> &Names {
        &self.names
    }
    pub fn tables(&self) -> Vec<TableUse> {
        Vec::new()
    }
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }
}
