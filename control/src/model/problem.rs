//! What is wrong with a cloud or a change: one [`Problem`] per fault, all of them together in [`Problems`].

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::value::Doc;

/// Where in the input a problem is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The name of the file, as it was given.
    pub file: String,
    /// Line of the file, from 1: TOML, syntax errors, and one-line inputs such as `--events`.
    pub line: Option<usize>,
    /// JSON pointer (RFC 6901) to the value, or to the object it is missing from: `/ports/3/mac_address`.
    pub pointer: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        match self.pointer.as_deref() {
            None | Some("") => Ok(()),
            Some(p) => write!(f, " {}", plain(p)),
        }
    }
}

/// One thing that is wrong with the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// The resource it belongs to: `port A1`, `settings`, `file`.
    pub resource: String,
    /// The attribute, nested ones like `fixed_ips[0].ip_address`; none if it is about the whole resource.
    pub field: Option<String>,
    /// What is wrong. Where two resources collide it names the other one.
    pub reason: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: ", self.place, self.resource)?;
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        write!(f, "{}; {}", self.reason, self.hint)
    }
}

/// Every problem of one input, in the order they were found. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `Err` with the problems, `Ok` if there are none.
    pub(crate) fn check(list: Vec<Problem>) -> Result<(), Problems> {
        if list.is_empty() { Ok(()) } else { Err(Problems(list)) }
    }

    /// The problems.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    /// The problems, one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(p: Problem) -> Self {
        Problems(vec![p])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for p in &self.0 {
            writeln!(f, "{p}")?;
        }
        match self.0.len() {
            1 => f.write_str("1 problem"),
            n => write!(f, "{n} problems"),
        }
    }
}

impl std::error::Error for Problems {}

/// The kinds of things a cloud is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `settings`.
    Settings,
    /// One of `hosts`.
    Host,
    /// One of `networks`.
    Network,
    /// One of `subnets`.
    Subnet,
    /// One of `ports`.
    Port,
    /// One of `routers`.
    Router,
    /// One of `floatingips`.
    FloatingIp,
    /// One of `security_groups`.
    SecurityGroup,
    /// One of `neighbors`.
    Neighbor,
}

impl Kind {
    /// The kinds that come as lists, in the order they are read.
    pub(crate) const LISTS: [Kind; 8] = [
        Kind::Host,
        Kind::Network,
        Kind::Subnet,
        Kind::Router,
        Kind::Port,
        Kind::FloatingIp,
        Kind::SecurityGroup,
        Kind::Neighbor,
    ];

    /// The word for one of it, in messages.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Settings => "settings",
            Kind::Host => "host",
            Kind::Network => "network",
            Kind::Subnet => "subnet",
            Kind::Port => "port",
            Kind::Router => "router",
            Kind::FloatingIp => "floating ip",
            Kind::SecurityGroup => "security group",
            Kind::Neighbor => "neighbor",
        }
    }

    /// The key of the list (or table) in a file.
    pub fn key(self) -> &'static str {
        match self {
            Kind::Settings => "settings",
            Kind::Host => "hosts",
            Kind::Network => "networks",
            Kind::Subnet => "subnets",
            Kind::Port => "ports",
            Kind::Router => "routers",
            Kind::FloatingIp => "floatingips",
            Kind::SecurityGroup => "security_groups",
            Kind::Neighbor => "neighbors",
        }
    }
}

/// One resource, for a message.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub kind: Kind,
    /// The id; for a neighbor a text made of its key.
    pub key: String,
    /// `port A1`, with the name behind it where that differs.
    pub label: String,
}

impl Subject {
    pub(crate) fn new(kind: Kind, id: &str, name: &str) -> Subject {
        let label = match (kind, name) {
            (Kind::Settings, _) => kind.word().to_owned(),
            (_, n) if n.is_empty() || n == id => format!("{} {}", kind.word(), plain(id)),
            (_, n) => format!("{} {} ({})", kind.word(), plain(id), plain(n)),
        };
        Subject { kind, key: id.to_owned(), label }
    }

    /// Something that is no resource of a cloud, called `label` in messages.
    pub(crate) fn other(label: &str) -> Subject {
        Subject { kind: Kind::Settings, key: label.to_owned(), label: label.to_owned() }
    }

    /// The file itself rather than something in it.
    pub(crate) fn file() -> Subject {
        Subject { kind: Kind::Settings, key: "\0file".to_owned(), label: "file".to_owned() }
    }
}

/// Collects problems, and knows where in the document each resource stands.
///
/// Paths are like JSON pointers without the leading `/` and with attribute names in the model's spelling:
/// `fixed_ips/0/ip_address`.
pub(crate) struct Sink<'d> {
    pub doc: &'d Doc,
    /// Where each resource of the document stands, with its position among all of them.
    pub origins: HashMap<(Kind, String), (usize, String)>,
    /// What has been reported already, so that a placeholder for a bad value is not reported again.
    bad: HashMap<(Kind, String), Vec<String>>,
    pub problems: Vec<Problem>,
}

