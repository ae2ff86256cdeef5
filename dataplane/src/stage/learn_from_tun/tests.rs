//! Tests of `learn_from_tun`.
