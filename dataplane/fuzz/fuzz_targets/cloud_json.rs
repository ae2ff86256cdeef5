//! [`fuzz::cloud_json`].
#![no_main]

use fuzz::tree::{self, Text};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|data: &[u8]| fuzz::cloud_json(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    tree::mutate(Text::Json, data, size, max_size, seed, &mut fuzzer_mutate)
});
