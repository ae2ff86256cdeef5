//! [`fuzz::nat`].
#![no_main]

use fuzz::packet;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|data: &[u8]| fuzz::nat(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    packet::mutate(data, size, max_size, seed, &mut fuzzer_mutate)
});
