//! The module's side of the conversation, with agents that do what they like.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use super::*;

/// An agent that reads one question, says these lines, and then waits until it is hung up on.
struct Agent {
    _folder: tempfile::TempDir,
    path: PathBuf,
    asked: JoinHandle<String>,
}

fn agent(said: Vec<Vec<u8>>, hangs_up: bool) -> Agent {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut question = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut question).unwrap();
        for piece in said {
            // Whoever has heard enough has gone.
            let _ = stream.write_all(&piece);
        }
        if !hangs_up {
            let _ = stream.read(&mut [0]);
        }
        question
    });
    Agent { _folder: folder, path, asked }
}

fn words(words: &[Word]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.line().unwrap()).collect()
}

/// What comes of it within so long, and what is shown.
fn outcome(agent: &Agent, within: Duration) -> (Outcome, Vec<String>) {
    let mut shown = Vec::new();
    let login = "alice".parse().unwrap();
    let mut show = |what: Shown<'_>| {
        shown.push(format!("{what:?}"));
        true
    };
    let outcome = ask(&options(&agent.path), login, Instant::now() + within, None, &mut show);
    (outcome, shown)
}

/// Asks who listens there, when that is whoever runs this test.
fn options(socket: &Path) -> Options {
    let own = User::from_uid(nix::unistd::geteuid()).unwrap().unwrap();
    Options { socket: socket.to_owned(), agent: own.name, ..Options::default() }
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn who_is_accepted_was_asked_about_and_told_what_to_do() {
    let agent = agent(
        words(&[
            Word::PlaceFinger {},
            Word::Again { hint: "press harder".into() },
            Word::PlaceFinger {},
            Word::Accepted { ticket: None, no_ticket: None },
        ]),
        false,
    );
    let (outcome, shown) = outcome(&agent, LONG);
    assert_eq!(outcome, Outcome::Accepted(None));
    assert_eq!(shown, ["Place", "Hint(\"press harder\")", "Place"]);
    let question = Question::read(agent.asked.join().unwrap().as_bytes()).unwrap();
    assert_eq!(question.login.as_str(), "alice");
    assert!((50_000..=60_000).contains(&question.wait_ms), "{}", question.wait_ms);
}

#[test]
fn a_refusal_is_one_and_its_reason_is_shown() {
    let hint = Some("locked out".to_owned());
    let agent = agent(words(&[Word::PlaceFinger {}, Word::Refused { hint }]), false);
    let (outcome, shown) = outcome(&agent, LONG);
    assert_eq!(outcome, Outcome::Refused);
    assert_eq!(shown, ["Place", "Refusal(\"locked out\")"]);
}

#[test]
fn nothing_else_than_an_accept_is_an_accept() {
    let accepted = Word::Accepted { ticket: None, no_ticket: None }.line().unwrap();
    for (said, hangs_up) in [
        // The words of an accept without the end of their line, cut, behind something else, and in something else.
        (vec![accepted.trim_ascii_end().to_vec()], true),
        (vec![accepted[..9].to_vec()], true),
        (vec![b"hello\n".to_vec(), accepted.clone()], false),
        (vec![br#"{"word":"again","hint":"accepted"}"#.to_vec()], true),
        (vec![vec![b'x'; LONGEST + 1000]], false),
        (vec![], true),
        (
            words(&[Word::Unavailable { why: Why::Busy }, Word::Accepted { ticket: None, no_ticket: None }]),
            false,
        ),
    ] {
        let agent = agent(said.clone(), hangs_up);
        let (outcome, _) = outcome(&agent, LONG);
        assert!(matches!(outcome, Outcome::Away(_)), "{said:?}: {outcome:?}");
    }
}

#[test]
fn words_come_whole_however_they_are_cut() {
    let said: Vec<u8> =
        words(&[Word::PlaceFinger {}, Word::Accepted { ticket: None, no_ticket: None }]).concat();
    let agent = agent(said.iter().map(|byte| vec![*byte]).collect(), false);
    assert_eq!(outcome(&agent, LONG), (Outcome::Accepted(None), vec!["Place".to_owned()]));
}

#[test]
fn an_agent_that_says_nothing_more_is_given_up_in_time() {
    let agent = agent(words(&[Word::PlaceFinger {}]), false);
    let began = Instant::now();
    let (outcome, _) = outcome(&agent, Duration::from_millis(300));
    assert_eq!(outcome, Outcome::Away(Why::NoFinger.to_string()));
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    // It noticed that it was hung up on, or this would not end.
    agent.asked.join().unwrap();
}

#[test]
fn an_accept_that_is_read_too_late_is_none() {
    let agent =
        agent(words(&[Word::PlaceFinger {}, Word::Accepted { ticket: None, no_ticket: None }]), false);
    let login = "alice".parse().unwrap();
    let deadline = Instant::now() + Duration::from_millis(200);
    // Somebody goes away from a prompt, and presses Enter when he is back.
    let mut show = |_: Shown<'_>| {
        std::thread::sleep(Duration::from_millis(400));
        true
    };
    let outcome = ask(&options(&agent.path), login, deadline, None, &mut show);
    assert_eq!(outcome, Outcome::Away(Why::NoFinger.to_string()));
}

#[test]
fn without_an_agent_the_next_module_is_asked_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let login: Login = "alice".parse().unwrap();
    let none = options(&folder.path().join("none"));
    let nobody = ask(&none, login.clone(), began + LONG, None, &mut |_| true);
    assert!(matches!(&nobody, Outcome::Away(why) if why.contains("no agent")), "{nobody:?}");
    let endless = options(&PathBuf::from("/").join("x".repeat(300)));
    assert!(matches!(ask(&endless, login, began + LONG, None, &mut |_| true), Outcome::Away(_)));
    assert!(began.elapsed() < LONG / 2);
}

#[test]
fn an_interrupt_ends_the_waiting() {
    let agent = agent(words(&[Word::PlaceFinger {}]), false);
    let interrupt = Interrupt::listen().unwrap();
    let login = "alice".parse().unwrap();
    // Ctrl-C, once the person was told what to do.
    let mut show = |_: Shown<'_>| nix::sys::signal::raise(nix::sys::signal::Signal::SIGINT).is_ok();
    let outcome = ask(&options(&agent.path), login, Instant::now() + LONG, Some(&interrupt), &mut show);
    assert_eq!(outcome, Outcome::Away("interrupted".to_owned()));
}

#[test]
fn at_a_prompt_ctrl_c_is_the_program_s_and_a_prompt_that_was_ended_ends_the_waiting() {
    let agent = agent(words(&[Word::PlaceFinger {}]), false);
    let interrupt = Interrupt::listen().unwrap();
    let options = Options { enter: true, ..options(&agent.path) };
    let mut kept = true;
    let mut show = |_: Shown<'_>| {
        kept = SigSet::thread_get_mask().unwrap().contains(Signal::SIGINT);
        // As a program's conversation says when Ctrl-C was pressed in it.
        false
    };
    let login = "alice".parse().unwrap();
    let outcome = ask(&options, login, Instant::now() + LONG, Some(&interrupt), &mut show);
    assert_eq!(outcome, Outcome::Away("interrupted".to_owned()));
    assert!(!kept, "the prompt did not see Ctrl-C");
    assert!(SigSet::thread_get_mask().unwrap().contains(Signal::SIGINT), "the waiting listens again");
}

