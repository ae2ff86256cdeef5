//! Tests of `vxlan_encap`.
