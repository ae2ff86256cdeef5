//! Reasons as text, as JSON and as docs/drops.md.

use std::fmt::Write;

use dataplane::drop_reason::DropReason;
use serde::Serialize;

use super::reasons::{self, Happening, Occurs, Place, Reason};
use super::wrap_under;

/// What `dvrctl explain` was asked for.
#[derive(Clone, Copy, Debug)]
pub enum Topic {
    /// Why a frame was dropped.
    Drop(DropReason),
    /// A counter beside the drops, by its name.
    Counter(&'static str, &'static Happening),
}

impl Topic {
    /// Of the name operators see.
    pub fn of(name: &str) -> Option<Topic> {
        let counter = || reasons::counters().find(|(n, _)| *n == name).map(|(n, e)| Topic::Counter(n, e));
        DropReason::from_name(name).map(Topic::Drop).or_else(counter)
    }

    /// Every one, by place.
    pub fn all() -> Vec<Topic> {
        let by_place = Place::ALL.into_iter().flat_map(drops_at).map(Topic::Drop);
        by_place.chain(reasons::counters().map(|(name, e)| Topic::Counter(name, e))).collect()
    }

    /// As an object.
    pub fn json(self) -> Json {
        match self {
            Topic::Drop(r) => {
                let e = reasons::of(r);
                Json {
                    name: r.name(),
                    kind: "drop",
                    place: Some(e.place.title()),
                    meaning: r.meaning(),
                    more: e.more,
                    cause: Some(e.cause),
                    look: e.look,
                    rules: r.rule().split_whitespace().collect(),
                    stages: e.stages.iter().map(|s| s.name()).collect(),
                    occurs: match e.occurs {
                        Occurs::Now => "now",
                        Occurs::Later(_) => "later",
                        Occurs::Defect => "defect",
                    },
                }
            }
            Topic::Counter(name, e) => {
                let (meaning, more, look) = (e.meaning, e.more, e.look);
                let (rules, stages) = (Vec::new(), Vec::new());
                let (place, cause) = (None, None);
                Json { name, kind: "event", place, meaning, more, cause, look, rules, stages, occurs: "now" }
            }
        }
    }

    /// For a terminal.
    pub fn text(self) -> String {
        match self {
            Topic::Drop(r) => drop_text(r, reasons::of(r)),
            Topic::Counter(name, e) => counter_text(name, e),
        }
    }
}

/// What `dvrctl explain --json` prints, one object or a list.
#[derive(Clone, Debug, Serialize)]
pub struct Json {
    name: &'static str,
    /// `drop` or `event`.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<&'static str>,
    meaning: &'static str,
    more: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    look: &'static [&'static str],
    rules: Vec<&'static str>,
    stages: Vec<&'static str>,
    /// `now`, `later` or `defect`.
    occurs: &'static str,
}

fn drops_at(place: Place) -> impl Iterator<Item = DropReason> {
    DropReason::ALL.iter().copied().filter(move |r| reasons::of(*r).place == place)
}

/// Whether this build gives it, if that goes not without saying.
fn state(reason: DropReason, e: &Reason) -> Option<String> {
    match e.occurs {
        Occurs::Now => None,
        Occurs::Defect => Some("Must stay 0.".to_owned()),
        Occurs::Later(rule) => {
            Some(format!("{} cannot happen in this build: rule {rule} will give it.", reason.name()))
        }
    }
}

/// Where it is counted.
fn counted(reason: DropReason, e: &Reason) -> String {
    let name = reason.name();
    let stages: Vec<&str> = e.stages.iter().map(|s| s.name()).collect();
    let at = match stages.as_slice() {
        [] => "the stage that will give it".to_owned(),
        all if all.len() == dataplane::stage::Stage::COUNT => "any stage".to_owned(),
        [one] => format!("stage {one}"),
        [some @ .., last] => format!("stage {} or {last}", some.join(", ")),
    };
    format!("drops.{name}, once a frame; at the port the frame came in by; as dropped by {at}")
}

fn ids(reason: DropReason) -> String {
    match reason.rule() {
        "" => "none".to_owned(),
        rule => rule.split_whitespace().collect::<Vec<_>>().join(", "),
    }
}

fn drop_text(r: DropReason, e: &Reason) -> String {
    let mut s = String::new();
    wrap_under(&mut s, "", "  ", &format!("{}: {}", r.name(), r.meaning()));
    s.push('\n');
    let mut part = |head: &str, text: &str| wrap_under(&mut s, &format!("{head:<10}"), &" ".repeat(10), text);
    part("Means", e.more);
    if let Some(state) = state(r, e) {
        part("", &state);
    }
    part("Mostly", e.cause);
    part("Counted", &counted(r, e));
    part("Rules", &format!("{} (docs/behaviour.md)", ids(r)));
    look(&mut s, e.look);
    s
}

