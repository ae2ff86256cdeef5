//! Tests of `egress`.
