//! The tables workers read and control writes.
//!
//! Two shapes of state, two mechanisms: [`Snapshot`] for what is small and switches together,
//! [`FlatTable`] for what is large and changes by entry.

mod chunked;
mod flat;
mod index;
mod news;
mod publish;
mod qsbr;
mod route;
mod rows;
mod snapshot;
mod values;

pub use chunked::Chunked;
pub use flat::{FlatTable, FlatWriter, Home, InsertError, PROBE_LIMIT};
pub use index::U32Index;
pub use news::News;
pub use publish::{Published, SnapshotSource, SnapshotWriter};
pub use qsbr::{Epoch, Qsbr, QsbrWorker};
pub use route::{Found, Hop, Route, RouteSet};
pub use rows::*;
pub use snapshot::{Snapshot, Tables};
pub use values::{FdbTarget, FdbValue, NeighValue, Target, fdb_key, fip_key, ip4_key};
