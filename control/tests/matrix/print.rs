//! The matrix as text.

use crate::read::{Claim, Kind, Sources};
use std::collections::BTreeSet;
use std::fmt::Write;

/// docs/matrix.md: numbers of fixtures and files of tests, so that it changes seldom.
pub fn page(s: &Sources) -> String {
    let mut text = "# Rules, and what shows them\n\n\
        Written by `MATRIX=write cargo test -p control --test matrix`, checked by the same command without\n\
        `MATRIX=write`; never edited by hand. Rules are those of [behaviour.md](behaviour.md). Where: functions that\n\
        name the rule. Fixtures: numbers of folders in `pcap-fixtures/`. Unit tests: files whose tests name it; their\n\
        names: `cargo test -p control --test matrix -- --nocapture`.\n\n\
        | Rule | State | Where | Fixtures | Unit tests |\n|---|---|---|---|---|\n"
        .to_owned();
    for rule in &s.rules {
        let state = if rule.built { "built" } else { "later" };
        let of = |kind, name: fn(&Claim) -> String| -> Vec<_> {
            let claims = s.claims.iter().filter(|c| c.kind == kind && c.names(&rule.id));
            claims.map(name).collect::<BTreeSet<_>>().into_iter().collect()
        };
        let code = of(Kind::Function, function).join(", ");
        let tests = of(Kind::Test, file).join(", ");
        let fixtures = folders(s, &rule.id).map(number).collect::<Vec<_>>().join(" ");
        let row = format!("| {} | {state} | {code} | {fixtures} | {tests} |", rule.id);
        writeln!(text, "{}", row.replace("|  |", "| |").replace("|  |", "| |")).unwrap();
    }
    text += "\n## Cases\n\n| Case | State | Fixtures |\n|---|---|---|\n";
    for case in s.cases.iter().filter(|c| s.fixtures.iter().any(|f| f.case == c.id)) {
        let fixtures = s.fixtures.iter().filter(|f| f.case == case.id).map(|f| number(&f.folder));
        writeln!(text, "| {} | {} | {} |", case.id, case.state, fixtures.collect::<Vec<_>>().join(" ")).unwrap();
    }
    text
}

/// Every name, rule by rule.
pub fn in_full(s: &Sources) -> String {
    let mut text = String::new();
    for rule in &s.rules {
        writeln!(text, "{} ({})", rule.id, if rule.built { "built" } else { "later" }).unwrap();
        for (kind, word) in [(Kind::Function, "does it "), (Kind::Test, "test    ")] {
            for c in s.claims.iter().filter(|c| c.kind == kind && c.names(&rule.id)) {
                writeln!(text, "    {word} {} {}", c.place(), c.name).unwrap();
            }
        }
        folders(s, &rule.id).for_each(|f| writeln!(text, "    fixture  {f}").unwrap());
    }
    text
}

fn folders<'s>(s: &'s Sources, id: &'s str) -> impl Iterator<Item = &'s str> {
    s.fixtures.iter().filter(move |f| f.rules.iter().any(|r| r == id)).map(|f| &*f.folder)
}

fn number(folder: &str) -> &str {
    folder.split('-').next().unwrap_or(folder)
}

/// The module, without what all have in common.
fn file(c: &Claim) -> String {
    let short = c.file.trim_end_matches(".rs").trim_end_matches("/mod").trim_end_matches("/main");
    let short = short.replace("dataplane/src/stage/", "").replace("/src/", "/").replace("/tests", "");
    if c.file.contains("/tests/") && !c.file.contains("/src/") { format!("{short} (tests)") } else { short }
}

fn function(c: &Claim) -> String {
    let file = file(c);
    if file.rsplit('/').next() == Some(&c.name) { format!("`{file}`") } else { format!("`{file}::{}`", c.name) }
}
