//! The control side: cloud model, rows for this host, table writers.
//!
//! [`model`] is the cloud in Neutron's words; [`rows`] derives what one host needs of it;
//! [`writer`] stores the difference in the tables the workers read; [`host`] puts it all together
//! without a NIC.
//!
//! On top of that, [`replay`] runs captures ([`capture`]) through a host, [`explain`] puts a traced
//! frame's way into words, [`show`] prints rows in the words of Neutron's hosts, [`import`] reads dumps of Neutron's
//! lists, [`lab`] makes a cloud of network namespaces, and [`cli`] is `dvrctl`.

pub mod books;
pub mod capture;
pub mod cli;
pub mod daemon;
pub mod explain;
pub mod frame_text;
pub mod host;
pub mod import;
pub mod lab;
pub mod model;
pub mod replay;
pub mod report;
pub mod rows;
pub mod show;
pub mod writer;
