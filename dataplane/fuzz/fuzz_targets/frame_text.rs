//! [`fuzz::frame_text`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::frame_text(data));
