//! Tests of `dvr_process`.
