//! The figures, side by side, each with how many times redb's ours is.

use std::time::Duration;

use crate::{
    child::Served,
    enrolments::Rates,
    sizes::{Both, Figures, Taken},
};

/// Prints how many are enrolled a second.
pub(crate) fn rates(rates: &[Rates]) {
    for Rates { writers, ours, redb } in rates {
        println!(
            "durable enrolments, {writers} at once: {ours:.0} a second, redb {redb:.0}; ours / redb: {:.2}",
            ours / redb
        );
    }
}

/// Prints what a store of so many people takes.
pub(crate) fn sizes(people: u64, both: &Both) {
    let Both { ours, redb } = both;
    println!("\n{people} people of one finger, {} bytes each in the store", ours.filled.finger_bytes);
    println!("{:<50} {:>10} {:>10} {:>12}", "", "ours", "redb", "ours / redb");
    let row = |what: &str, of: &dyn Fn(&Figures) -> f64, digits| line(what, of(ours), of(redb), digits);
    let each = |bytes: u64| bytes as f64 / people as f64;
    row("filling, people a second", &|f| people as f64 / f.filled.filled.as_secs_f64(), 0);
    for (after, of) in STARTS {
        row(&format!("after {after}: everybody served, s"), &|f| seconds(of(f).served), 2);
        row(&format!("after {after}: processors worked for it, s"), &|f| seconds(of(f).worked), 2);
        row(&format!("after {after}: enrolling, too, s"), &|f| seconds(of(f).enrolling), 2);
        row(&format!("after {after}: memory, served, B a person"), &|f| each(of(f).memory_served), 0);
        row(&format!("after {after}: memory, enrolling, B a person"), &|f| each(of(f).memory_enrolling), 0);
        row(&format!("after {after}: memory at most, B a person"), &|f| each(of(f).memory_peak), 0);
    }
    for (when, of) in DISKS {
        row(&format!("disk, {when}, B a person"), &|f| each(of(f).all), 0);
        for (part, bytes) in &of(ours).parts {
            println!("{:<50} {:>10.0}", format!("  of it {part}"), each(*bytes));
        }
    }
    row("everything verified, s", &|f| seconds(f.tidied.verified), 2);
    row("compacted, s", &|f| seconds(f.tidied.compacted), 2);
}

type Of<T> = fn(&Figures) -> &T;
const STARTS: [(&str, Of<Served>); 2] = [("a clean stop", |f| &f.after_stop), ("kill -9", |f| &f.after_kill)];
const DISKS: [(&str, Of<Taken>); 2] = [("filled", |f| &f.disk_filled), ("compacted", |f| &f.disk_tidied)];

fn line(what: &str, ours: f64, redb: f64, digits: usize) {
    println!("{what:<50} {ours:>10.digits$} {redb:>10.digits$} {:>12.2}", ours / redb);
}

fn seconds(took: Duration) -> f64 {
    took.as_secs_f64()
}
