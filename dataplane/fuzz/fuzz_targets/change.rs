//! [`fuzz::change`].
#![no_main]

use fuzz::tree::{self, Text};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|data: &[u8]| fuzz::change(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    tree::mutate(Text::Lines, data, size, max_size, seed, &mut fuzzer_mutate)
});
