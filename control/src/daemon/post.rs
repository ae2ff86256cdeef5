//! Frames the writer asks for, probes and announcements, on their way to the worker that sends them.

use super::threads::Handles;
use dataplane::stage::Made;
use dataplane::worker::Order;
use std::collections::VecDeque;

/// Frames that may wait for room in the worker's letter box: two forms of each of the floating IPs a host may have (T14),
/// and of as many router interfaces.
const WAITING: usize = 8192;
/// Places in its letter box that stay for ports that come and go.
const KEPT_FREE: usize = 16;
/// The worker that sends them.
const SENDER: usize = 0;

/// See the module text.
#[derive(Debug, Default)]
pub(super) struct Post {
    waiting: VecDeque<Made>,
}

impl Post {
    /// Takes new frames, and gives the worker as many as it has room for. What it does not take waits for the next call.
    /// Returns how many there is no room for at all.
    #[must_use]
    pub fn send(&mut self, new: Vec<Made>, handles: &Handles<'_>) -> u64 {
        let room = WAITING.saturating_sub(self.waiting.len());
        let lost = new.len().saturating_sub(room) as u64;
        self.waiting.extend(new.into_iter().take(room));
        while let Some(made) = self.waiting.front() {
            if !handles.has_places(SENDER, KEPT_FREE) || !handles.order(SENDER, Order::Send(*made)) {
                break;
            }
            self.waiting.pop_front();
        }
        lost
    }

    /// Do frames wait?
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::threads::tests::idle_workers;
    use super::*;
    use crate::writer::{Limits, Writer};
    use dataplane::stage::MadeFor;
    use dataplane::umem::Umem;
    use dataplane::worker::ORDERS;

    fn made(n: usize) -> Made {
        Made { seg: 0, seg_generation: 0, to: MadeFor::Everybody, frame: [0; 42], time: n as u64 }
    }

    /// The times of the frames in the letter box, which is empty then.
    fn taken(worker: &dataplane::worker::Worker<'_>) -> Vec<u64> {
        let order = || worker.orders().pop();
        std::iter::from_fn(order).map(|o| if let Order::Send(made) = o { made.time } else { panic!("{o:?}") }).collect()
    }

    #[test]
    fn frames_wait_for_room_in_their_order_and_past_the_bound_are_counted() {
        let mut umem = Umem::new(64);
        let mut writer = Writer::new(1, Limits::default());
        let workers = idle_workers(&writer, &mut umem, 1);
        let handles = Handles::of(&workers);
        let mut post = Post::default();
        assert_eq!(post.send((0..ORDERS + 10).map(made).collect(), &handles), 0);
        assert!(post.waits());
        let fit = (ORDERS - KEPT_FREE) as u64;
        assert_eq!(taken(&workers[0]), (0..fit).collect::<Vec<_>>());
        assert_eq!(post.send(vec![made(1000)], &handles), 0);
        assert!(!post.waits());
        let rest: Vec<u64> = (fit..ORDERS as u64 + 10).chain([1000]).collect();
        assert_eq!(taken(&workers[0]), rest);

        // A worker that stands still.
        assert_eq!(post.send((0..ORDERS - KEPT_FREE).map(made).collect(), &handles), 0);
        writer.lose_made(post.send((0..WAITING + 3).map(made).collect(), &handles));
        assert!(writer.counters().contains(&("made_lost", 3)));
        assert_eq!(post.waiting.len(), WAITING);
    }
}
