//! What names rules: docs/behaviour.md, doc comments of functions and tests, case.toml of fixtures.

use std::path::{Path, PathBuf};

/// A list item `- **id** · state · text` of docs/behaviour.md.
pub struct Rule {
    pub id: String,
    pub built: bool,
}

/// A row of its table of cases.
pub struct CaseRow {
    pub id: String,
    pub state: String,
    pub text: String,
}

/// A row of its table of drop reasons.
pub struct Reason {
    pub name: String,
    pub rules: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Code of the product.
    Function,
    /// A test that runs.
    Test,
    /// Anything else: an ignored test, a helper of tests, no function at all.
    Nothing,
}

/// A line of rules in a doc comment and what stands under it.
pub struct Claim {
    pub file: String,
    pub line: usize,
    pub name: String,
    pub kind: Kind,
    /// Ids, each with the words behind it in parentheses; or why the line cannot be read.
    pub rules: Result<Vec<(String, String)>, String>,
}

impl Claim {
    fn new((file, line, name): (&str, usize, &str), kind: Kind, list: &str) -> Self {
        Claim { file: file.to_owned(), line, name: name.to_owned(), kind, rules: list_of_rules(list) }
    }

    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    pub fn names(&self, id: &str) -> bool {
        self.rules.iter().flatten().any(|(rule, _)| rule == id)
    }
}

pub struct Fixture {
    pub folder: String,
    pub case: String,
    pub rules: Vec<String>,
}

#[derive(Default)]
pub struct Sources {
    pub rules: Vec<Rule>,
    pub cases: Vec<CaseRow>,
    pub reasons: Vec<Reason>,
    pub claims: Vec<Claim>,
    pub fixtures: Vec<Fixture>,
    /// Functions `process_burst` calls with the burst.
    pub stages: Vec<String>,
    /// Words in the code for a rule that would decide if it were built: place and word.
    pub waiting: Vec<(String, String)>,
}

impl Sources {
    pub fn of_repository(root: &Path) -> Self {
        let text = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
        let mut s = Sources::default();
        s.behaviour(&text("docs/behaviour.md"));
        s.stages = calls(&text("dataplane/src/pipeline.rs"));
        for dir in ["dataplane/src", "dataplane/tests", "control/src", "control/tests"] {
            for path in files(&root.join(dir)) {
                let file = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                let text = std::fs::read_to_string(&path).unwrap();
                s.claims.extend(claims(&file, &text));
                s.waiting.extend(waiting(&file, &text));
            }
        }
        let mut folders: Vec<_> =
            std::fs::read_dir(root.join("pcap-fixtures")).unwrap().map(|e| e.unwrap().path()).collect();
        folders.retain(|d| d.join("case.toml").exists());
        s.fixtures = folders.iter().map(|d| fixture(d)).collect();
        s.fixtures.sort_by_key(|f| f.folder.split('-').next().and_then(|n| n.parse::<u32>().ok()));
        s
    }

    /// Rules, cases and drop reasons.
    pub fn behaviour(&mut self, text: &str) {
        let mut heading = "";
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("## ") {
                heading = title;
            }
            if let Some((id, rest)) = line.strip_prefix("- **").and_then(|l| l.split_once("** · ")) {
                let built = rest.starts_with("built · ");
                assert!(built || rest.starts_with("later · "), "docs/behaviour.md, rule {id}: neither built nor later");
                self.rules.push(Rule { id: id.to_owned(), built });
            }
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            match (heading, &cells[..]) {
                ("Cases", ["", id, state, text, ""]) if id.contains('-') && !id.starts_with('-') => {
                    let (id, state, text) = (id.to_string(), state.to_string(), text.to_string());
                    self.cases.push(CaseRow { id, state, text });
                }
                ("Drop reasons", ["", name, _, rules, ""]) if name.starts_with('`') => {
                    let rules = rules.split(", ").map(str::to_owned).collect();
                    self.reasons.push(Reason { name: name.trim_matches('`').to_owned(), rules });
                }
                _ => {}
            }
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for path in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            all.push(path);
        }
    }
    all.sort();
    all
}

fn fixture(dir: &Path) -> Fixture {
    let table: toml::Table = std::fs::read_to_string(dir.join("case.toml")).unwrap().parse().unwrap();
    let rules = table["rules"].as_array().unwrap().iter().map(|r| r.as_str().unwrap().to_owned()).collect();
    let folder = dir.file_name().unwrap().to_string_lossy().into_owned();
    Fixture { folder, case: table["case"].as_str().unwrap().to_owned(), rules }
}

