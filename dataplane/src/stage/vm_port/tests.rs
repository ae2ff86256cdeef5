//! Tests of `vm_port`.
