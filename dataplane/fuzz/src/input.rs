//! The input of `burst` and `explain`: which host, and frames at its doors.
//!
//! ```text
//! variant  1 byte                  see world::VARIANTS, modulo their number
//! then for each frame
//!   door   1 byte                  see World::doors, modulo their number
//!   gap    1 byte                  time before it, see Item::gap
//!   len    2 bytes, little endian  cut to what is there
//!   bytes
//! ```
//!
//! Any bytes are an input. [`mutate`] keeps the frames apart and puts lengths and checksums right most of
//! the time, or hardly a mutated frame would get past the first checks.

use crate::packet;
use crate::random::Random;

/// Frames of one input; more are not looked at.
const MAX_FRAMES: usize = 80;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where it comes in.
    pub door: u8,
    /// Time since the one before: 0, at the same moment (1 ns later); below 0x80, tens of milliseconds; else 299 s
    /// and twentieths of a second, so that what was learned ages out in the middle of the range.
    pub gap: u8,
    /// From the Ethernet destination on.
    pub bytes: Vec<u8>,
}

impl Item {
    /// [`Item::gap`] in ns.
    pub fn wait(&self) -> u64 {
        match self.gap {
            0 => 1,
            g @ 1..0x80 => u64::from(g) * 10_000_000,
            g => 299_000_000_000 + u64::from(g - 0x80) * 50_000_000,
        }
    }
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// Host and cloud.
    pub variant: u8,
    /// Frames in the order they come.
    pub items: Vec<Item>,
}

impl Input {
    /// Any bytes are an input.
    pub fn decode(data: &[u8]) -> Input {
        let Some((&variant, mut rest)) = data.split_first() else { return Input::default() };
        let mut items = Vec::new();
        while let [door, gap, l0, l1, after @ ..] = rest
            && items.len() < MAX_FRAMES
        {
            let len = usize::from(u16::from_le_bytes([*l0, *l1])).min(after.len());
            let (bytes, next) = after.split_at(len);
            items.push(Item { door: *door, gap: *gap, bytes: bytes.to_vec() });
            rest = next;
        }
        Input { variant, items }
    }

    /// The bytes that decode to it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.variant];
        for item in &self.items {
            out.extend([item.door, item.gap]);
            out.extend((item.bytes.len() as u16).to_le_bytes());
            out.extend(&item.bytes);
        }
        out
    }
}

/// libFuzzer's own mutation of a buffer: how much of it is used, how much may be.
pub type Bytes<'a> = &'a mut dyn FnMut(&mut [u8], usize, usize) -> usize;

/// A new input out of `data[..size]`; returns its size.
pub fn mutate(data: &mut [u8], size: usize, max: usize, seed: u32, bytes: Bytes<'_>) -> usize {
    let r = &mut Random(seed.into());
    if r.below(16) == 0 {
        return bytes(data, size, max); // the format is not sacred
    }
    let mut input = Input::decode(&data[..size]);
    for _ in 0..=r.below(3) {
        step(&mut input, r, max, bytes);
    }
    let new = input.encode();
    let len = new.len().min(max);
    data[..len].copy_from_slice(&new[..len]);
    len
}

fn step(input: &mut Input, r: &mut Random, max: usize, bytes: Bytes<'_>) {
    let n = input.items.len();
    if n == 0 {
        input.items.push(Item { door: r.number() as u8, gap: 0, bytes: vec![0; 60] });
        return;
    }
    let at = r.below(n);
    match r.below(20) {
        0 => input.variant = r.below(256) as u8,
        1 => input.items[at].door = r.number() as u8,
        2 => input.items[at].gap = if r.below(2) == 0 { 0 } else { r.number() as u8 },
        3 if n > 1 => drop(input.items.remove(at)),
        4 => input.items.swap(at, r.below(n)),
        5 | 6 => {
            let copy = input.items[at].clone();
            input.items.insert(r.below(n + 1), copy);
        }
        7 => {
            // A frame into VXLAN, or out of it.
            let item = &mut input.items[at];
            match packet::vxlan_payload(&item.bytes) {
                Some(inner) => item.bytes = inner.to_vec(),
                None => item.bytes = packet::in_vxlan(&item.bytes, r),
            }
        }
        kind => {
            let frame = &mut input.items[at].bytes;
            match kind {
                8..=11 => packet::splice(frame, r),
                12 => packet::tag(frame, r),
                _ => {
                    let len = frame.len();
                    let room = (len + 64).min(max);
                    frame.resize(room.max(len), 0);
                    let new = bytes(frame, len, room);
                    frame.truncate(new);
                }
            }
            if r.below(8) > 0 {
                packet::repair(frame);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_its_bytes() {
        let item = |door, gap, bytes: &[u8]| Item { door, gap, bytes: bytes.to_vec() };
        let input = Input { variant: 3, items: vec![item(1, 0, b"abc"), item(9, 0x90, b""), item(0, 5, &[7; 300])] };
        assert_eq!(Input::decode(&input.encode()), input);
        let cut = Input::decode(&[3, 1, 0, 9, 0, b'x']);
        assert_eq!(cut.items, [item(1, 0, b"x")], "the last frame is cut to what is there");
    }

    #[test]
    fn a_seed_brings_a_mutation_back() {
        let start = Input { variant: 0, items: vec![Item { door: 0, gap: 0, bytes: vec![1; 60] }] }.encode();
        let run = |seed| {
            let mut data = start.clone();
            data.resize(4096, 0);
            let mut flip = |d: &mut [u8], n: usize, _| {
                d[n / 2] ^= 1;
                n
            };
            let n = mutate(&mut data, start.len(), 4096, seed, &mut flip);
            data[..n].to_vec()
        };
        assert!((0..50).all(|seed| run(seed) == run(seed)));
        assert!((0..50).any(|seed| run(seed) != start));
    }
}
