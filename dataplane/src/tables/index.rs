//! [`U32Index`]: a small immutable hash from a 32-bit wire value to a dense index.

/// VNI to segment, VTEP address to tunnel, DVR MAC to tunnel. Built whole by control, never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct U32Index {
    /// `key << 32 | index + 1`; 0 is free.
    slots: Box<[u64]>,
    mask: usize,
    empty: bool,
}

impl Default for U32Index {
    fn default() -> Self {
        U32Index { slots: Box::default(), mask: 0, empty: true }
    }
}

impl U32Index {
    /// From (key, index) pairs; of two pairs with one key the first wins.
    pub fn new(pairs: impl IntoIterator<Item = (u32, u16)>) -> Self {
        let pairs: Vec<_> = pairs.into_iter().collect();
        let n = (pairs.len().max(4) * 4).next_power_of_two();
        let mut index = U32Index { slots: vec![0; n].into(), mask: n - 1, empty: pairs.is_empty() };
        for (key, ix) in pairs {
            if index.get(key).is_none() {
                let free = (Self::hash(key)..).map(|i| i & index.mask).find(|i| index.slots.get(*i) == Some(&0));
                if let Some(slot) = free.and_then(|i| index.slots.get_mut(i)) {
                    *slot = u64::from(key) << 32 | (u64::from(ix) + 1);
                }
            }
        }
        index
    }

    /// Nothing in it?
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.empty
    }

    /// The index of `key`.
    #[inline(always)]
    pub fn get(&self, key: u32) -> Option<u16> {
        let home = Self::hash(key);
        let slot = *self.slots.get(home & self.mask)?;
        // One comparison: of another key the high half is not 0, of a free slot it is all ones.
        match (slot ^ u64::from(key) << 32).wrapping_sub(1) {
            index @ 0..=0xffff => Some(index as u16),
            _ if slot == 0 => None,
            _ => self.further(home, key),
        }
    }

    #[inline(never)]
    fn further(&self, home: usize, key: u32) -> Option<u16> {
        for at in home + 1..home + self.slots.len() {
            let slot = *self.slots.get(at & self.mask)?;
            if slot == 0 {
                return None;
            }
            if (slot >> 32) as u32 == key {
                return Some((slot as u32).wrapping_sub(1) as u16);
            }
        }
        None
    }

    #[inline(always)]
    fn hash(key: u32) -> usize {
        // Keys are the operator's (VNIs, VTEPs), never a tenant's: no seed is needed.
        (u64::from(key).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_put_in_and_nothing_else() {
        let index = U32Index::new((0..4096u32).map(|k| (k * 3, k as u16)));
        for k in 0..12288 {
            assert_eq!(index.get(k), (k % 3 == 0).then_some((k / 3) as u16), "{k}");
        }
        assert_eq!(U32Index::default().get(1), None);
        assert_eq!(U32Index::new([(5, 1), (5, 2)]).get(5), Some(1));
        assert_eq!(U32Index::new([(u32::MAX, u16::MAX - 1)]).get(u32::MAX), Some(u16::MAX - 1));
    }
}
