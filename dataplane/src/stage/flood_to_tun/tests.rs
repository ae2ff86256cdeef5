//! Tests of `flood_to_tun`.
