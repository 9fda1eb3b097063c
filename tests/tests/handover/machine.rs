//! A machine whose people log in with their fingers: a box with an emulated reader, the agent under its own user, and the
//! module for PAM, with users, passwords and `/etc/pam.d` that only programs in its namespace see.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use authenteon_hal::Frame;
use authenteon_tests::{
    load::{
        daemon::built,
        served::{Served, program},
    },
    servers::namespace::Namespace,
};
use hyper::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use crate::reader::PATIENCE;
use crate::reader::{Reader, asked, print};

/// Of Alice and of Bob.
pub(crate) const PASSWORD: &str = "wonderland";
const AGENT: u32 = 64_123;
const ALICE: u32 = 5501;
const BOB: u32 = 5502;
/// Who is in the directory of the tests too.
pub(crate) const LISTED: &str = "p00003";
pub(crate) const LISTED_UID: u32 = 5503;
/// Alice's finger, among those that there are.
const FINGER: u64 = 1;

/// A finger of Alice, or of somebody else, pressed for the so-and-so-manieth time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Touch {
    Alice(u64),
    Another(u64),
}

impl From<Touch> for Frame {
    fn from(touch: Touch) -> Self {
        match touch {
            Touch::Alice(impression) => print(FINGER, impression),
            Touch::Another(impression) => print(FINGER + 1, impression),
        }
    }
}

/// The module and the agent, built once.
fn programs() -> &'static (PathBuf, PathBuf) {
    static BUILT: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    BUILT.get_or_init(|| {
        let agent = program("authenteon-agent", "authenteon-agent", "clients").unwrap();
        let module = built(&["--package", "pam_authenteon", "--lib"], "libpam_authenteon.so").unwrap();
        (agent, module)
    })
}

/// A machine; Alice's finger is enrolled at the box, and the agent's configuration says which subject she is.
pub(crate) struct Machine<'a> {
    agent: Child,
    /// Goes when the box is to be away.
    served: Option<Served>,
    reader: Reader,
    pub(crate) folder: TempDir,
    pub(crate) namespace: &'a Namespace,
}

impl<'a> Machine<'a> {
    /// In this network, with Alice, who is in no directory.
    pub(crate) fn start(namespace: &'a Namespace) -> Self {
        let mut machine = Self::beside(namespace, "");
        let made = machine.ask("officer", &Method::POST, "/v1/subjects", Some(&json!({ "name": "Alice" })));
        let alice = made["subject_id"].as_str().unwrap();
        machine.enrol(alice);
        machine.start_agent(&format!("[users]\nalice = \"{alice}\"\n"));
        machine
    }

    /// In the network of a directory, which the box follows by this section: the finger is that of who has this login there.
    pub(crate) fn following(namespace: &'a Namespace, directory: &str, login: &str) -> Self {
        Self::prepared(namespace, directory, login, |_| String::new())
    }

    /// The same; what is to be done before the agent starts is done, and gives more lines of its configuration.
    pub(crate) fn prepared(
        namespace: &'a Namespace,
        directory: &str,
        login: &str,
        prepare: impl FnOnce(&Self) -> String,
    ) -> Self {
        let mut machine = Self::beside(namespace, directory);
        let began = Instant::now();
        let found = loop {
            let everybody = machine.ask("officer", &Method::GET, "/v1/subjects?limit=1000", None);
            let everybody = everybody["subjects"].as_array().unwrap();
            if let Some(found) = everybody.iter().find(|one| one["directory"]["login"] == login) {
                break found["subject_id"].as_str().unwrap().to_owned();
            }
            assert!(began.elapsed() < PATIENCE, "{login} is not on the box");
            thread::sleep(Duration::from_millis(100));
        };
        machine.enrol(&found);
        let more = prepare(&machine);
        machine.start_agent(&more);
        machine
    }

