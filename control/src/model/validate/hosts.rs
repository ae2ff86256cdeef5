//! Hosts: unique endpoints and DVR MACs (tables T01 to T03).

use super::{Checker, Owners, host_subject};
use crate::model::problem::Kind;

pub(super) fn check(c: &mut Checker<'_, '_, '_>) {
    let cloud = c.cloud;
    let mut vteps = Owners::new();
    let mut macs = Owners::new();
    for h in cloud.hosts.values() {
        let s = host_subject(h);
        if !c.sink.is_bad(Kind::Host, &h.name, "vtep")
            && let Some(other) = vteps.claim(h.vtep, h)
        {
            let hint = "give each host an endpoint of its own";
            c.collision(host_subject(other), s.clone(), "vtep", &h.vtep.to_string(), hint);
        }
        let Some(mac) = h.dvr_mac else { continue };
        if let Some(other) = macs.claim(mac, h) {
            c.collision(
                host_subject(other),
                s.clone(),
                "dvr_mac",
                &mac.to_string(),
                "give each host a DVR MAC of its own",
            );
        }
        if !cloud.settings.is_dvr_mac(mac) {
            let (value, mask) = cloud.settings.dvr_prefix();
            let reason = format!("{mac} is outside the DVR prefix {value}/{mask} of settings.dvr_base_mac");
            c.report(&s, "dvr_mac", reason, "give a MAC inside the prefix, or change dvr_base_mac");
        }
    }
}
