//! Is this machine, and are its interfaces, what dvrd needs? `dvrctl doctor` prints all of it; dvrd refuses to start with
//! what stops it and warns of the rest, in the same words from the same place.
//!
//! Three steps: [`plan`] is what is asked of the machine, [`process`] and [`interface`] find facts and judge nothing,
//! [`judge`] makes findings of facts and asks nobody.

pub mod facts;
pub mod finding;
pub mod interface;
pub mod judge;
pub mod plan;
pub mod process;
#[cfg(test)]
mod tests;

pub use finding::{Finding, Section, Verdict};
pub use plan::{Needs, Subject, Use};

use super::config::Config;
use crate::model::Cloud;
use facts::InterfaceFacts;

/// Everything, interfaces tried out if `trying`. In the order of [`plan::subjects`], the process first.
pub fn examine(subjects: &[Subject], needs: &Needs, trying: bool) -> Vec<Section> {
    let process = Section::of_process(judge::process(&process::facts(), needs));
    let of = |subject: &Subject| {
        let found = interface::facts(subject).map(|facts| if trying { interface::tried(facts) } else { facts });
        Section::of(subject, judged(&found, subject))
    };
    std::iter::once(process).chain(subjects.iter().map(of)).collect()
}

fn judged(found: &Result<InterfaceFacts, interface::NotThere>, subject: &Subject) -> Vec<Finding> {
    match found {
        Ok(facts) => judge::interface(facts),
        Err(why) => vec![judge::not_there(why, &subject.used)],
    }
}

/// What dvrd knows before it takes anything: findings on the process, and facts on its NICs.
#[derive(Debug)]
pub(super) struct Before {
    process: Vec<Finding>,
    nics: Vec<(Subject, InterfaceFacts)>,
}

impl Before {
    /// Looks. `Err`: what stops dvrd, a line each.
    pub fn look(config: &Config, cloud: &Cloud) -> Result<Before, Vec<String>> {
        let process = Section::of_process(judge::process(&process::facts(), &Needs::of(config, Some(cloud))));
        let mut stops: Vec<String> = process.lines(|f| f.stops).collect();
        let mut nics = Vec::new();
        let subjects = plan::subjects(config, Some(cloud));
        for subject in subjects.into_iter().filter(|s| !matches!(s.used, Use::Port(_))) {
            let found = interface::facts(&subject);
            let section = Section::of(&subject, judged(&found, &subject));
            // What holds an interface may let go of it in a moment: that is found out when it is taken.
            stops.extend(section.lines(|f| f.stops && f.check != judge::XDP));
            nics.extend(found.ok().map(|facts| (subject, facts)));
        }
        if stops.is_empty() { Ok(Before { process: process.findings, nics }) } else { Err(stops) }
    }

    /// What to warn of once its NICs are taken: `nic` is what became of one.
    pub fn warnings<'n>(&self, mut nic: impl FnMut(&Use) -> Option<&'n super::nic::Nic>) -> Vec<String> {
        let process = Section::of_process(self.process.clone());
        let mut lines: Vec<String> = process.lines(|f| f.verdict != Verdict::Ok).collect();
        for (subject, facts) in &self.nics {
            let facts = nic(&subject.used).map_or(facts.clone(), |nic| interface::taken(facts.clone(), nic));
            lines.extend(Section::of(subject, judge::interface(&facts)).lines(|f| f.verdict != Verdict::Ok));
        }
        lines
    }
}

/// What to warn of a port's interface that was just taken.
pub(super) fn of_port(subject: &Subject, nic: &super::nic::Nic) -> Vec<String> {
    let facts = interface::taken(interface::of_nic(subject, nic), nic);
    Section::of(subject, judge::interface(&facts)).lines(|f| f.verdict != Verdict::Ok).collect()
}

/// What to warn of an interface whose MTU is this one now.
pub(super) fn of_mtu(subject: &Subject, mtu: u32) -> Option<String> {
    let finding = judge::mtu(subject, mtu);
    Section::of(subject, vec![finding]).lines(|f| f.verdict != Verdict::Ok).next()
}
