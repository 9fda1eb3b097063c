//! Trial, commit and rollback, start by start.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use authenteon::update::{
    protocol::{Kind, Request},
    slots::Slot,
};

use crate::support::{Box_, Ca, ask, bundle};

/// A box whose slot B holds 1.1.0, started in it on trial.
fn on_trial(ca: &Ca) -> Box_ {
    let mut the_box = Box_::new(ca);
    the_box.install(&bundle(ca, "1.1.0")).unwrap();
    ask(&the_box.agent(), &Request::Reboot { trial: true }).unwrap();
    the_box.start(Slot::B, true, "1.1.0");
    the_box
}

#[test]
fn the_floor_rises_at_the_commit_and_not_before() {
    let ca = Ca::new("ours");
    let mut the_box = on_trial(&ca);
    let floor = |the_box: &Box_| std::fs::read_to_string(the_box.path("state/version-floor")).unwrap();
    assert_eq!(floor(&the_box), "1.0.0\n");
    let agent = the_box.agent();
    let status = ask(&agent, &Request::Commit {}).unwrap();
    assert_eq!((status.committed, status.trial, status.pending), (Slot::B, false, None));
    assert_eq!(floor(&the_box), "1.1.0\n");
    // What is committed is what starts, and what was before is not taken any more.
    the_box.start(Slot::B, false, "1.1.0");
    assert_eq!(the_box.install(&bundle(&ca, "1.0.9")).unwrap_err().kind, Kind::Older);
    the_box.install(&bundle(&ca, "1.2.0")).unwrap();
    assert!(the_box.holds("a", "1.2.0") && the_box.holds("b", "1.1.0"));
}

#[test]
fn a_commit_changes_one_sector_of_the_boot_order_and_nothing_else() {
    let ca = Ca::new("ours");
    let the_box = on_trial(&ca);
    let before = the_box.everything();
    ask(&the_box.agent(), &Request::Commit {}).unwrap();
    let after = the_box.everything();
    assert_eq!(after[1..], before[1..]);
    let changed: Vec<usize> =
        (0..before[0].len()).filter(|&i| before[0][i] != after[0][i]).map(|i| i / 512).collect();
    assert_eq!(changed, [100, 100], "two digits in one sector");
    ask(&the_box.agent(), &Request::Commit {}).unwrap();
    assert!(the_box.everything() == after, "a second commit changes nothing");
}

#[test]
fn a_trial_that_was_not_committed_is_known_as_rolled_back() {
    let ca = Ca::new("ours");
    let mut the_box = on_trial(&ca);
    the_box.start(Slot::A, false, "1.0.0");
    let status = ask(&the_box.agent(), &Request::Status {}).unwrap();
    assert_eq!(
        (status.slot, status.committed, status.floor.to_string().as_str()),
        (Slot::A, Slot::A, "1.0.0")
    );
    assert!(status.pending.unwrap().tried);
    assert_eq!(ask(&the_box.agent(), &Request::Commit {}).unwrap_err().kind, Kind::State);
}

#[test]
fn during_a_trial_the_way_back_is_not_written_over() {
    let ca = Ca::new("ours");
    let the_box = on_trial(&ca);
    let before = the_box.everything();
    assert_eq!(the_box.install(&bundle(&ca, "1.2.0")).unwrap_err().kind, Kind::State);
    for request in [Request::Discard {}, Request::Reboot { trial: true }] {
        assert_eq!(ask(&the_box.agent(), &request).unwrap_err().kind, Kind::State);
    }
    assert!(the_box.everything() == before);
}

#[test]
fn a_power_cut_between_the_commit_and_its_bookkeeping_is_made_good_at_the_next_start() {
    let ca = Ca::new("ours");
    let mut the_box = on_trial(&ca);
    std::fs::write(the_box.path("autoboot"), crate::support::autoboot_fat(Slot::B)).unwrap();
    the_box.start(Slot::B, false, "1.1.0");
    let status = ask(&the_box.agent(), &Request::Status {}).unwrap();
    assert_eq!((status.pending, status.floor.to_string().as_str()), (None, "1.1.0"));
    assert_eq!(std::fs::read_to_string(the_box.path("state/version-floor")).unwrap(), "1.1.0\n");
}

#[test]
fn a_trial_without_a_commit_restarts_the_machine_and_one_with_it_does_not() {
    let ca = Ca::new("ours");
    for commit in [false, true] {
        let the_box = on_trial(&ca);
        the_box.machine.uptime_millis.store(179_000, Ordering::SeqCst);
        let agent = Arc::new(the_box.agent());
        let watched = Arc::clone(&agent);
        std::thread::spawn(move || watched.watch());
        if commit {
            ask(&agent, &Request::Commit {}).unwrap();
        }
        the_box.machine.uptime_millis.store(180_000, Ordering::SeqCst);
        let began = Instant::now();
        let patience = Duration::from_secs(if commit { 3 } else { 30 });
        while the_box.machine.restarts.load(Ordering::SeqCst) == 0 && began.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(the_box.machine.restarts.load(Ordering::SeqCst), u32::from(!commit), "commit: {commit}");
        assert_eq!(the_box.machine.trials.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn the_keyring_is_rotated_by_a_bundle_that_the_old_key_signed() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let mut the_box = on_trial(&old);
    // The root file system of 1.1.0 brings another keyring; it counts from the start in it on.
    std::fs::write(the_box.path("keyring.pem"), &new.pem).unwrap();
    ask(&the_box.agent(), &Request::Commit {}).unwrap();
    the_box.start(Slot::B, false, "1.1.0");
    assert_eq!(the_box.install(&bundle(&old, "1.2.0")).unwrap_err().kind, Kind::Signature);
    the_box.install(&bundle(&new, "1.2.0")).unwrap();
    // With both in it, both are taken.
    std::fs::write(the_box.path("keyring.pem"), format!("{}{}", old.pem, new.pem)).unwrap();
    the_box.install(&bundle(&old, "1.3.0")).unwrap();
}
