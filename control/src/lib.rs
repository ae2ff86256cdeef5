//! The control side: cloud model, rows for this host, table writers.

pub mod capture;
pub mod cli;
pub mod explain;
pub mod frame_text;
pub mod host;
pub mod model;
pub mod replay;
pub mod report;
