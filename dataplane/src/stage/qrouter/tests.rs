//! Tests of `qrouter`.
