//! Tests of `vxlan_decap`.