#[test]
fn nobody_but_the_agent_and_root_is_believed() {
    assert!(trusted(0, || None) && trusted(64_123, || Some(64_123)));
    for (peer, agent) in [(5501, Some(64_123)), (5501, None), (5501, Some(0))] {
        assert!(!trusted(peer, || agent), "{peer} {agent:?}");
    }
    assert_eq!((user("root"), user("nobody-of-this-name")), (Some(0), None));
}

#[test]
fn a_ticket_is_taken_with_the_accept_where_one_is_wanted_and_its_want_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    std::fs::write(&cache, "ticket").unwrap();
    std::fs::set_permissions(&cache, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let why = Some("Kerberos is away".to_owned());
    for (given, no_ticket, wanted) in
        [(Some(cache), None, true), (None, why, true), (None, None, true), (None, None, false)]
    {
        let agent =
            agent(words(&[Word::Accepted { ticket: given.clone(), no_ticket: no_ticket.clone() }]), false);
        let ticket = if wanted { Ticket::Wanted } else { Ticket::No };
        let options = Options { ticket, ..options(&agent.path) };
        let login = "alice".parse().unwrap();
        let Outcome::Accepted(got) = ask(&options, login, Instant::now() + LONG, None, &mut |_| true) else {
            panic!("not accepted");
        };
        let expected = (wanted, given.is_some(), no_ticket.as_ref());
        let why = got.as_ref().and_then(|got| got.as_ref().err()).filter(|_| no_ticket.is_some());
        assert_eq!((got.is_some(), matches!(&got, Some(Ok(_))), why), expected);
        assert_eq!(Question::read(agent.asked.join().unwrap().as_bytes()).unwrap().ticket, wanted);
    }
}
