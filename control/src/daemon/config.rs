//! `dvrd.toml`.
