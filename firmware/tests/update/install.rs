//! What an installation does when all is well, and when it may not.

use std::{fs, os::unix::fs::symlink, sync::Mutex};

use authenteon::update::{
    install::Step,
    protocol::{Kind, Request},
    slots::Slot,
};

use crate::support::{Box_, Ca, ask, bundle};

#[test]
fn a_good_bundle_is_in_the_other_slot_and_the_running_one_is_untouched() {
    let ca = Ca::new("ours");
    let the_box = Box_::new(&ca);
    let before = the_box.everything();
    let steps = Mutex::new(Vec::new());
    let agent = the_box.agent();
    let request = the_box.incoming(&bundle(&ca, "1.1.0"));
    let status = agent.handle(&request, &mut |p| steps.lock().unwrap().push(p)).unwrap();
    assert!(the_box.holds("b", "1.1.0") && the_box.holds("a", "1.0.0"));
    assert_eq!(the_box.everything()[0], before[0], "the boot order is as it was");
    let pending = status.pending.unwrap();
    assert_eq!(
        (pending.slot, pending.version.to_string().as_str(), pending.tried),
        (Slot::B, "1.1.0", false)
    );
    assert_eq!(
        (status.committed, status.trial, status.floor.to_string().as_str()),
        (Slot::A, false, "1.0.0")
    );
    let steps = steps.into_inner().unwrap();
    let mut order: Vec<Step> = steps.iter().map(|p| p.step).collect();
    order.dedup();
    assert_eq!(
        order,
        [Step::Verifying, Step::WritingRoot, Step::ReadingBack, Step::WritingBoot, Step::ReadingBack]
    );
    assert_eq!(steps.last().unwrap().percent, 100);
}

#[test]
fn bundles_are_taken_from_the_update_folder_and_from_nowhere_else() {
    let ca = Ca::new("ours");
    let the_box = Box_::new(&ca);
    let agent = the_box.agent();
    let outside = the_box.path("outside.raucb");
    fs::write(&outside, bundle(&ca, "1.1.0")).unwrap();
    let inside = the_box.path("update");
    symlink(&outside, inside.join("link")).unwrap();
    fs::create_dir(inside.join("folder")).unwrap();
    let pipe = inside.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [
        outside,
        inside.join("../outside.raucb"),
        inside.join("link"),
        inside.join("folder"),
        pipe,
        inside.join("none"),
        inside.join(".."),
    ] {
        let why = ask(&agent, &Request::Install { path: path.clone() }).unwrap_err();
        assert!(matches!(why.kind, Kind::Request | Kind::Io), "{path:?}: {why:?}");
    }
    assert!(!the_box.holds("b", "1.1.0"));
}

#[test]
fn two_at_a_time_are_refused() {
    let ca = Ca::new("ours");
    let the_box = Box_::new(&ca);
    let agent = the_box.agent();
    let request = the_box.incoming(&bundle(&ca, "1.1.0"));
    let mut second = None;
    agent
        .handle(&request, &mut |_| {
            second.get_or_insert_with(|| ask(&agent, &request).unwrap_err().kind);
            assert!(ask(&agent, &Request::Status {}).is_ok(), "questions are answered meanwhile");
        })
        .unwrap();
    assert_eq!(second, Some(Kind::Busy));
}

#[test]
fn a_discarded_update_cannot_boot_and_cannot_be_tried() {
    let ca = Ca::new("ours");
    let the_box = Box_::new(&ca);
    the_box.install(&bundle(&ca, "1.1.0")).unwrap();
    let agent = the_box.agent();
    assert_eq!(ask(&agent, &Request::Discard {}).unwrap().pending, None);
    assert_eq!(the_box.read("boot-b")[..512], [0; 512]);
    assert_eq!(ask(&agent, &Request::Reboot { trial: true }).unwrap_err().kind, Kind::State);
    assert!(the_box.holds("a", "1.0.0"));
}

#[test]
fn an_installation_that_fails_half_way_leaves_a_slot_that_cannot_boot() {
    let ca = Ca::new("ours");
    let the_box = Box_::new(&ca);
    the_box.install(&bundle(&ca, "1.1.0")).unwrap();
    // A manifest that its signer got wrong: the digest of the root file system is not its own.
    let parts = crate::support::parts("1.2.0");
    let at = parts.manifest.find("[image.rootfs]\nsha256=").unwrap() + 22;
    let mut wrong = parts.manifest.clone();
    wrong.replace_range(at..at + 4, if wrong[at..].starts_with("0000") { "1111" } else { "0000" });
    let bundle = parts.join(&ca.signer().sign(wrong.as_bytes()).unwrap());
    let why = the_box.install(&bundle).unwrap_err();
    assert_eq!(why.kind, Kind::Damaged, "{why}");
    let status = ask(&the_box.agent(), &Request::Status {}).unwrap();
    assert_eq!((status.pending, &the_box.read("boot-b")[..512]), (None, &[0_u8; 512][..]));
    assert!(the_box.holds("a", "1.0.0"));
}
