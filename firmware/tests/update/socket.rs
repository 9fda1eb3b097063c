//! The agent on its socket, as the daemon meets it.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use authenteon::update::{
    agent,
    link::{Link, LinkError},
    protocol::{Kind, Request},
};

use crate::support::{Box_, Ca, bundle};

/// An agent that answers on a socket as long as the test runs.
fn served(the_box: &Box_) -> Link {
    let socket = the_box.path("system.sock");
    let agent = Arc::new(the_box.agent());
    let path = socket.clone();
    thread::spawn(move || agent::serve(&agent, &path, None));
    let began = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        assert!(began.elapsed() < Duration::from_secs(30));
        thread::sleep(Duration::from_millis(10));
    }
    Link::new(socket)
}

fn line(socket: &Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}

#[test]
fn an_update_is_installed_and_tried_over_the_socket() {
    let ca = Ca::new("ours");
    let the_box = Box_::new(&ca);
    let link = served(&the_box);
    let mut told = 0;
    let status = link.ask(&the_box.incoming(&bundle(&ca, "1.1.0")), &mut |_| told += 1).unwrap();
    assert!(told > 5 && status.pending.is_some());
    link.ask(&Request::Reboot { trial: true }, &mut |_| {}).unwrap();
    let began = Instant::now();
    while the_box.machine.trials.load(Ordering::SeqCst) == 0 {
        assert!(began.elapsed() < Duration::from_secs(30));
        thread::sleep(Duration::from_millis(20));
    }
    let why = link.ask(&Request::Discard {}, &mut |_| {}).unwrap_err();
    assert!(matches!(why, LinkError::Refused(why) if why.kind == Kind::Busy), "the machine is going down");
}

#[test]
fn what_is_no_request_is_refused_and_the_socket_is_for_its_group() {
    let the_box = Box_::new(&Ca::new("ours"));
    let link = served(&the_box);
    let socket = the_box.path("system.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    for request in [
        &b"\n"[..],
        b"{}\n",
        b"{\"install\":{}}\n",
        b"{\"erase\":{}}\n",
        b"{\"status\":{\"x\":1}}\n",
        b"\xff\n",
        &[b' '; 20_000],
    ] {
        let answer = line(&socket, request);
        assert!(answer.starts_with(r#"{"error":{"kind":"request""#), "{answer}");
    }
    assert!(line(&socket, b"{\"status\":{}}\n").starts_with(r#"{"done":{"slot":"a""#));
    link.ask(&Request::Status {}, &mut |_| {}).unwrap();
}