/// The functions called with `(b, ` in the body of `process_burst`.
pub fn calls(pipeline: &str) -> Vec<String> {
    let body = pipeline.split_once("fn process_burst").map_or("", |(_, body)| body);
    let name = |before: &str| before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").to_owned();
    let lines = body.lines().filter_map(|line| Some(name(line.split_once("(b, ")?.0)));
    // The end of every line, a function of the pipeline's own, is read with the rest of its text.
    lines.filter(|name| !pipeline.contains(&format!("\nfn {name}<"))).collect()
}

/// The lines of rules of a source file. One at the top of a file of tests is that of every test in it
/// without one of its own.
pub fn claims(file: &str, text: &str) -> Vec<Claim> {
    let in_tests = file.contains("/tests/") || file.ends_with("tests.rs");
    let top: String = text.lines().filter_map(|l| l.strip_prefix("//!")).collect();
    let top = top.split_once("Rules:").map(|(_, list)| list);
    let mut all = Vec::new();
    if let (Some(list), false) = (top, in_tests) {
        all.push(Claim::new((file, 1, ""), Kind::Nothing, list));
    }
    let mut above = Above::default();
    let mut below = in_tests;
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        below |= line == "mod tests {";
        if above.takes(n + 1, line) {
            continue;
        }
        let name = line.split_once("fn ").map_or("", |(_, rest)| rest);
        let name = name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
        let kind = match (name.is_empty(), above.test, below) {
            (false, true, _) if !above.ignored => Kind::Test,
            (false, false, false) => Kind::Function,
            _ => Kind::Nothing,
        };
        let Above { doc, line, .. } = std::mem::take(&mut above);
        match doc.split_once("Rules:") {
            Some((_, list)) => all.push(Claim::new((file, line, name), kind, list)),
            None if kind == Kind::Test => all.extend(top.map(|list| Claim::new((file, n + 1, name), kind, list))),
            None => {}
        }
    }
    all
}

/// Doc comment and attributes above an item.
#[derive(Default)]
struct Above {
    doc: String,
    /// Where the rules stand.
    line: usize,
    test: bool,
    ignored: bool,
}

impl Above {
    fn takes(&mut self, at: usize, line: &str) -> bool {
        let doc = line.strip_prefix("///");
        if let Some(words) = doc {
            self.line = if words.contains("Rules:") { at } else { self.line };
            self.doc += words;
        }
        self.test |= line == "#[test]";
        self.ignored |= line.starts_with("#[ignore");
        doc.is_some() || line.starts_with("#[")
    }
}

/// `L4, L6 (until built).` Words in parentheses may hold anything but parentheses.
pub fn list_of_rules(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut all = Vec::new();
    let mut rest = text.trim();
    loop {
        let end = rest.find([',', '.', ' ']).unwrap_or(rest.len());
        let (id, mut after) = rest.split_at(end);
        let mut words = "";
        if let Some(open) = after.strip_prefix(" (") {
            (words, after) = open.split_once(')').ok_or("a parenthesis is open")?;
        }
        if id.is_empty() {
            return Err("an id is missing".to_owned());
        }
        all.push((id.to_owned(), words.to_owned()));
        rest = match after.as_bytes().first() {
            Some(b',') => after[1..].trim_start(),
            Some(b'.') | None => return Ok(all),
            _ => return Err(format!("after {id} there is no comma and no full stop")),
        };
    }
}

/// The rules a stage names to a trace as not built, and what `dvrctl` makes of them.
pub fn waiting(file: &str, text: &str) -> Vec<(String, String)> {
    let stage = file.starts_with("dataplane/src/stage/") && !file.contains("tests");
    let lines = text.lines().enumerate().filter(|(_, line)| {
        stage && line.contains("not_built(") || file == "control/src/explain/drops.rs" && line.contains("=> (\"")
    });
    let words = lines.flat_map(|(n, line)| line.split('"').skip(1).step_by(2).map(move |word| (n, word)));
    let ids = words.filter(|(_, word)| word.starts_with(|c: char| c.is_ascii_uppercase()));
    ids.flat_map(|(n, ids)| ids.split(' ').map(move |id| (format!("{file}:{}", n + 1), id.to_owned()))).collect()
}
