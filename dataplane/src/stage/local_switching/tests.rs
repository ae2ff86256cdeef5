//! Tests of `local_switching`.