    /// A box with an adopted reader, and what programs of the machine see; no agent yet.
    fn beside(namespace: &'a Namespace, directory: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Everybody on the machine asks the agent, and loads the module.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut reader = Reader::plugged_in(false);
        let sections = format!("{}{directory}", reader.section());
        let served = Served::start(namespace.entrance(), &sections).unwrap();
        accounts(namespace, folder.path());
        for (name, text) in services(&folder.path().join("run/agent.sock")) {
            namespace.etc(&format!("pam.d/{name}"), &text).unwrap();
        }
        // Until it runs, there is something to end.
        let agent = Command::new("true").spawn().unwrap();
        reader.adopt(&served);
        Self { agent, served: Some(served), reader, folder, namespace }
    }

    /// Asks the box.
    pub(crate) fn ask(&self, role: &str, method: &Method, path: &str, body: Option<&Value>) -> Value {
        asked(self.served(), role, method, path, body)
    }

    /// Waits until the reader is as it should be.
    pub(crate) fn reader_is(&self, what: &str, fits: impl Fn(&Value) -> bool) {
        self.reader.is(self.served(), what, fits);
    }

    /// Alice's finger becomes somebody's.
    fn enrol(&self, subject: &str) {
        self.reader.enrol(self.served(), subject, FINGER);
    }

    /// Lays a finger on the reader once it waits for one, and lifts it when it was seen.
    pub(crate) fn touch(&self, touch: Touch) {
        self.reader.touch(self.served(), &touch.into());
    }

    /// Lays a finger down without asking the box whether it waits.
    pub(crate) fn place(&self, touch: Touch) {
        self.reader.place(&touch.into());
    }

    /// Lifts it.
    pub(crate) fn lift(&self) {
        self.reader.lift();
    }

