//! What must hold between the rules and what names them.

use crate::read::{Claim, Fixture, Kind, Sources};

/// Words behind a rule that is not built, where code or test is about what happens until then.
const UNTIL_BUILT: &str = "until built";

/// What cases of our own are called after besides rules.
const OWN_CASES: [&str; 2] = ["ECN", "BURST"];

/// Every problem, in words: where, what, and what to do.
pub fn problems(s: &Sources) -> Vec<String> {
    let mut all = Vec::new();
    assert!(s.rules.len() > 2 && !s.stages.is_empty(), "the rules or the pipeline could not be read");
    for (n, rule) in s.rules.iter().enumerate() {
        if s.rules.iter().take(n).any(|r| r.id == rule.id) {
            all.push(format!("docs/behaviour.md has rule {} twice: an id has one meaning", rule.id));
        }
    }
    all.extend(s.claims.iter().flat_map(|c| claim(s, c)));
    all.extend(s.fixtures.iter().flat_map(|f| fixture(s, f)));
    all.extend(s.rules.iter().filter(|r| r.built).flat_map(|r| proof(s, &r.id)));
    all.extend(s.stages.iter().filter_map(|name| stage(s, name)));
    all.extend(cases(s));
    all.extend(reasons(s));
    all.extend(s.waiting.iter().filter_map(|(place, id)| waiting(s, place, id)));
    all
}

/// `Some(true)`: built, `Some(false)`: later, `None`: no such rule.
fn state(s: &Sources, id: &str) -> Option<bool> {
    s.rules.iter().find(|r| r.id == id).map(|r| r.built)
}

fn unknown(id: &str) -> String {
    format!("{id} is no rule of docs/behaviour.md: use an id from there")
}

fn claim(s: &Sources, c: &Claim) -> Vec<String> {
    let mut all = Vec::new();
    let at = |why: String| format!("{} ({}): {why}", c.place(), c.name);
    let rules = match &c.rules {
        Ok(rules) => rules,
        Err(why) => return vec![at(format!("cannot read the line `Rules:`, {why}: write `Rules: L4, L6 (words).`"))],
    };
    if c.kind == Kind::Nothing {
        all.push(at("a line `Rules:` stands above a function of the product or a test that runs".to_owned()));
    }
    for (id, words) in rules {
        match state(s, id) {
            None if id == "none" && !words.is_empty() && c.kind == Kind::Function => {}
            None => all.push(at(unknown(id))),
            Some(false) if words != UNTIL_BUILT => all.push(at(format!(
                "{id} is `later`: if it is built now, say so in docs/behaviour.md; if this is about what happens until \
                 then, write `{id} ({UNTIL_BUILT})`"
            ))),
            Some(true) if words == UNTIL_BUILT => {
                all.push(at(format!("{id} is built: test the rule itself and take `({UNTIL_BUILT})` away")));
            }
            Some(_) => {}
        }
    }
    all
}

fn fixture(s: &Sources, f: &Fixture) -> Vec<String> {
    let states: Vec<_> = f.rules.iter().map(|id| state(s, id)).collect();
    let plain = |id: &str| id.replace('-', "").to_ascii_uppercase();
    let stem = plain(f.case.rsplit_once('-').map_or("", |(stem, _)| stem));
    let own = OWN_CASES.contains(&&*stem) || s.rules.iter().any(|r| plain(&r.id) == stem);
    let mut all: Vec<_> = f
        .rules
        .iter()
        .zip(&states)
        .filter(|(_, s)| s.is_none())
        .map(|(id, _)| format!("{}: {}", f.folder, unknown(id)))
        .collect();
    if !own && !s.cases.iter().any(|c| c.id == f.case) {
        all.push(format!(
            "{}: docs/behaviour.md has no case {}: one of our own is called after its rule, `L4-7`",
            f.folder, f.case
        ));
    }
    if !states.contains(&Some(true)) {
        all.push(format!("{}: none of its rules is built: name the built rule it shows", f.folder));
    }
    all
}

