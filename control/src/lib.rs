//! The control side: cloud model, rows for this host, table writers.
//!
//! [`model`] is the cloud in Neutron's words; [`rows`] derives what one host needs of it;
//! [`writer`] stores the difference in the tables the workers read; [`host`] puts it all together
//! without a NIC.

pub mod host;
pub mod model;
pub mod rows;
pub mod writer;
