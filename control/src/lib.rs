//! The control side: cloud model, rows for this host, table writers.

pub mod capture;
pub mod host;
pub mod model;
