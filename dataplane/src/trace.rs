//! Trace records: what a stage found and did with one traced frame.
//!
//! Fixed size, no text: a worker only stores numbers, the control side turns them into words.

use crate::burst::{Lane, Out, Word};
use crate::drop_reason::DropReason;
use crate::stage::Stage;
use crate::worker::WorkerId;
use crossbeam::queue::ArrayQueue;

/// One step of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceRecord {
    /// The frame's place in its burst.
    pub lane: Lane,
    /// Where.
    pub stage: Stage,
    /// What.
    pub note: Note,
}

/// A field of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Ethernet destination.
    EthDst,
    /// Ethernet source.
    EthSrc,
    /// Network, by its index.
    Seg,
    /// IPv4 time to live.
    Ttl,
    /// Type of service.
    Tos,
    /// IPv4 source.
    IpSrc,
    /// IPv4 destination.
    IpDst,
}

/// What a stage found or did. Numbers are indexes of rows or addresses in host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The frame entered the stage.
    Enter,
    /// T05: it came from this local port.
    FromPort(u16),
    /// T03: the outer source is this tunnel's host.
    FromTunnel(u16),
    /// T04: the VNI is this network's.
    Vni(u32, u16),
    /// The source is the DVR MAC of this tunnel's host: it was routed there.
    SourceIsDvrMac(u16),
    /// T06 was asked: segment, MAC, and the word found (0: none).
    Fdb(u16, u64, u64),
    /// T07/T13 was asked: segment, address, and the word found (0: none).
    Neigh(u16, u32, u64),
    /// The source is new, moved or due for refresh: control was told.
    Learn,
    /// T11: the frame is for this router interface.
    RouterInterface(u16),
    /// R4: route found, by destination; egress interface and next hop (0: connected).
    Route(u16, u32),
    /// R4 step 4: the source subnet's csnat port is the next hop; egress interface and address.
    SnatNextHop(u16, u32),
    /// T09: the gateway MAC of the destination's subnet was chosen for it.
    GatewayOf(u32),
    /// R4 step 2 or 3: it leaves by the floating IP plane; the source it leaves with.
    FloatingIpOut(u32),
    /// FI: the destination is a floating IP of this host; router and fixed address.
    FloatingIpIn(u16, u32),
    /// V0: the network of this VLAN id.
    Vlan(u16, u16),
    /// O4: sent with this VLAN id (0: untagged).
    Tag(u16),
    /// R7: it waits until somebody answers for this address.
    Waits(u32),
    /// O3-wait: it waits for the MAC of the way to this tunnel's host.
    WaitsForTunnel(u16),
    /// R8: sent in fragments of at most so many bytes.
    Fragments(u16),
    /// I0-gso: sent in segments of so many bytes of payload.
    Segments(u16),
    /// I0-gso: its checksum was left to be done, and is.
    ChecksumDone,
    /// Its sender is told: an ICMP error or a reset, from this address.
    Tells(Word, u32),
    /// Its sender would be told, but was told enough.
    TellsNoMore,
    /// The writer was told who has this address.
    Heard(u32),
    /// The router itself answers.
    RouterAnswers(u32),
    /// A field was rewritten: from, to.
    Set(Field, u64, u64),
    /// The way out.
    Out(Out),
    /// Encapsulated: VNI, outer source port.
    Encap(u32, u16),
    /// A copy left by this way.
    Copy(Out),
    /// The frame ended in a drop.
    Dropped(DropReason),
    /// The frame ended, its purpose served.
    Consumed,
    /// Given to the worker that owns the egress port.
    HandedOver(WorkerId),
    /// Sent.
    Sent(Out),
}

/// Bounded queue of records; when it is full the newest records are lost, and the caller counts them.
#[derive(Debug)]
pub struct Tracer {
    queue: ArrayQueue<TraceRecord>,
}

impl Tracer {
    /// Room for `records`.
    pub fn new(records: usize) -> Self {
        Tracer { queue: ArrayQueue::new(records.max(1)) }
    }

    /// Stores a record; `false`: there is no room, it is lost.
    #[cold]
    #[must_use]
    pub fn push(&self, record: TraceRecord) -> bool {
        self.queue.push(record).is_ok()
    }

    /// The oldest record.
    pub fn pop(&self) -> Option<TraceRecord> {
        self.queue.pop()
    }
}

#[cfg(test)]
mod tests {
    use crate::counters::Event;
    use crate::testkit::*;
    use crate::worker::TRACE_RECORDS;

    /// The frame goes its way, and what could not be recorded is counted.
    #[test]
    fn records_past_the_queue_are_lost_and_counted() {
        let frame = eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b""));
        let mut rig = Rig::h1();
        rig.worker.trace = true;
        rig.one(A1.door, frame.clone());
        let each = std::iter::from_fn(|| rig.worker.tracer().pop()).count();
        let fit = TRACE_RECORDS / each;
        let lost = |rig: &Rig| rig.worker.counters().event(Event::TraceLost).get() as usize;
        for part in vec![frame.clone(); fit].chunks(64) {
            rig.step(A1.door, part);
        }
        assert_eq!(lost(&rig), 0);
        assert_eq!(rig.one(A1.door, frame.clone()).sent, [(A3.door, frame.clone())]);
        assert_eq!(lost(&rig), (fit + 1) * each - TRACE_RECORDS);
        rig.one(A1.door, frame);
        assert_eq!(lost(&rig), (fit + 2) * each - TRACE_RECORDS);
        assert_eq!(std::iter::from_fn(|| rig.worker.tracer().pop()).count(), TRACE_RECORDS, "the oldest are kept");
    }
}
