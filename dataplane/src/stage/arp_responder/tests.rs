//! Tests of `arp_responder`.
