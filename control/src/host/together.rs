//! One burst of chosen frames from several ports, for tests of what frames of a burst must not do to each other.

use super::{Host, workers};
use dataplane::drop_reason::DropReason;
use dataplane::io::InjectError;

/// A frame on the wire of a port (by its canonical name), and the time (ns) at which it is received.
pub type Arrival<'a> = (&'a str, &'a [u8], u64);

impl Host<'_> {
    /// Everything waiting goes through the pipeline; then `frames`, at most
    /// [`BURST`](dataplane::burst::BURST), as one burst of each worker, in this order
    /// whatever their ports are.
    /// Learn events stay in their queue until [`Host::settle`]. Needs packet memory for every copy:
    /// unlike [`Host::receive`] it does not cut the burst.
    pub fn receive_together(&mut self, frames: &[Arrival<'_>]) {
        self.run();
        let mut from = vec![Vec::new(); self.workers.len()];
        for (port, bytes, time) in frames {
            let door = self.door(port);
            let id = workers::of(&self.writer, door, self.setup.queue(bytes));
            self.ports.entry((*port).to_owned()).or_default().rx += 1;
            let (Some(worker), Some(from)) = (self.workers.get_mut(id), from.get_mut(id)) else { continue };
            let injected = match worker.memory_port(door) {
                Some((memory, pool)) => memory.inject(bytes, *time, pool),
                None => Err(InjectError::Full),
            };
            match injected {
                Ok(()) => from.push((door, 1)),
                Err(InjectError::TooLong) => worker.refuse(door, DropReason::Mtu, bytes, *time),
                Err(InjectError::Full) => worker.refuse(door, DropReason::NoFrame, bytes, *time),
            }
        }
        for (worker, from) in self.workers.iter_mut().zip(&from) {
            worker.poll_ports(from);
        }
        self.collect();
    }
}
