//! The control side: cloud model, rows for this host, table writers.

pub mod host;
pub mod model;