fn counter_text(name: &str, e: &Happening) -> String {
    let mut s = String::new();
    wrap_under(&mut s, "", "  ", &format!("{name}: {}", e.meaning));
    s.push('\n');
    wrap_under(&mut s, "Means     ", &" ".repeat(10), e.more);
    let lost = reasons::losses().any(|(n, _)| n == name);
    let counted = if lost { "frames that never reached dvrd's books" } else { "no frame ends by it" };
    wrap_under(&mut s, "Counted   ", &" ".repeat(10), &format!("counters.{name}; {counted}"));
    look(&mut s, e.look);
    s
}

/// Commands are not wrapped: they are to be copied.
fn look(s: &mut String, lines: &[&str]) {
    s.push_str("Look at\n");
    for line in lines {
        let _ = writeln!(s, "  {line}");
    }
}

/// Every name with its half sentence, by place.
pub fn list() -> String {
    let mut s = String::new();
    for place in Place::ALL {
        let _ = writeln!(s, "{}", place.title());
        for r in drops_at(place) {
            let later = if let Occurs::Later(_) = reasons::of(r).occurs { " (not in this build)" } else { "" };
            entry(&mut s, r.name(), &format!("{}{later}", r.meaning()));
        }
        s.push('\n');
    }
    s.push_str("Counters that are no drops\n");
    for (name, e) in reasons::counters() {
        entry(&mut s, name, e.meaning);
    }
    s.push_str("\ndvrctl explain NAME: the commonest cause and what to look at.\n");
    s
}

fn entry(s: &mut String, name: &str, meaning: &str) {
    wrap_under(s, &format!("  {name:<23}"), &" ".repeat(25), meaning);
}

/// docs/drops.md.
pub fn markdown() -> String {
    let mut s = String::from(
        "# Why a frame was dropped

<!-- Made by `dvrctl explain --markdown` from control/src/explain/reasons/. Change it there, then:
     cargo run --bin dvrctl -- explain --markdown > docs/drops.md -->

Every dropped frame has exactly one reason, and the reason one name everywhere: in counters, in `dvrctl trace`, in
captures. This page is `dvrctl explain NAME` for all of them. The rules are in [behaviour.md](behaviour.md).

To see the frames themselves, with the reason as comment of each packet:

    dvrctl replay --cloud FILE --host HOST --in PORT=CAPTURE --out DIR --drops DROPS.pcapng
    tshark -r DROPS.pcapng -T fields -e frame.comment | sort | uniq -c | sort -rn
    tshark -r DROPS.pcapng -Y 'frame.comment contains \"drop: mac_spoof |\"'
    dvrctl trace --cloud FILE --host HOST --in PORT --pcap DROPS.pcapng --frame N

Each frame is on the interface of the port it came in by, with its time, as it was received: not as a router had rewritten
it before the drop, and with its outer headers if it came by the tunnel. An answer made here (ARP, echo) is shown as made. A
frame longer than 1792 bytes is cut there; `frame.len` tells its length. A flooded frame stands once for each copy that was
dropped. Frames of one time stand in the order in which they were dropped, which depends on `--burst` and
`--workers`.

In the commands, capitals are what you fill in.
",
    );
    for place in Place::ALL {
        let _ = write!(s, "\n## {}\n", place.title());
        drops_at(place).for_each(|r| drop_markdown(&mut s, r, reasons::of(r)));
    }
    s.push_str("\n## Counters that are no drops\n");
    for (name, e) in reasons::counters() {
        let _ = write!(s, "\n### {name}\n\n");
        para(&mut s, &format!("**{}.** {}", capital(e.meaning), e.more));
        commands(&mut s, e.look);
    }
    s
}

fn drop_markdown(s: &mut String, r: DropReason, e: &Reason) {
    let _ = write!(s, "\n### {}\n\n", r.name());
    para(s, &format!("**{}.** {}", capital(r.meaning()), e.more));
    if let Some(state) = state(r, e) {
        s.push('\n');
        para(s, &state);
    }
    s.push('\n');
    wrap_under(s, "- ", "  ", &format!("Mostly: {}", e.cause));
    wrap_under(s, "- ", "  ", &format!("Counted: {}.", counted(r, e)));
    wrap_under(s, "- ", "  ", &format!("Rules: {}.", ids(r)));
    commands(s, e.look);
}

fn para(s: &mut String, text: &str) {
    wrap_under(s, "", "", text);
}

fn commands(s: &mut String, lines: &[&str]) {
    s.push('\n');
    for line in lines {
        let _ = writeln!(s, "    {line}");
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
