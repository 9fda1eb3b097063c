//! Logins of Linux by a finger at the box's reader: `pamtester`, `sudo` and `sshd` load `pam_authenteon.so`, which asks the
//! agent, which asks the box.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use authenteon_tests::servers::{
    namespace::Namespace,
    slapd::{self, Options, Slapd},
};
use hyper::Method;
use serde_json::json;

use crate::{
    machine::{Ended, LISTED, Machine, PASSWORD, PATIENCE, Running, Touch},
    needs,
};

/// Runs it while a finger is laid on the reader.
pub(crate) fn touching(machine: &Machine<'_>, command: Command, touch: Touch) -> Ended {
    let running = Running::of(command);
    machine.touch(touch);
    running.end()
}

fn pamtester(machine: &Machine<'_>, service: &str, login: &str) -> Command {
    machine.as_root(&["pamtester", service, login, "authenticate", "acct_mgmt", "setcred"])
}

/// Nobody is waited for at the reader, soon.
fn reader_is_free(machine: &Machine<'_>) {
    machine.reader_is("free again", |reader| reader["busy"] == false);
}

/// Sends a signal to a process of ours.
fn signal(process: impl std::fmt::Display, signal: &str) {
    let sent = Command::new("kill").args([signal, &process.to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn handover_pam_a_finger_at_the_box_opens_without_a_terminal_and_a_wrong_one_does_not() {
    needs!(Logins);
    let network = Namespace::new(&[]).unwrap();
    let machine = Machine::start(&network);
    let began = Instant::now();
    let opened = touching(&machine, pamtester(&machine, "finger", "alice"), Touch::Alice(4));
    println!("    pamtester, by a finger: {} ms", began.elapsed().as_millis());
    assert!(opened.success, "{opened:?}\n{}", machine.agent_said());
    assert!(opened.said.contains("Touch the reader"), "{opened:?}");
    assert!(opened.said.contains("account management done"), "{opened:?}");

    let refused = touching(&machine, pamtester(&machine, "finger", "alice"), Touch::Another(1));
    assert!(!refused.success && refused.said.contains("Authentication failure"), "{refused:?}");
    // Her finger is hers alone: it is asked about Bob, whom no directory has.
    let other = touching(&machine, pamtester(&machine, "finger", "bob"), Touch::Alice(5));
    assert!(!other.success && other.said.contains("Authentication failure"), "{other:?}");
    // The log has what happened, and to nobody by name.
    let said = machine.agent_said();
    assert!(said.contains("accepted") && said.contains("refused"), "{said}");
    assert!(!said.contains("alice") && !said.contains("bob"), "{said}");
}

#[test]
fn handover_pam_nobody_asks_about_others_and_no_finger_opens_an_account_of_the_system() {
    needs!(Logins);
    let network = Namespace::new(&[]).unwrap();
    let machine = Machine::start(&network);
    let tested = |command: Command| Running::of(command).end();
    let of_alice = ["pamtester", "finger", "alice", "authenticate"];
    let others = tested(machine.as_bob(&of_alice));
    assert!(!others.success && others.said.contains("cannot retrieve authentication info"), "{others:?}");
    let own = touching(&machine, machine.as_alice(&of_alice), Touch::Alice(4));
    assert!(own.success, "{own:?}");
    let root = tested(pamtester(&machine, "finger", "root"));
    assert!(!root.success && root.said.contains("cannot retrieve authentication info"), "{root:?}");
    // Nobody was waited for, and an option that is not understood asks nobody.
    let mistyped = tested(pamtester(&machine, "mistyped", "alice"));
    assert!(
        !mistyped.success && mistyped.said.contains("cannot retrieve authentication info"),
        "{mistyped:?}"
    );
    for ended in [&others, &root, &mistyped] {
        assert!(!ended.said.contains("Touch") && ended.took < Duration::from_secs(10), "{ended:?}");
    }
}

/// Says yes to whoever asks.
const IMPOSTOR: &str = r#"
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
asked, _ = listener.accept()
try:
    asked.sendall(b'{"word":"accepted"}\n')
    print(asked.recv(4096).decode())
except OSError:
    pass
"#;

#[test]
fn handover_pam_whoever_listens_in_the_place_of_the_agent_is_not_believed() {
    needs!(Logins);
    let network = Namespace::new(&[]).unwrap();
    let machine = Machine::start(&network);
    // Alice may write here, and somebody has named it in a file of PAM.
    let socket = machine.folder.path().join("home/agent.sock");
    fs::set_permissions(socket.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
    let otherwise = "auth required pam_deny.so\naccount required pam_permit.so\n";
    machine.asks_at("deceived", &socket, "timeout=5", otherwise);
    machine.asks_at("named", &socket, "timeout=5 agent=alice", otherwise);
    // The words are right: as the agent she would be believed.
    for (service, believed) in [("deceived", false), ("named", true)] {
        let path = socket.display().to_string();
        let impostor = Running::of(machine.as_alice(&["/usr/bin/python3", "-c", IMPOSTOR, &path]));
        let began = Instant::now();
        while !socket.exists() {
            assert!(began.elapsed() < PATIENCE, "the impostor does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        let asked = Running::of(pamtester(&machine, service, "alice")).end();
        assert_eq!(asked.success, believed, "{asked:?}");
        let heard = impostor.end();
        assert_eq!(heard.said.contains("alice"), believed, "{heard:?}");
        fs::remove_file(&socket).unwrap();
    }
}

#[test]
fn handover_pam_a_touch_that_is_cancelled_late_or_never_made_opens_nothing_and_frees_the_reader() {
    needs!(Logins);
    let network = Namespace::new(&[]).unwrap();
    let machine = Machine::start(&network);
    // Nobody comes.
    let late = Running::of(pamtester(&machine, "moment", "alice")).end();
    assert!(!late.success && late.said.contains("cannot retrieve authentication info"), "{late:?}");
    assert!(late.took < Duration::from_secs(10), "{late:?}");
    reader_is_free(&machine);

    // Ctrl-C, and a program that is gone.
    for sent in ["-INT", "-KILL"] {
        let running = Running::of(pamtester(&machine, "finger", "alice"));
        machine.reader_is("asked for a finger", |reader| reader["busy"] == true);
        signal(process(&machine, "pamtester"), sent);
        let ended = running.end();
        assert!(!ended.success, "{sent}: {ended:?}");
        let falls_through = ended.said.contains("cannot retrieve authentication info");
        assert_eq!(falls_through, sent == "-INT", "{ended:?}");
        reader_is_free(&machine);
    }

    // The box is held up between the finger and its answer until nobody waits any more.
    let running = Running::of(pamtester(&machine, "moment", "alice"));
    machine.reader_is("asked for a finger", |reader| reader["busy"] == true);
    let daemon = machine.served().process().as_raw_nonzero();
    signal(daemon, "-STOP");
    machine.place(Touch::Alice(4));
    let held_up = running.end();
    signal(daemon, "-CONT");
    thread::sleep(Duration::from_millis(500));
    machine.lift();
    assert!(!held_up.success && held_up.said.contains("cannot retrieve authentication info"), "{held_up:?}");
    reader_is_free(&machine);
    // The next one is not let in by what came of it.
    let next = Running::of(pamtester(&machine, "moment", "alice")).end();
    assert!(!next.success, "{next:?}");
    let opened = touching(&machine, pamtester(&machine, "finger", "alice"), Touch::Alice(5));
    assert!(opened.success, "{opened:?}");
}

/// The process of a program that runs once on the machine.
fn process(machine: &Machine<'_>, program: &str) -> String {
    let mut found = machine.namespace.processes(program);
    assert_eq!(found.len(), 1, "{program}: {found:?}");
    found.remove(0)
}

fn sudo(machine: &Machine<'_>, input: &str) -> Command {
    let mut command =
        machine.as_alice(&["sudo", "--stdin", "--prompt=password:", "sh", "-c", "echo; id -un"]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, input.as_bytes()).unwrap();
    command.stdin(reader);
    command
}

#[test]
fn handover_pam_sudo_is_opened_by_a_finger_not_by_a_wrong_one_and_by_a_password_when_the_box_is_away() {
    needs!(Logins);
    let network = Namespace::new(&[]).unwrap();
    let mut machine = Machine::start(&network);
    let opened = touching(&machine, sudo(&machine, ""), Touch::Alice(4));
    assert!(opened.success && opened.said.lines().any(|line| line == "root"), "{opened:?}");
    assert!(opened.said.contains("Place your finger") && !opened.said.contains("password:"), "{opened:?}");

    // The wrong finger, and then no password.
    let refused = touching(&machine, sudo(&machine, ""), Touch::Another(1));
    assert!(!refused.success && refused.said.contains("password:"), "{refused:?}");
    assert!(!refused.said.lines().any(|line| line == "root"), "{refused:?}");

    machine.stop_box();
    let began = Instant::now();
    let by_password = Running::of(sudo(&machine, &format!("{PASSWORD}\n"))).end();
    println!("    sudo, by a password while the box is away: {} ms", began.elapsed().as_millis());
    assert!(by_password.success && by_password.said.lines().any(|line| line == "root"), "{by_password:?}");
    assert!(!by_password.said.contains("Place your finger"), "{by_password:?}");
    let wrong = Running::of(sudo(&machine, "looking-glass\n")).end();
    assert!(!wrong.success, "{wrong:?}");
}

/// A running sshd, ended with the value.
pub(crate) struct Sshd(std::process::Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn start_sshd(machine: &Machine<'_>) -> Sshd {
    let folder = machine.folder.path();
    let key = folder.join("host.key").display().to_string();
    machine.namespace.run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &key], "").unwrap();
    // Debian's own unit makes it.
    fs::create_dir_all("/run/sshd").unwrap();
    let config = folder.join("sshd_config");
    let text = format!(
        "Port 22\nListenAddress 127.0.0.1\nHostKey {key}\nPidFile none\nUsePAM yes\nKbdInteractiveAuthentication \
         yes\nPasswordAuthentication no\nPubkeyAuthentication no\nStrictModes no\nPrintMotd no\n"
    );
    fs::write(&config, text).unwrap();
    let log = folder.join("sshd.log").display().to_string();
    let config = config.display().to_string();
    let mut command = machine.namespace.command("sshd");
    command.args(["-D", "-E", &log, "-f", &config]).stdin(Stdio::null());
    let sshd = Sshd(command.spawn().unwrap());
    let began = Instant::now();
    while machine.namespace.within(|| std::net::TcpStream::connect(("127.0.0.1", 22)).is_err()).unwrap() {
        assert!(began.elapsed() < PATIENCE, "{}", fs::read_to_string(&log).unwrap_or_default());
        thread::sleep(Duration::from_millis(20));
    }
    sshd
}

/// Alice comes by ssh; a password is given if one is asked for.
fn ssh(machine: &Machine<'_>, password: Option<&str>) -> Command {
    let mut command = ssh_as(machine, "alice", "id -un");
    let answers = machine.folder.path().join("askpass");
    if let Some(password) = password {
        fs::write(&answers, format!("#!/bin/sh\necho {password}\n")).unwrap();
        fs::set_permissions(&answers, fs::Permissions::from_mode(0o755)).unwrap();
        command.env("SSH_ASKPASS", &answers).env("SSH_ASKPASS_REQUIRE", "force");
    }
    command
}

/// Somebody comes by ssh, and runs this.
pub(crate) fn ssh_as(machine: &Machine<'_>, login: &str, runs: &str) -> Command {
    let mut arguments = vec!["ssh", "-F", "none"];
    for option in [
        "PreferredAuthentications=keyboard-interactive",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "NumberOfPasswordPrompts=1",
    ] {
        arguments.extend(["-o", option]);
    }
    let whom = format!("{login}@127.0.0.1");
    arguments.extend([whom.as_str(), runs]);
    machine.as_root(&arguments)
}

#[test]
fn handover_pam_sshd_is_opened_by_a_finger_not_by_a_wrong_one_and_by_a_password_when_the_box_is_away() {
    needs!(Logins);
    let network = Namespace::new(&[]).unwrap();
    let mut machine = Machine::start(&network);
    let _sshd = start_sshd(&machine);
    let log = || fs::read_to_string(machine.folder.path().join("sshd.log")).unwrap_or_default();
    let began = Instant::now();
    let opened = touching(&machine, ssh(&machine, None), Touch::Alice(4));
    println!("    ssh, by a finger: {} ms", began.elapsed().as_millis());
    assert!(opened.success && opened.said.lines().any(|line| line == "alice"), "{opened:?}\n{}", log());

    let refused = touching(&machine, ssh(&machine, None), Touch::Another(1));
    assert!(!refused.success && !refused.said.lines().any(|line| line == "alice"), "{refused:?}");

    // Who hangs up while he is waited for leaves the reader to the next.
    let waits = Running::of(ssh(&machine, None));
    machine.reader_is("asked for a finger", |reader| reader["busy"] == true);
    signal(process(&machine, "ssh"), "-KILL");
    assert!(!waits.end().success);
    reader_is_free(&machine);

    machine.stop_box();
    let by_password = Running::of(ssh(&machine, Some(PASSWORD))).end();
    assert!(by_password.success && by_password.said.lines().any(|line| line == "alice"), "{by_password:?}");
    let wrong = Running::of(ssh(&machine, Some("looking-glass"))).end();
    assert!(!wrong.success, "{wrong:?}");
}

#[test]
fn handover_pam_a_person_at_ssh_reads_what_to_do_before_the_finger_where_enter_is_asked_for() {
    needs!(Logins);
    let network = Namespace::new(&[]).unwrap();
    let machine = Machine::start(&network);
    let _sshd = start_sshd(&machine);
    machine.asks("sshd", "timeout=20 enter");
    let [read, touched] = ["read", "touched"].map(|name| machine.folder.path().join(name));
    let command = ssh(&machine, Some(""));
    // He reads, touches the reader, and presses Enter.
    let answers = format!(
        "#!/bin/sh\necho \"$1\" > {}\nwhile [ ! -e {} ]; do sleep 0.1; done\necho\n",
        read.display(),
        touched.display()
    );
    fs::write(machine.folder.path().join("askpass"), answers).unwrap();
    let running = Running::of(command);
    let began = Instant::now();
    while !read.exists() {
        assert!(began.elapsed() < PATIENCE, "nobody is told what to do");
        thread::sleep(Duration::from_millis(50));
    }
    machine.touch(Touch::Alice(4));
    fs::write(touched, "").unwrap();
    let opened = running.end();
    assert!(opened.success && opened.said.lines().any(|line| line == "alice"), "{opened:?}");
    let told = fs::read_to_string(read).unwrap();
    assert!(told.contains("Place your finger, then press Enter"), "{told}");
}

#[test]
fn handover_pam_who_is_in_the_directory_comes_in_by_his_login_until_he_is_disabled_there() {
    needs!(Logins);
    needs!(Slapd);
    let slapd = Slapd::start(10, Options { syncprov: true, ..Options::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, format!("{}\n", slapd::PASSWORD)).unwrap();
    let section = format!(
        "[[directory]]\nname = \"corp\"\npassword-file = {password:?}\ninterval-seconds = 3600\n{}",
        slapd.followed()
    );
    let machine = Machine::following(&slapd.namespace, &section, LISTED);
    let opened = touching(&machine, pamtester(&machine, "finger", LISTED), Touch::Alice(4));
    assert!(opened.success, "{opened:?}\n{}", machine.agent_said());
    let other = touching(&machine, pamtester(&machine, "finger", LISTED), Touch::Another(1));
    assert!(!other.success && other.said.contains("Authentication failure"), "{other:?}");
    let disabled =
        format!("dn: {}\nchangetype: modify\nreplace: loginDisabled\nloginDisabled: TRUE\n", slapd::dn(3));
    slapd.change(&disabled).unwrap();
    machine.ask("administrator", &Method::POST, "/v1/directory/corp/sync", Some(&json!({})));
    let refused = touching(&machine, pamtester(&machine, "finger", LISTED), Touch::Alice(5));
    assert!(!refused.success && refused.said.contains("Authentication failure"), "{refused:?}");
    assert!(refused.said.contains("disabled in its directory"), "{refused:?}");
}
