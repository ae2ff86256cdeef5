//! [`Tagged`]: what a physical network's NIC is while dvrd has it.

use super::NicError;
use crate::daemon::config::Interface;
use crate::daemon::net::{Identity, Link, Netns, link_by_index};
use dataplane::io::af_xdp::{Promiscuous, ethtool};

/// A NIC of a physical network: promiscuous, and its VLAN tags stay in the frames it receives.
#[derive(Debug)]
pub(super) struct Tagged {
    own: Interface,
    identity: Identity,
    /// Its offload was on.
    turned: bool,
    _promiscuous: Promiscuous,
}

impl Tagged {
    pub(super) fn new(own: &Interface, netns: &Netns, link: &Link) -> Result<Tagged, NicError> {
        let name = own.name.as_str();
        let ethtool = |what, error| NicError::Ethtool { interface: name.to_owned(), what, error };
        let promiscuous = netns.run(|| Promiscuous::new(link.ifindex))?;
        let promiscuous = promiscuous.map_err(|e| ethtool("it cannot be made promiscuous", e))?;
        let identity = Identity { netns: netns.id(), ifindex: link.ifindex };
        let mut tagged = Tagged { own: own.clone(), identity, turned: false, _promiscuous: promiscuous };
        let turned = netns.run(|| {
            let on = ethtool::rx_vlan(name)?;
            if on { ethtool::set_rx_vlan(name, false).map(|()| true) } else { Ok(false) }
        })?;
        let what =
            "it takes VLAN tags out of what it receives, and that cannot be turned off (`ethtool -K NAME rxvlan off`)";
        tagged.turned = turned.map_err(|error| ethtool(what, error))?;
        Ok(tagged)
    }

    /// Nothing where it is gone.
    fn restore(&self) -> Result<(), NicError> {
        let netns = match Netns::open(self.own.netns.as_deref()) {
            Ok(netns) if netns.id() == self.identity.netns => netns,
            Err(e) if !e.is_absence() => return Err(e.into()),
            _ => return Ok(()),
        };
        let Some(link) = link_by_index(&netns, self.identity.ifindex)? else { return Ok(()) };
        let turned = netns.run(|| ethtool::set_rx_vlan(&link.name, true))?;
        turned.map_err(|error| NicError::Ethtool {
            interface: link.name,
            what: "its offload cannot be restored",
            error,
        })
    }
}

impl Drop for Tagged {
    fn drop(&mut self) {
        if self.turned
            && let Err(error) = self.restore()
        {
            tracing::warn!("rx-vlan-offload of {} is off, and stays so: {error}", self.own);
        }
    }
}
