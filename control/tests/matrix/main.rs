//! The matrix of rules: each rule of docs/behaviour.md with the functions, fixtures and unit tests
//! that name it. A rule that is `built` without a function or without a test fails here, and so does
//! a name nobody knows. How a function, a test or a fixture names its rules: docs/testing.md.
//!
//!     cargo test -p control --test matrix -- --nocapture              # prints it
//!     MATRIX=write cargo test -p control --test matrix                # writes docs/matrix.md

#![allow(clippy::unwrap_used, reason = "a test")]

mod check;
mod print;
mod read;

use read::Sources;
use std::path::Path;

#[test]
fn every_built_rule_has_a_function_and_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sources = Sources::of_repository(&root);
    println!("{}", print::in_full(&sources));
    let mut problems = check::problems(&sources);
    let (path, want) = (root.join("docs/matrix.md"), print::page(&sources));
    if std::env::var("MATRIX").is_ok_and(|v| v == "write") {
        std::fs::write(&path, &want).unwrap();
    }
    if std::fs::read_to_string(&path).unwrap_or_default() != want {
        problems.push(
            "docs/matrix.md is not what the sources say now: run `MATRIX=write cargo test -p control --test matrix` \
             and commit it"
                .to_owned(),
        );
    }
    assert!(problems.is_empty(), "{} problems\n- {}", problems.len(), problems.join("\n- "));
}
