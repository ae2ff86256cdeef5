//! Tests of `vxlan_tun_to_lv`.
