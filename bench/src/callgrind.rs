//! Reads a callgrind profile: instructions in all, and those of each pipeline stage, callees included.
//!
//! The format is specified in the Valgrind manual, chapter "Callgrind Format Specification". Used
//! of it: `summary:`, the names behind `fn=` and `cfn=`, and the line after each `calls=`, whose
//! last column is the inclusive cost of those calls.

use std::collections::BTreeMap;

/// Where the stages are; what the pipeline calls in there is a stage.
const STAGES: &str = "dataplane::stage::";

/// One profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Instructions counted.
    pub total: u64,
    /// Those within a function called from outside the stages, by its name. A stage that the
    /// compiler has inlined is missing here.
    pub stages: BTreeMap<String, u64>,
}

/// Parses the text of a profile that counts instructions; what is wrong with it otherwise.
pub fn parse(text: &str) -> Result<Profile, String> {
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut caller, mut callee) = ("", "");
    let mut profile = Profile::default();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((key, value)) = line.split_once(['=', ':']) else { continue };
        match key {
            "events" if value.trim() != "Ir" => return Err(format!("events are `{}`, not `Ir`", value.trim())),
            "summary" => profile.total = number(value)?,
            "fn" => caller = name(&mut names, value),
            "cfn" => callee = name(&mut names, value),
            "calls" => {
                let cost = number(lines.next().and_then(|l| l.split_whitespace().nth(1)).unwrap_or("0"))?;
                if let (false, Some(stage)) = (caller.starts_with(STAGES), callee.strip_prefix(STAGES)) {
                    let stage = stage.rsplit("::").next().unwrap_or(stage);
                    *profile.stages.entry(stage.to_owned()).or_default() += cost;
                }
            }
            _ => {}
        }
    }
    if profile.total == 0 { Err("no instruction was counted".to_owned()) } else { Ok(profile) }
}

fn number(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("`{}` is not a count", text.trim()))
}

/// `(7) some::name` the first time, `(7)` after that.
fn name<'a>(names: &mut BTreeMap<&'a str, &'a str>, value: &'a str) -> &'a str {
    match value.split_once(") ") {
        Some((id, name)) => {
            names.insert(id, name);
            name
        }
        None => names.get(value.trim_end_matches(')')).copied().unwrap_or(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two bursts; `egress` is also called by another stage, which has that cost already.
    const TEXT: &str = "\
version: 1
cmd:  icount run l2out
positions: line
events: Ir
summary: 1000

fn=(1) dataplane::pipeline::process_burst
13 20
cfi=(4) /src/stage/decode.rs
cfn=(2) dataplane::stage::decode::decode
calls=2 30
14 600
cfn=(3) dataplane::stage::egress::egress
calls=2 7
+1 250
* 10

fn=(2)
30 400
cfn=(3)
calls=1 7
31 200
cfn=(5) memcpy
calls=9 0
+2
";

    #[test]
    fn stages_have_what_the_pipeline_spent_in_them() {
        let profile = parse(TEXT).unwrap();
        assert_eq!(profile.total, 1000);
        assert_eq!(profile.stages, BTreeMap::from([("decode".to_owned(), 600), ("egress".to_owned(), 250)]));
    }

    #[test]
    fn nothing_counted_and_other_events_are_errors() {
        assert_eq!(parse(&TEXT.replace("1000", "0")), Err("no instruction was counted".to_owned()));
        assert_eq!(parse(""), Err("no instruction was counted".to_owned()));
        assert!(parse(&TEXT.replace("events: Ir", "events: Ir Dr Dw")).is_err());
        assert!(parse(&TEXT.replace("14 600", "14 six")).unwrap_err().contains("six"));
    }
}
