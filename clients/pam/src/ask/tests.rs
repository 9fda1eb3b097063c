//! The module's side of the conversation, with agents that do what they like.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

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
    let mut show = |what: Shown<'_>| shown.push(format!("{what:?}"));
    let outcome = ask(&agent.path, login, Instant::now() + within, None, &mut show);
    (outcome, shown)
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn who_is_accepted_was_asked_about_and_told_what_to_do() {
    let agent = agent(
        words(&[
            Word::PlaceFinger {},
            Word::Again { hint: "press harder".into() },
            Word::PlaceFinger {},
            Word::Accepted { ticket: None },
        ]),
        false,
    );
    let (outcome, shown) = outcome(&agent, LONG);
    assert_eq!(outcome, Outcome::Accepted);
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
    let accepted = Word::Accepted { ticket: None }.line().unwrap();
    for (said, hangs_up) in [
        // The words of an accept without the end of their line, cut, behind something else, and in something else.
        (vec![accepted.trim_ascii_end().to_vec()], true),
        (vec![accepted[..9].to_vec()], true),
        (vec![b"hello\n".to_vec(), accepted.clone()], false),
        (vec![br#"{"word":"again","hint":"accepted"}"#.to_vec()], true),
        (vec![vec![b'x'; LONGEST + 1000]], false),
        (vec![], true),
        (words(&[Word::Unavailable { why: Why::Busy }, Word::Accepted { ticket: None }]), false),
    ] {
        let agent = agent(said.clone(), hangs_up);
        let (outcome, _) = outcome(&agent, LONG);
        assert!(matches!(outcome, Outcome::Away(_)), "{said:?}: {outcome:?}");
    }
}

#[test]
fn words_come_whole_however_they_are_cut() {
    let said: Vec<u8> = words(&[Word::PlaceFinger {}, Word::Accepted { ticket: None }]).concat();
    let agent = agent(said.iter().map(|byte| vec![*byte]).collect(), false);
    assert_eq!(outcome(&agent, LONG), (Outcome::Accepted, vec!["Place".to_owned()]));
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
    let agent = agent(words(&[Word::PlaceFinger {}, Word::Accepted { ticket: None }]), false);
    let login = "alice".parse().unwrap();
    let deadline = Instant::now() + Duration::from_millis(200);
    // Somebody goes away from a prompt, and presses Enter when he is back.
    let mut show = |_: Shown<'_>| std::thread::sleep(Duration::from_millis(400));
    let outcome = ask(&agent.path, login, deadline, None, &mut show);
    assert_eq!(outcome, Outcome::Away(Why::NoFinger.to_string()));
}

#[test]
fn without_an_agent_the_next_module_is_asked_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let login: Login = "alice".parse().unwrap();
    let nobody = ask(&folder.path().join("none"), login.clone(), began + LONG, None, &mut |_| {});
    assert!(matches!(&nobody, Outcome::Away(why) if why.contains("no agent")), "{nobody:?}");
    let endless = PathBuf::from("/").join("x".repeat(300));
    assert!(matches!(ask(&endless, login, began + LONG, None, &mut |_| {}), Outcome::Away(_)));
    assert!(began.elapsed() < LONG / 2);
}

#[test]
fn an_interrupt_ends_the_waiting() {
    let agent = agent(words(&[Word::PlaceFinger {}]), false);
    let interrupt = Interrupt::listen().unwrap();
    let login = "alice".parse().unwrap();
    // Ctrl-C, once the person was told what to do.
    let mut show = |_: Shown<'_>| nix::sys::signal::raise(nix::sys::signal::Signal::SIGINT).unwrap();
    let outcome = ask(&agent.path, login, Instant::now() + LONG, Some(&interrupt), &mut show);
    assert_eq!(outcome, Outcome::Away("interrupted".to_owned()));
}
