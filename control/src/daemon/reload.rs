//! `dvrd.toml` and the cloud file while dvrd runs: when they have changed, and what is in them then.
//!
//! They are looked at by `stat`, not by inotify: a file that is replaced by rename, reached by a link or on a network file
//! system is seen just so, and there is nothing to lose.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::config::Config;
use crate::model::{Cloud, Problems};

/// How often the files are looked at, and how long they have to be the same before they are read: whoever writes one in
/// several steps is done by then.
const LOOK: Duration = Duration::from_millis(250);
/// One that never rests is read all the same after so long.
const LONGEST: Duration = Duration::from_secs(1);

/// Both files.
#[derive(Debug)]
pub struct Files {
    config: Watched,
    cloud: Watched,
    looked: Instant,
}

impl Files {
    /// As they are now. To be made before they are read first: what is written in between is noticed.
    pub fn new(config: &Path, cloud: &Path) -> Self {
        Files { config: Watched::new(config), cloud: Watched::new(cloud), looked: Instant::now() }
    }

    /// Reads both and checks them, each by itself and with each other.
    pub fn read(&self) -> Result<(Config, Cloud), Problems> {
        read(&self.config.path, &self.cloud.path)
    }

    /// Has one of them changed, and rests?
    fn changed(&mut self, now: Instant) -> bool {
        if now.duration_since(self.looked) < LOOK {
            return false;
        }
        self.looked = now;
        let (config, cloud) = (self.config.changed(now), self.cloud.changed(now));
        config || cloud
    }
}

fn read(config: &Path, cloud: &Path) -> Result<(Config, Cloud), Problems> {
    let (config, cloud) = (Config::read(config)?, Cloud::load(cloud)?);
    config.check(&cloud)?;
    Ok((config, cloud))
}

/// What tells a file from what it was before; none: there is none.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// When it was read.
    read: Stamp,
    /// At the last look.
    last: Stamp,
    /// Since when it is another one than was read.
    since: Option<Instant>,
}

impl Watched {
    fn new(path: &Path) -> Self {
        let now = stamp(path);
        Watched { path: path.to_owned(), read: now, last: now, since: None }
    }

    /// Another one than was read, and the same as at the last look, or so for too long.
    fn changed(&mut self, now: Instant) -> bool {
        let is = stamp(&self.path);
        let rests = std::mem::replace(&mut self.last, is) == is;
        if is == self.read {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        if !rests && now.duration_since(since) < LONGEST {
            return false;
        }
        (self.read, self.since) = (is, None);
        true
    }
}

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}

/// What the files say, or what is wrong with them.
pub type Said = Result<(Config, Cloud), Problems>;

/// Reads the files again when they have changed or somebody asks, on a thread of its own: a large cloud takes a while.
#[derive(Debug)]
pub(super) struct Reload {
    files: Files,
    reading: Option<Receiver<Said>>,
    /// To be read once more.
    again: bool,
}

impl Reload {
    pub fn new(files: Files) -> Self {
        Reload { files, reading: None, again: false }
    }

    /// Where the configuration is.
    pub fn config(&self) -> &Path {
        &self.files.config.path
    }

    /// What there is to take over, if anything. `asked`: to be read even if nothing has changed.
    pub fn look(&mut self, asked: bool) -> Option<Said> {
        self.again |= asked | self.files.changed(Instant::now());
        let mut said = None;
        if let Some(reading) = &self.reading {
            match reading.try_recv() {
                Ok(read) => said = Some(read),
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => {
                    tracing::error!("the files could not be read: a defect of dvrd, please report it");
                }
            }
            self.reading = None;
        }
        if std::mem::take(&mut self.again)
            && let Err(error) = self.start()
        {
            tracing::error!("the files are not read again: no thread for it: {error}");
        }
        said
    }

    fn start(&mut self) -> io::Result<()> {
        let (config, cloud) = (self.files.config.path.clone(), self.files.cloud.path.clone());
        let (tell, told) = sync_channel(1);
        let body = move || drop(tell.send(read(&config, &cloud)));
        Builder::new().name("reload".to_owned()).spawn(body)?;
        self.reading = Some(told);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
