//! Tests of `dvr_to_src_mac`.