/// A built rule needs code and a test.
fn proof(s: &Sources, id: &str) -> Vec<String> {
    let mut all = Vec::new();
    let claimed = |kind: Kind| s.claims.iter().any(|c| c.kind == kind && c.names(id));
    if !claimed(Kind::Function) {
        all.push(format!(
            "rule {id} is built, but no function names it: write `/// Rules: {id}.` above the one that does it, or make \
             the rule `later`"
        ));
    }
    if !claimed(Kind::Test) && !s.fixtures.iter().any(|f| f.rules.iter().any(|r| r == id)) {
        all.push(format!(
            "rule {id} is built, but no fixture and no unit test names it: write one, or put `/// Rules: {id}.` above the \
             test that shows it"
        ));
    }
    all
}

fn stage(s: &Sources, name: &str) -> Option<String> {
    let named = |c: &&Claim| c.kind == Kind::Function && c.name == name && c.file.starts_with("dataplane/src/stage/");
    s.claims.iter().find(named).is_none().then(|| {
        format!(
            "dataplane/src/pipeline.rs calls {name}, whose doc comment names no rule: end it with `Rules: T4, D5.`, or \
             `Rules: none (why).`"
        )
    })
}

/// A case that is built has a folder; a folder's case is built, or its row says what of it is.
fn cases(s: &Sources) -> Vec<String> {
    let mut all = Vec::new();
    for case in &s.cases {
        let folders: Vec<_> = s.fixtures.iter().filter(|f| f.case == case.id).map(|f| &*f.folder).collect();
        match &*case.state {
            "built" | "in part" if folders.is_empty() => all.push(format!(
                "case {} is {} in docs/behaviour.md, but pcap-fixtures has no folder for it: add it to the builder, or make \
                 the case `later`",
                case.id, case.state
            )),
            "built" | "in part" => {}
            "later" if !folders.is_empty() && !case.text.contains("built") => all.push(format!(
                "case {} is `later` in docs/behaviour.md and has the folder {}: make it `built`, or say in its row what is \
                 built",
                case.id,
                folders.join(", ")
            )),
            "later" => {}
            other => all.push(format!("case {}: the state `{other}` is none of built, later, in part", case.id)),
        }
    }
    all
}

fn reasons(s: &Sources) -> Vec<String> {
    let words = ["egress", "none", "any later rule"];
    let rules = s.reasons.iter().flat_map(|r| r.rules.iter().map(move |id| (&r.name, id)));
    let bad = rules.filter(|(_, id)| state(s, id).is_none() && !words.contains(&&***id));
    bad.map(|(name, id)| format!("docs/behaviour.md, drop reason {name}: {}", unknown(id))).collect()
}

