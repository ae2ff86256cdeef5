//! The folder of a lab's files.

use super::command::Res;
use std::path::{Path, PathBuf};

/// A folder, removed with the value unless it is kept.
pub struct Folder {
    path: PathBuf,
    ours: bool,
}

impl Folder {
    /// An empty one; what was there before is removed.
    pub fn new(path: PathBuf) -> Res<Folder> {
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Folder { path, ours: true })
    }

    /// An empty one that was not there before.
    pub fn create(path: &Path) -> std::io::Result<Folder> {
        std::fs::create_dir(path)?;
        Ok(Folder { path: path.to_owned(), ours: true })
    }

    /// One that is there and stays.
    pub fn open(path: &Path) -> Folder {
        Folder { path: path.to_owned(), ours: false }
    }

    /// From now on it stays when the value goes.
    pub fn keep(&mut self) {
        self.ours = false;
    }

    /// A file in it.
    pub fn path(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
