//! Updates over the API: the real daemon, and an agent on a box of files that only notes restarts.

use std::{
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use authenteon::update::{agent, protocol::Request, slots::Slot};
use hyper::Method;
use serde_json::Value;

use crate::{
    boxes::{Box_, Ca, ask, bundle},
    support::{Client, Daemon, known},
};

/// A daemon whose agent is this box's, and the agent.
fn daemon(the_box: &Box_) -> (Daemon, Arc<agent::Agent>) {
    let socket = the_box.path("system.sock");
    let agent = Arc::new(the_box.agent());
    let (served, path) = (Arc::clone(&agent), socket.clone());
    thread::spawn(move || agent::serve(&served, &path, None));
    until(|| UnixStream::connect(&socket).is_ok());
    let folder = the_box.path("update");
    (Daemon::with(&format!("[update]\nfolder = {folder:?}\nagent = {socket:?}\n")), agent)
}

fn until(mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60));
        thread::sleep(Duration::from_millis(20));
    }
}

/// The state once nothing is going on any more.
async fn settled(client: &Client) -> Value {
    let began = Instant::now();
    loop {
        let answer = client.get("/v1/system/update").await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        if !matches!(answer.body["state"].as_str().unwrap(), "receiving" | "installing") {
            return answer.body;
        }
        assert!(began.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Somebody who may update the box, known to it.
async fn administrator(daemon: &Daemon) -> Client {
    known(daemon, "boss", "administrator").await
}

fn empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_without_the_section_is_not_updated_this_way() {
    let daemon = Daemon::start();
    let boss = administrator(&daemon).await;
    for (method, path) in [
        (Method::GET, "/v1/system/update"),
        (Method::POST, "/v1/system/update"),
        (Method::DELETE, "/v1/system/update"),
        (Method::POST, "/v1/system/update/trial"),
    ] {
        let answer = boss.ask(&method, path, None).await;
        assert_eq!((answer.status, answer.problem()), (404, "no-updates"), "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_for_tests_says_so_in_its_health_and_another_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let boot = folder.path().join("boot.json");
    for test in [true, false] {
        let told = serde_json::json!({
            "slot": "a", "trial": false, "board": "qemu-virt", "version": "1.0.0", "build": 1, "test": test,
            "devices": {"autoboot": "1", "boot-a": "2", "boot-b": "3", "rootfs-a": "5", "rootfs-b": "6"},
        });
        std::fs::write(&boot, told.to_string()).unwrap();
        let (update, agent) = (folder.path().join("update"), folder.path().join("none.sock"));
        let section = format!("[update]\nfolder = {update:?}\nagent = {agent:?}\nboot = {boot:?}\n");
        let daemon = Daemon::with(&section);
        let live = Client::stranger(&daemon).get("/v1/health/live").await.body;
        assert_eq!(live["image"].as_str().is_some_and(|image| image.starts_with("TEST")), test, "{live}");
        assert_eq!(live["status"], "live");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_taken_in_installed_tried_and_discarded() {
    let ca = Ca::new("ours");
    let the_box = Box_::new(&ca);
    let (daemon, _agent) = daemon(&the_box);
    let boss = administrator(&daemon).await;
    assert_eq!(boss.get("/v1/system/update").await.body["state"], "idle");

    // A bad one says why, and leaves nothing behind.
    let path = "/v1/system/update";
    let answer = boss.ask(&Method::POST, path, Some(bundle(&Ca::new("theirs"), "1.1.0"))).await;
    assert_eq!(answer.status, 202, "{:?}", answer.body);
    let state = settled(&boss).await;
    assert_eq!(state["state"], "failed");
    assert!(state["error"].as_str().unwrap().contains("does not trust"), "{state}");
    until(|| empty(&the_box.path("update")));

    let answer = boss.ask(&Method::POST, path, Some(bundle(&ca, "1.1.0"))).await;
    assert_eq!(answer.status, 202, "{:?}", answer.body);
    let state = settled(&boss).await;
    assert_eq!((&state["state"], &state["pending"]), (&"ready".into(), &"1.1.0".into()));
    assert!(state["error"].is_null() && the_box.holds("b", "1.1.0"));
    until(|| empty(&the_box.path("update")));

    assert_eq!(boss.ask(&Method::DELETE, path, None).await.status, 204);
    assert_eq!(boss.get(path).await.body["state"], "idle");
    let answer = boss.ask(&Method::POST, "/v1/system/update/trial", None).await;
    assert_eq!((answer.status, answer.problem()), (409, "update-state"));

    boss.ask(&Method::POST, path, Some(bundle(&ca, "1.2.0"))).await;
    assert_eq!(settled(&boss).await["state"], "ready");
    assert_eq!(boss.ask(&Method::POST, "/v1/system/update/trial", None).await.status, 202);
    until(|| the_box.machine.trials.load(Ordering::SeqCst) == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_on_trial_tests_itself_and_is_kept() {
    let ca = Ca::new("ours");
    let mut the_box = Box_::new(&ca);
    the_box.install(&bundle(&ca, "1.1.0")).unwrap();
    the_box.start(Slot::B, true, "1.1.0");
    let (daemon, agent) = daemon(&the_box);
    until(|| ask(&agent, &Request::Status {}).unwrap().committed == Slot::B);
    let boss = administrator(&daemon).await;
    let state = boss.get("/v1/system/update").await.body;
    assert_eq!(
        (&state["state"], &state["slot"], &state["floor"]),
        (&"idle".into(), &"b".into(), &"1.1.0".into())
    );
}