/// Only a rule that is `later` is waited for. `V` stands for V0 to V4.
fn waiting(s: &Sources, place: &str, id: &str) -> Option<String> {
    let group: Vec<_> = s.rules.iter().filter(|r| r.id.trim_end_matches(|c: char| c.is_ascii_digit()) == id).collect();
    match state(s, id) {
        Some(false) => None,
        Some(true) => {
            Some(format!("{place}: says that {id} is not built, and docs/behaviour.md that it is: correct one"))
        }
        None if !group.is_empty() && group.iter().all(|r| !r.built) => None,
        None => Some(format!("{place}: {}", unknown(id))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::{self, calls, claims, list_of_rules};

    const BEHAVIOUR: &str = "## Rules\n- **D1** · built · One.\n- **L4** · built · Two.\n- **O4** · later · Three.\n\
        ## Drop reasons\n| `mtu` | Too long | L4, egress |\n\
        ## Cases\n| Case | State | What |\n|---|---|---|\n| EW-01 | built | A |\n| EW-02 | later | B |\n";
    const STAGE: &str = "/// Text. Rules: L4, D1 (half of it), O4 (until built).\npub fn output(b: u8) {}\n";
    const TESTS: &str = "/// Rules: D1.\n#[test]\nfn one() {}\n";

    fn sources(behaviour: &str, stage: &str, tests: &str, fixture: (&str, &str)) -> Sources {
        let mut s = Sources::default();
        s.behaviour(behaviour);
        s.stages = calls("fn process_burst() {\n    let x = output(b, x); // T1\n}");
        s.claims = claims("dataplane/src/stage/egress.rs", stage);
        s.claims.extend(claims("dataplane/src/stage/egress/tests.rs", tests));
        let rules = fixture.1.split(' ').map(str::to_owned).collect();
        s.fixtures = vec![Fixture { folder: "01-x".to_owned(), case: fixture.0.to_owned(), rules }];
        s
    }

    #[track_caller]
    fn assert_says(s: &Sources, parts: &[&str]) {
        let found = problems(s);
        assert_eq!(found.len(), parts.len(), "{found:#?}");
        for (found, part) in found.iter().zip(parts) {
            assert!(found.contains(part), "{found}\nwithout {part}");
        }
    }

    #[test]
    fn nothing_to_say_if_all_is_named() {
        assert_says(&sources(BEHAVIOUR, STAGE, TESTS, ("EW-01", "L4 O4")), &[]);
    }

    #[test]
    fn a_built_rule_needs_a_function_and_a_test() {
        let stage = "/// Rules: L4.\npub fn output() {}";
        assert_says(&sources(BEHAVIOUR, stage, TESTS, ("EW-01", "L4")), &["rule D1 is built, but no function"]);
        let s = sources(BEHAVIOUR, STAGE, "", ("EW-01", "L4"));
        assert_says(&s, &["rule D1 is built, but no fixture and no unit test"]);
        let ignored = "/// Rules: D1.\n#[test]\n#[ignore = \"slow\"]\nfn one() {}";
        let s = sources(BEHAVIOUR, STAGE, ignored, ("EW-01", "L4"));
        assert_says(&s, &["a test that runs", "rule D1 is built, but no fixture and no unit test"]);
    }

    #[test]
    fn a_line_at_the_top_of_a_file_of_tests_is_for_those_without_their_own() {
        let stage = "/// Rules: L4, D1.\npub fn output() {}";
        let tests =
            "//! Some words.\n//! Rules: D1. More.\n\n#[test]\nfn one() {}\n/// Rules: L4.\n#[test]\nfn two() {}";
        let s = sources(BEHAVIOUR, stage, tests, ("EW-01", "L4"));
        assert_says(&s, &[]);
        let named: Vec<_> = s.claims.iter().filter(|c| c.names("D1")).map(|c| &*c.name).collect();
        assert_eq!(named, ["output", "one"]);
        let s = sources(BEHAVIOUR, &format!("//! Rules: L4.\n{stage}"), TESTS, ("EW-01", "L4"));
        assert_says(&s, &["egress.rs:1 (): a line"]);
    }

    #[test]
    fn a_stage_names_its_rules() {
        let stage = format!("{STAGE}\npub fn other() {{}}").replace("fn output", "fn first");
        assert_says(&sources(BEHAVIOUR, &stage, TESTS, ("EW-01", "L4")), &["pipeline.rs calls output"]);
        let stage = STAGE.replace("pub fn output", "pub fn first") + "/// Rules: none (the books).\npub fn output() {}";
        assert_says(&sources(BEHAVIOUR, &stage, TESTS, ("EW-01", "L4")), &[]);
    }

    #[test]
    fn a_rule_that_is_later_is_named_with_the_words_for_it() {
        let stage = STAGE.replace(" (until built)", "");
        assert_says(&sources(BEHAVIOUR, &stage, TESTS, ("EW-01", "L4")), &["egress.rs:1 (output): O4 is `later`"]);
        let tests = TESTS.replace("D1", "D1 (until built)");
        assert_says(&sources(BEHAVIOUR, STAGE, &tests, ("EW-01", "L4")), &["tests.rs:1 (one): D1 is built"]);
        assert_says(&sources(BEHAVIOUR, STAGE, TESTS, ("EW-01", "O4")), &["01-x: none of its rules", "rule L4"]);
    }

    #[test]
    fn ids_nobody_knows() {
        let twice = BEHAVIOUR.replace("- **O4**", "- **D1** · built · Again.\n- **O4**");
        let s = sources(&twice, STAGE, TESTS, ("EW-01", "L4"));
        assert_says(&s, &["rule D1 twice"]);
        let tests = TESTS.to_owned() + "/// Rules: L40.\n#[test]\nfn two() {}";
        assert_says(&sources(BEHAVIOUR, STAGE, &tests, ("EW-01", "L4")), &["L40 is no rule"]);
        assert_says(&sources(BEHAVIOUR, STAGE, TESTS, ("EW-01", "L4 L41")), &["01-x: L41 is no rule"]);
        let behaviour = BEHAVIOUR.replace("L4, egress", "L9, egress");
        assert_says(&sources(&behaviour, STAGE, TESTS, ("EW-01", "L4")), &["drop reason mtu: L9"]);
    }

    #[test]
    fn a_line_that_is_above_nothing_or_cannot_be_read() {
        let tests = TESTS.to_owned() + "/// Rules: L4.\nfn helper() {}\n/// Rules: L4.\nstruct S;";
        let s = sources(BEHAVIOUR, STAGE, &tests, ("EW-01", "L4"));
        assert_says(&s, &["tests.rs:4 (helper): a line", "tests.rs:6 (): a line"]);
        for (bad, why) in [("L4,", "missing"), ("L4 L6.", "no comma"), ("L4 (a, L6.", "open"), ("L4,, L6.", "missing")]
        {
            assert!(list_of_rules(bad).unwrap_err().contains(why), "{bad}");
        }
        assert_eq!(list_of_rules("L4, D1 (a)").unwrap().len(), 2);
        assert_eq!(list_of_rules("L4 (a, b. c), D1. More.").unwrap()[0].1, "a, b. c");
    }

    #[test]
    fn what_is_built_is_not_waited_for() {
        let waiting = |line: &str| {
            let mut s = sources(BEHAVIOUR, STAGE, TESTS, ("EW-01", "L4"));
            s.waiting = read::waiting("dataplane/src/stage/egress.rs", line);
            s
        };
        assert_says(&waiting("    not_built(b, x, lane, \"O4\")"), &[]);
        assert_says(&waiting("    not_built(b, x, lane, \"O\")"), &[]);
        assert_says(&waiting("    not_built(b, x, lane, \"L4\")"), &["egress.rs:1: says that L4 is not built"]);
        assert_says(&waiting("    not_built(b, x, lane, \"O5\")"), &["egress.rs:1: O5 is no rule"]);
    }

    #[test]
    fn cases_and_folders() {
        let s = sources(BEHAVIOUR, STAGE, TESTS, ("EW-02", "L4"));
        assert_says(&s, &["case EW-01 is built", "case EW-02 is `later` in docs/behaviour.md and has the folder 01-x"]);
        let behaviour =
            BEHAVIOUR.replace("| B |", "| B (drop built) |").replace("| EW-01 | built |", "| EW-01 | later |");
        assert_says(&sources(&behaviour, STAGE, TESTS, ("EW-02", "L4")), &[]);
        let s = sources(&behaviour, STAGE, TESTS, ("EW-09", "L4"));
        assert_says(&s, &["01-x: docs/behaviour.md has no case EW-09"]);
        assert_says(&sources(&behaviour, STAGE, TESTS, ("L4-7", "L4")), &[]);
        let behaviour = BEHAVIOUR.replace("| EW-01 | built |", "| EW-01 | done |");
        assert_says(&sources(&behaviour, STAGE, TESTS, ("EW-01", "L4")), &["the state `done`"]);
    }
}