impl<'d> Sink<'d> {
    pub(crate) fn new(doc: &'d Doc) -> Sink<'d> {
        Sink { doc, origins: HashMap::new(), bad: HashMap::new(), problems: Vec::new() }
    }

    /// The resource stands at this path of the document. `false` if it already stands elsewhere.
    pub(crate) fn locate(&mut self, subject: &Subject, path: &str) -> bool {
        let n = self.origins.len();
        match self.origins.entry((subject.kind, subject.key.clone())) {
            std::collections::hash_map::Entry::Occupied(_) => false,
            std::collections::hash_map::Entry::Vacant(v) => {
                v.insert((n, path.to_owned()));
                true
            }
        }
    }

    fn origin(&self, subject: &Subject) -> Option<&(usize, String)> {
        self.origins.get(&(subject.kind, subject.key.clone()))
    }

    /// Where the resource stands, in words.
    pub(crate) fn place_of(&self, subject: &Subject) -> Option<Place> {
        self.origin(subject).map(|(_, path)| self.doc.place(path))
    }

    /// Of two resources that collide the one to report (first), and the other: the later in the document,
    /// one that is in the document rather than one that was there before.
    pub(crate) fn blame(&self, a: Subject, b: Subject) -> (Subject, Subject) {
        let rank = |s: &Subject| self.origin(s).map(|o| o.0);
        if rank(&a) > rank(&b) { (a, b) } else { (b, a) }
    }

    /// Something at or below or above this path has been reported.
    pub(crate) fn is_bad(&self, kind: Kind, key: &str, path: &str) -> bool {
        let under = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|r| r.is_empty() || r.starts_with('/'));
        !self.bad.is_empty()
            && self
                .bad
                .get(&(kind, key.to_owned()))
                .is_some_and(|l| l.iter().any(|p| p.is_empty() || under(p, path) || under(path, p)))
    }

    /// Reports what parsing found, at a path below `base` (the resource's own path in the document).
    pub(crate) fn parse_problem(&mut self, subject: &Subject, base: &str, path: &str, reason: String, hint: String) {
        self.mark(subject, path);
        self.push(subject, base, path, reason, hint);
    }

    /// Reports what a check of the model found, unless that value was already reported as unreadable.
    pub(crate) fn report(&mut self, subject: &Subject, path: &str, reason: String, hint: impl Into<String>) {
        if !self.is_bad(subject.kind, &subject.key, path) {
            let base = self.origin(subject).map(|(_, p)| p.clone());
            let path_in = if base.is_some() { path } else { "" };
            self.push(subject, &base.unwrap_or_default(), path_in, reason, hint.into());
            if path_in != path
                && let Some(p) = self.problems.last_mut()
            {
                p.field = field_name(path);
            }
        }
    }

    /// Nothing more is to be reported at this path: it has been, under this or another name.
    pub(crate) fn mark(&mut self, subject: &Subject, path: &str) {
        self.bad.entry((subject.kind, subject.key.clone())).or_default().push(path.to_owned());
    }

    fn push(&mut self, subject: &Subject, base: &str, path: &str, reason: String, hint: String) {
        let full = match (base.is_empty(), path.is_empty()) {
            (_, true) => base.to_owned(),
            (true, false) => path.to_owned(),
            (false, false) => format!("{base}/{path}"),
        };
        let place = self.doc.place(&full);
        self.problems.push(Problem { place, resource: subject.label.clone(), field: field_name(path), reason, hint });
    }
}

/// `fixed_ips/0/ip_address` as `fixed_ips[0].ip_address`.
fn field_name(path: &str) -> Option<String> {
    let mut out = String::new();
    for part in path.split('/').filter(|p| !p.is_empty()) {
        let part = &part.replace("~1", "/").replace("~0", "~");
        match part.bytes().all(|b| b.is_ascii_digit()) {
            true => out.push_str(&format!("[{part}]")),
            false if out.is_empty() => out.push_str(&plain(part)),
            false => out.push_str(&format!(".{}", plain(part))),
        }
    }
    (!out.is_empty()).then_some(out)
}

/// A text from the input for a message: in quotes, escaped, cut when very long.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((n, _)) => format!("{:?}...", text.get(..n).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// A text from the input for a message: as it is if harmless, else without what could upset a terminal.
pub(crate) fn plain(text: &str) -> String {
    match text.chars().any(char::is_control) {
        true => text.escape_debug().to_string(),
        false => text.to_owned(),
    }
}

/// The candidate a mistyped word most likely means, if any is near.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().take(64).collect();
    let limit = (word.len() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|c| (distance(&word, &c.to_lowercase()), c))
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, c)| c)
}

/// Levenshtein's distance.
fn distance(a: &[char], b: &str) -> usize {
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (i, cb) in b.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, ca) in a.iter().enumerate() {
            let next = (diagonal + usize::from(*ca != cb)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row.last().copied().unwrap_or(0)
}