    fn start_agent(&mut self, more: &str) {
        let served = self.served.as_ref().expect("the box is there");
        let own = self.folder.path().join("agent");
        fs::create_dir(&own).unwrap();
        for file in ["ca.pem", "station.pem", "station.key"] {
            fs::copy(served.pki().join(file), own.join(file)).unwrap();
            chown(own.join(file), Some(AGENT), Some(AGENT)).unwrap();
            fs::set_permissions(own.join(file), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let run = self.folder.path().join("run");
        fs::create_dir(&run).unwrap();
        chown(&run, Some(AGENT), Some(AGENT)).unwrap();
        let file = |name: &str| own.join(name).display().to_string();
        let text = format!(
            "version = 1\nserver = \"https://{}\"\ncacert = {:?}\ncert = {:?}\nkey = {:?}\nsensor = {:?}\nsocket = \
             {:?}\n{more}",
            served.address(),
            file("ca.pem"),
            file("station.pem"),
            file("station.key"),
            self.reader.sensor(),
            self.socket().display().to_string(),
        );
        let config = self.folder.path().join("agent.toml");
        fs::write(&config, text).unwrap();
        let config = config.display().to_string();
        let (program, _) = programs();
        let program = program.display().to_string();
        let said = self.as_user(AGENT, &[&program, "check", "--config", &config]).output().unwrap();
        assert!(said.status.success(), "{said:?}");
        let log = fs::File::create(self.folder.path().join("agent.log")).unwrap();
        let mut command = self.as_user(AGENT, &[&program, "serve", "--config", &config]);
        self.agent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let began = Instant::now();
        while !self.socket().exists() {
            assert!(began.elapsed() < PATIENCE, "{}", self.agent_said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("run/agent.sock")
    }

    pub(crate) fn agent_said(&self) -> String {
        fs::read_to_string(self.folder.path().join("agent.log")).unwrap_or_default()
    }

    /// Changes how a program asks who somebody is: for the finger first, with these options, and then for a password.
    pub(crate) fn asks(&self, service: &str, options: &str) {
        let unix =
            "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n";
        self.asks_at(service, &self.socket(), options, unix);
    }

    /// The same: whoever listens at this socket, and then what these lines say.
    pub(crate) fn asks_at(&self, service: &str, socket: &Path, options: &str, then: &str) {
        let text = format!("auth sufficient {}\n{then}", module(socket, options));
        self.namespace.etc(&format!("pam.d/{service}"), &text).unwrap();
    }

    /// The box is away from now on.
    pub(crate) fn stop_box(&mut self) {
        self.served = None;
    }

    /// The box, while it is there.
    pub(crate) fn served(&self) -> &Served {
        self.served.as_ref().expect("the box is there")
    }

    /// A program of somebody on this machine, without a terminal.
    pub(crate) fn as_user(&self, uid: u32, arguments: &[&str]) -> Command {
        let mut command = self.namespace.command("setpriv");
        command.args([format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".to_owned()]);
        command.args(["setsid", "--wait"]).args(arguments).stdin(Stdio::null());
        command
    }

    pub(crate) fn as_alice(&self, arguments: &[&str]) -> Command {
        self.as_user(ALICE, arguments)
    }

    pub(crate) fn as_bob(&self, arguments: &[&str]) -> Command {
        self.as_user(BOB, arguments)
    }

    pub(crate) fn as_root(&self, arguments: &[&str]) -> Command {
        self.as_user(0, arguments)
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        // They may have ended by themselves; the namespace ends what they started.
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    said: thread::JoinHandle<String>,
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) success: bool,
    pub(crate) said: String,
    pub(crate) took: Duration,
}

impl Running {
    /// Starts it.
    pub(crate) fn of(mut command: Command) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let child = command.spawn().unwrap();
        // Its ends of the pipe, or reading would never end.
        drop(command);
        let said = thread::spawn(move || std::io::read_to_string(reader).unwrap_or_default());
        Self { child, said }
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let began = Instant::now();
        let status = self.child.wait().unwrap();
        Ended { success: status.success(), said: self.said.join().unwrap(), took: began.elapsed() }
    }
}

/// Who is on the machine: who is here, Alice and Bob, and the agent's user.
fn accounts(namespace: &Namespace, folder: &Path) {
    let home = folder.join("home");
    fs::create_dir(&home).unwrap();
    let real = fs::read_to_string("/etc/passwd").unwrap();
    let more = format!(
        "alice:x:{ALICE}:{ALICE}::{0}:/bin/sh\nbob:x:{BOB}:{BOB}::{0}:/bin/sh\n{LISTED}:x:{LISTED_UID}:{LISTED_UID}::{0}:/bin/sh\nauthenteon-agent:x:{AGENT}:{AGENT}::/:/usr/sbin/nologin\n",
        home.display()
    );
    namespace.etc("passwd", &(real + &more)).unwrap();
    let groups = fs::read_to_string("/etc/group").unwrap();
    let more = format!("alice:x:{ALICE}:\nbob:x:{BOB}:\nauthenteon-agent:x:{AGENT}:\n");
    namespace.etc("group", &(groups + &more)).unwrap();
    let hash =
        Command::new("openssl").args(["passwd", "-6", "-salt", "handover", PASSWORD]).output().unwrap();
    let hash = String::from_utf8(hash.stdout).unwrap();
    let hash = hash.trim();
    let shadow =
        format!("root:*:20000::::::\nsshd:!:20000::::::\nalice:{hash}:20000::::::\nbob:{hash}:20000::::::\n");
    namespace.etc("shadow", &shadow).unwrap();
    // Nobody is lectured, and nobody is let in again without being asked.
    namespace
        .etc("sudoers", "Defaults !lecture, timestamp_timeout=0, passwd_tries=1\nalice ALL=(ALL) ALL\n")
        .unwrap();
}

/// How each program asks who somebody is.
fn services(socket: &Path) -> [(&'static str, String); 6] {
    let unix = "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n";
    let first = |options: &str| format!("auth sufficient {}\n{unix}", module(socket, options));
    // Nothing but the finger, for longer than a test waits, and for a moment.
    let alone = |options: &str| format!("auth required {0}\naccount required {0}\n", module(socket, options));
    [
        ("sudo", first("timeout=20")),
        ("sshd", first("timeout=20")),
        ("finger", alone("timeout=60 [prompt=Touch the reader] debug")),
        ("moment", alone("timeout=3")),
        ("mistyped", alone("timeout=never")),
        ("other", "auth required pam_deny.so\naccount required pam_deny.so\n".to_owned()),
    ]
}

/// The module as it stands in a file of `/etc/pam.d`.
fn module(socket: &Path, options: &str) -> String {
    let (_, module) = programs();
    format!("{} socket={} {options}", module.display(), socket.display())
}
