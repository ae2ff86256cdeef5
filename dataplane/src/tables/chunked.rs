//! [`Chunked`]: rows by dense index that two generations can share.

use std::sync::Arc;

const CHUNK: usize = 64;

/// An array of rows behind one spine of chunks. Cloning copies the spine; changing a row copies
/// its chunk of 64 if another generation still uses it. Indexes are 16 bits.
#[derive(Clone, Debug)]
pub struct Chunked<T> {
    spine: Vec<Arc<[Option<T>; CHUNK]>>,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Chunked { spine: Vec::new() }
    }
}

impl<T: Clone> Chunked<T> {
    /// The row at `ix`, `None` if there is none: a worker then reloads its snapshot or drops.
    #[inline(always)]
    pub fn get(&self, ix: u16) -> Option<&T> {
        self.spine.get(usize::from(ix) / CHUNK)?.get(usize::from(ix) % CHUNK)?.as_ref()
    }

    /// Stores or clears the row at `ix`.
    pub fn set(&mut self, ix: u16, row: Option<T>) {
        let (chunk, at) = (usize::from(ix) / CHUNK, usize::from(ix) % CHUNK);
        while self.spine.len() <= chunk {
            self.spine.push(Arc::new(std::array::from_fn(|_| None)));
        }
        if let Some(place) = self.spine.get_mut(chunk).and_then(|c| Arc::make_mut(c).get_mut(at)) {
            *place = row;
        }
    }

    /// All rows with their indexes, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &T)> {
        let rows = self.spine.iter().flat_map(|c| c.iter());
        rows.enumerate().filter_map(|(ix, row)| Some((ix as u16, row.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_leaves_the_old_generation_alone_and_shares_the_rest() {
        let mut old = Chunked::default();
        for ix in [0, 63, 64, 1000] {
            old.set(ix, Some(u32::from(ix)));
        }
        let mut new = old.clone();
        new.set(64, Some(7));
        new.set(0, None);
        assert_eq!((old.get(0), old.get(64)), (Some(&0), Some(&64)));
        assert_eq!((new.get(0), new.get(64), new.get(1000)), (None, Some(&7), Some(&1000)));
        assert!(Arc::ptr_eq(&old.spine[15], &new.spine[15]));
        assert_eq!(new.iter().map(|(ix, _)| ix).collect::<Vec<_>>(), [63, 64, 1000]);
        assert_eq!(new.get(65535), None);
    }
}
