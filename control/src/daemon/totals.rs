//! The file of `--totals`.

use std::ffi::OsString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// See the module text.
#[derive(Debug)]
pub(super) struct TotalsFile(PathBuf);

impl TotalsFile {
    pub fn new(path: PathBuf) -> Self {
        TotalsFile(path)
    }

    /// Fails as [`TotalsFile::write`] would, as far as that can be known without writing.
    pub fn try_out(&self) -> io::Result<()> {
        if self.is_replaced()? {
            self.beside().map(drop)?;
            std::fs::remove_file(self.beside_path())
        } else {
            self.straight(false).map(drop)
        }
    }

    /// This text in place of what was there.
    pub fn write(&self, text: &str) -> io::Result<()> {
        if self.is_replaced()? {
            self.beside()?.write_all(text.as_bytes())?;
            std::fs::rename(self.beside_path(), &self.0)
        } else {
            self.straight(true)?.write_all(text.as_bytes())
        }
    }

    /// Only a regular file, or nothing, gives way to another file: not a device, a pipe or a link.
    fn is_replaced(&self) -> io::Result<bool> {
        match std::fs::symlink_metadata(&self.0) {
            Ok(meta) => Ok(meta.is_file()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(e) => Err(e),
        }
    }

    fn beside_path(&self) -> PathBuf {
        let mut name = OsString::from(&self.0);
        name.push(".new");
        name.into()
    }

    /// By way of another name a reader never finds half of it. Whatever has that name is not written into.
    fn beside(&self) -> io::Result<File> {
        let path = self.beside_path();
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    /// Never waits: a pipe without a reader is an error.
    fn straight(&self, empty: bool) -> io::Result<File> {
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        OpenOptions::new().write(true).create(true).truncate(empty).custom_flags(nonblock).open(&self.0)
    }
}

impl fmt::Display for TotalsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, symlink};

    /// An empty folder, removed with the value.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let path = std::env::temp_dir().join(format!("dvrd-totals-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Dir(path)
        }

        fn names(&self) -> Vec<String> {
            let name = |e: io::Result<std::fs::DirEntry>| e.unwrap().file_name().into_string().unwrap();
            let mut names: Vec<String> = std::fs::read_dir(&self.0).unwrap().map(name).collect();
            names.sort();
            names
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_regular_file_is_replaced_and_its_neighbours_stay() {
        let dir = Dir::new("file");
        let path = |name: &str| dir.0.join(name);
        std::fs::write(path("books.new"), "somebody else's").unwrap();
        let file = TotalsFile::new(path("books.json"));
        file.try_out().unwrap();
        assert_eq!(dir.names(), ["books.new"], "trying leaves nothing");
        // What lies in the way of the other name is not written into, nor what it leads to.
        symlink(path("books.new"), path("books.json.new")).unwrap();
        for text in ["first", "second"] {
            file.write(text).unwrap();
            assert_eq!(std::fs::read_to_string(path("books.json")).unwrap(), text);
        }
        assert_eq!(std::fs::read_to_string(path("books.new")).unwrap(), "somebody else's");
        assert_eq!(dir.names(), ["books.json", "books.new"]);
    }

    #[test]
    fn a_link_stays_one_and_what_it_leads_to_is_written() {
        let dir = Dir::new("link");
        let (to, link) = (dir.0.join("to"), dir.0.join("link"));
        std::fs::write(&to, "longer than what is written").unwrap();
        symlink(&to, &link).unwrap();
        let file = TotalsFile::new(link.clone());
        file.try_out().unwrap();
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "longer than what is written");
        file.write("books").unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "books");
    }

    /// What is true of a pipe is true of a device, which a test should not risk.
    #[test]
    fn a_pipe_stays_one_and_without_a_reader_it_is_an_error_at_once() {
        let dir = Dir::new("pipe");
        let path = dir.0.join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let file = TotalsFile::new(path.clone());
        assert_eq!(file.try_out().unwrap_err().raw_os_error(), Some(rustix::io::Errno::NXIO.raw_os_error()));
        file.write("books").unwrap_err();
        let mut reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        file.write("books").unwrap();
        let mut read = [0; 5];
        io::Read::read_exact(&mut reader, &mut read).unwrap();
        assert_eq!(&read, b"books");
        assert!(std::fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
        assert_eq!(dir.names(), ["pipe"]);
    }

    #[test]
    fn a_folder_is_an_error() {
        let dir = Dir::new("folder");
        TotalsFile::new(dir.0.clone()).try_out().unwrap_err();
        TotalsFile::new(dir.0.join("none/books")).try_out().unwrap_err();
    }
}
