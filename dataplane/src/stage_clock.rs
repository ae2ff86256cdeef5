//! How long each stage takes, while somebody wants to know ([`Worker::time_stages`](crate::worker::Worker::time_stages)).
//!
//! A stage's time is from its beginning to that of the next one the burst enters: what a stage calls that is a stage of
//! its own (`fragments`, `icmp_error`, a flood's copies) is that one's. Receiving is `ingress`, telling the kernel what
//! to send is the last stage's.

use crate::counters::WorkerCounters;
use crate::stage::Stage;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// The clock is asked so often to know what asking costs.
const TRIES: usize = 1000;

/// A worker's. Asks the system's monotonic clock once a stage and burst: 20 to 50 ns, which are not counted.
#[derive(Debug)]
pub struct StageClock {
    /// What one look at the clock takes.
    own: Duration,
    since: Cell<Option<(Stage, Instant)>>,
}

impl Default for StageClock {
    /// Measures what asking costs: the least of 1,000 tries.
    fn default() -> Self {
        let tries = (0..TRIES).map(|_| {
            let start = Instant::now();
            Instant::now().duration_since(start)
        });
        StageClock { own: tries.min().unwrap_or_default(), since: Cell::new(None) }
    }
}

impl StageClock {
    /// From now on the time is `stage`'s, and nobody's what was before: between bursts.
    #[cold]
    pub fn start(&self, stage: Stage) {
        self.since.set(Some((stage, Instant::now())));
    }

    /// From now on it is `stage`'s.
    #[cold]
    pub fn begin(&self, stage: Stage, count: &WorkerCounters) {
        self.end(count);
        self.start(stage);
    }

    /// From now on it is nobody's.
    #[cold]
    pub fn end(&self, count: &WorkerCounters) {
        if let Some((stage, since)) = self.since.take() {
            let time = since.elapsed().saturating_sub(self.own);
            count.stage(stage).ns.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// Nothing was received: the time since [`StageClock::start`] is nobody's.
    #[cold]
    pub fn forget(&self) {
        self.since.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;

    const A_WHILE: Duration = Duration::from_millis(20);

    #[test]
    fn each_stage_has_the_time_until_the_next_begins() {
        let (clock, count) = (StageClock::default(), WorkerCounters::new(1, 0));
        let ns = |stage| Duration::from_nanos(count.stage(stage).ns.get());
        clock.start(Stage::Ingress);
        clock.begin(Stage::Decode, &count);
        sleep(A_WHILE);
        clock.begin(Stage::Egress, &count);
        clock.end(&count);
        assert!((A_WHILE..A_WHILE * 50).contains(&ns(Stage::Decode)), "{:?}", ns(Stage::Decode));
        assert!(ns(Stage::Ingress) < ns(Stage::Decode) && ns(Stage::Egress) < ns(Stage::Decode));
    }

    #[test]
    fn time_between_bursts_is_nobodys() {
        let (clock, count) = (StageClock::default(), WorkerCounters::new(1, 0));
        clock.start(Stage::Ingress); // nothing comes
        sleep(A_WHILE);
        clock.forget();
        clock.end(&count);
        clock.start(Stage::Ingress);
        clock.end(&count);
        sleep(A_WHILE);
        clock.begin(Stage::Egress, &count); // a flood goes on
        clock.end(&count);
        for stage in Stage::ALL {
            assert!(Duration::from_nanos(count.stage(*stage).ns.get()) < A_WHILE, "{}", stage.name());
        }
    }
}
