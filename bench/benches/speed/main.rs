//! Criterion benches of the parts: the pipeline by burst and size of tables, its stages, the tables, publication. One
//! program, because linking takes longer than all of them do in CI (`-- --test`). What a frame costs beside others, and
//! with a look at what comes out, is `pktbench`'s.

mod pipeline;
mod publish;
mod stages;
mod tables;

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;

fn brief() -> Criterion {
    let brief = Criterion::default().sample_size(20);
    brief.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1))
}

criterion_group!(
    name = benches;
    config = brief();
    targets = pipeline::bursts, pipeline::rows, stages::stages, tables::tables, publish::publish
);
criterion_main!(benches);
