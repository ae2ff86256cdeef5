//! What the files say becomes what dvrd does, as far as that can be while it runs.

use super::super::config::Config;
use super::super::ports::{Changes, LEAST_SHARE};
use super::{Daemon, Signals};
use crate::model::{Cloud, Problems};
use std::sync::atomic::Ordering;

/// Lines about one reading of the files.
const LINES: usize = 20;
const STAYS: &str = "nothing of it is taken over, everything stays as it was";

impl<'u: 'scope, 'scope> Daemon<'_, 'scope, 'u> {
    /// Reads the files when they have changed or SIGHUP has come, and takes over what is in them.
    pub(super) fn follow_files(&mut self, signals: &Signals) {
        let asked = signals.reload.swap(false, Ordering::Relaxed);
        match self.reload.as_mut().and_then(|reload| reload.look(asked)) {
            None => {}
            Some(Ok((config, cloud))) => self.take_over(config, cloud),
            Some(Err(problems)) => refuse(&problems, STAYS),
        }
    }

    /// All that can be changed while dvrd runs, or nothing: the cloud by the difference, and the interfaces of ports.
    fn take_over(&mut self, config: Config, cloud: Cloud) {
        let fixed = self.config.fixed(&config);
        let next = self.config.with_ports(config);
        let restart = match fixed.is_empty() {
            true => String::new(),
            false => format!("needs a restart of dvrd, and stays as it was: {}", fixed.join(", ")),
        };
        let file = self.reload.as_ref().map_or(String::new(), |reload| reload.config().display().to_string());
        self.say("restart", restart, |line| tracing::warn!("{file}: {line}"));
        // What cannot be changed and what can have to fit as well.
        if let Err(problems) = next.check(&cloud) {
            let why =
                if fixed.is_empty() { STAYS } else { "restart dvrd for it; until then everything stays as it was" };
            return refuse(&problems, why);
        }
        if let Err(why) = self.has_room(&next, &cloud) {
            return tracing::error!("{why}; {STAYS}");
        }
        let same = cloud == *self.model.cloud();
        if !same && let Err(error) = self.model.set_cloud(cloud) {
            return tracing::error!("{error}; {STAYS}");
        }
        self.uplink.follow_vteps(self.model);
        let changes = self.ports.want(next.attachments(self.model.cloud()));
        tracing::info!("files read again: {}", summary(same, &changes));
        self.config = next;
        self.check_mtu();
        let news = self.ports.look(self.model.writer(), &mut &*self.handles);
        super::tell(news, self.ports, self.model, false);
    }

    /// As at the start ([`super::budget`]), if ports are spread evenly over the workers.
    fn has_room(&self, config: &Config, cloud: &Cloud) -> Result<(), String> {
        let ports = config.attachments(cloud).count().div_ceil(self.config.workers.count.into());
        if ports * LEAST_SHARE <= self.budget {
            return Ok(());
        }
        let frames = config.workers.frames;
        Err(format!(
            "workers.frames = {frames} is too little for a worker with {ports} ports: each needs {LEAST_SHARE} to receive"
        ))
    }

    /// The networks may have another MTU now.
    fn check_mtu(&mut self) {
        let all = self.uplink.mtu(self.model).into_iter().chain(self.physical.iter().flat_map(|p| p.mtu(self.model)));
        let lines: Vec<String> = all.collect();
        self.say("mtu", lines.join("\n"), |line| tracing::warn!("{line}"));
    }

    /// Says something that stays wrong once; nothing of what is empty.
    fn say(&mut self, about: &'static str, what: String, how: impl Fn(&str)) {
        if self.said.get(about) != Some(&what) {
            what.lines().for_each(how);
            self.said.insert(about, what);
        }
    }
}

fn refuse(problems: &Problems, why: &str) {
    problems.iter().take(LINES).for_each(|problem| tracing::error!("{problem}"));
    match problems.as_slice().len().saturating_sub(LINES) {
        0 => tracing::error!("{why}"),
        more => tracing::error!("and {more} more problems; {why}"),
    }
}

/// `the cloud has changed; ports: A3 new, B1 gone`.
fn summary(same: bool, changes: &Changes) -> String {
    let lists = [("new", &changes.new), ("gone", &changes.gone), ("with another interface", &changes.moved)];
    let words = |(word, ids): &(&str, &Vec<String>)| {
        let first = ids.iter().take(LINES).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = ids.len().saturating_sub(LINES);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        (!ids.is_empty()).then(|| format!("{word}: {first}{more}"))
    };
    let ports: Vec<String> = lists.iter().filter_map(words).collect();
    let cloud = if same { "the cloud is the same" } else { "the cloud has changed" };
    match ports.is_empty() {
        true => format!("{cloud}, the ports here are the same"),
        false => format!("{cloud}; ports {}", ports.join("; ")),
    }
}
