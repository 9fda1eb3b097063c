//! What the store costs, and what redb costs that keeps the same: in one run, on one disk.
//!
//! `cargo bench -p authenteon --bench store` measures durable enrolments, then stores of 10,000 and 100,000 people;
//! with `AUTHENTEON_LONG=yes` also one of 1,000,000, which takes half an hour and 12 GB. `-- durable` or `-- sizes`
//! measures one of the two, `-- --quick` less precisely. It writes below `TMPDIR`, and takes away what it wrote.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

mod child;
mod disk;
#[path = "../../examples/drawn/mod.rs"]
mod drawn;
mod engine;
mod enrolments;
mod memory;
mod ours;
mod redb;
mod report;
mod sizes;
mod workload;

use std::{env, process::ExitCode};

use self::engine::Failure;

/// The argument that no caller gives: the program runs itself for what has to happen in a process of its own.
const CHILD: &str = "--in-a-child";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((first, rest)) if first == CHILD => child::run(rest),
        _ => measure(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("store: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &[String]) -> Result<(), Failure> {
    let only_looks = arguments.iter().any(|argument| argument == "--list" || argument == "--test");
    let mut words = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
    let sizes = !only_looks && (words.peek().is_none() || words.any(|word| word == "sizes"));
    let rates = enrolments::measure()?;
    if sizes {
        let long = env::var("AUTHENTEON_LONG").is_ok_and(|value| value == "yes");
        for people in [10_000, 100_000].into_iter().chain(long.then_some(1_000_000)) {
            report::sizes(people, &sizes::measure(people)?);
        }
    }
    // Last, where it is found.
    report::rates(&rates);
    Ok(())
}
