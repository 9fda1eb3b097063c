//! The disk in QEMU, and what the firmware of a Pi would do before it: choose a boot folder.
//!
//! Invariant: the model of the firmware remembers nothing but what a Pi's does: a one-shot trial is asked
//! for by the last words of a system that restarts, and is forgotten when the power goes.

mod console;
mod firmware;
mod partitions;

use std::{
    fs::{self, File},
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    board::Board,
    failure::{Failure, at},
};
pub(crate) use console::Console;
use firmware::BootFiles;
pub(crate) use partitions::{Extent, extent};

/// What a machine's network socket leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Network {
    /// A network that offers an address.
    #[default]
    Offers,
    /// The same; and what listens on this host's loopback, the box reaches at 10.0.2.2.
    Host,
    /// One where this host looks for the box at a fixed address.
    At(&'static str),
    /// There is no socket.
    None,
}

/// How a machine is started.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Which machine.
    pub(crate) board: Board,
    /// Its disk, written to.
    pub(crate) disk: PathBuf,
    /// Where boot files and console go.
    pub(crate) folder: PathBuf,
    /// Port on this host that leads to 3411; none takes a free one.
    pub(crate) port: Option<u16>,
    /// More for the kernel.
    pub(crate) kernel_arguments: String,
    /// What the clock shows at the start, instead of the time.
    pub(crate) clock: Option<&'static str>,
    /// Its network.
    pub(crate) network: Network,
}

/// A machine that runs.
pub(crate) struct Machine {
    setup: Setup,
    child: Child,
    started: Instant,
    /// Port on this host that leads to 3411.
    pub(crate) port: u16,
    /// What it says.
    pub(crate) console: Console,
}

/// How a machine ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It restarts; `trial`: it asked for the other slot, once.
    Restart {
        /// Whether the other slot is tried.
        trial: bool,
    },
    /// It was switched off.
    Off,
}

impl Machine {
    /// Starts a machine; `trial`: the firmware was asked for the other slot.
    pub(crate) fn start(setup: &Setup, trial: bool) -> Result<Self, Failure> {
        fs::create_dir_all(&setup.folder).map_err(at(&setup.folder))?;
        let files = BootFiles::read(&setup.disk, &setup.folder, trial)?;
        let port = match setup.port {
            Some(port) => port,
            None => free_port()?,
        };
        let console = setup.folder.join("console.log");
        let out = File::create(&console).map_err(at(&console))?;
        let errors = out.try_clone().map_err(at(&console))?;
        let mut command = qemu(setup, &files, port, trial);
        let started = Instant::now();
        let child = command.stdin(Stdio::piped()).stdout(out).stderr(errors).spawn().map_err(|why| {
            Failure::Program {
                program: "qemu-system-aarch64".to_owned(),
                status: why.to_string(),
                said: String::new(),
            }
        })?;
        Ok(Self { setup: setup.clone(), child, started, port, console: Console::new(console) })
    }

    /// Types a line on its console.
    pub(crate) fn type_line(&mut self, line: &str) -> Result<(), Failure> {
        let keyboard = self.child.stdin.as_mut();
        let typed = keyboard.map_or(Ok(()), |to| to.write_all(format!("{line}\n").as_bytes()));
        typed.map_err(at(Path::new("the console")))
    }

    /// How long it has run.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self, patience: Duration) -> Result<Ended, Failure> {
        let began = Instant::now();
        loop {
            if self.has_ended()? {
                let said = self.console.text();
                return Ok(if said.contains("reboot: Power down") {
                    Ended::Off
                } else {
                    Ended::Restart { trial: said.contains("authenteon: tryboot requested") }
                });
            }
            if began.elapsed() > patience {
                return Err(self.fault(&format!("it did not end within {} s", patience.as_secs())));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> Result<bool, Failure> {
        Ok(self.child.try_wait().map_err(at(Path::new("qemu-system-aarch64")))?.is_some())
    }

    /// Waits until its console shows a text.
    pub(crate) fn wait_for(&mut self, text: &str, patience: Duration) -> Result<(), Failure> {
        let began = Instant::now();
        while !self.console.text().contains(text) {
            if began.elapsed() > patience || self.has_ended()? {
                return Err(self.fault(&format!("'{text}' did not show within {} s", patience.as_secs())));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Waits until 3411 answers, and gives the time since the start.
    ///
    /// It is asked anew while earlier requests are still open: one that comes before there is a network is
    /// answered a second late, and that second is not the machine's.
    pub(crate) fn wait_live(&mut self, patience: Duration) -> Result<Duration, Failure> {
        let url = format!("https://127.0.0.1:{}/v1/health/live", self.port);
        let mut open = Requests::default();
        while !open.is_answered() {
            if self.age() > patience || self.has_ended()? {
                return Err(self.fault(&format!("3411 did not answer within {} s", patience.as_secs())));
            }
            open.ask(&url);
            thread::sleep(Duration::from_millis(200));
        }
        Ok(self.age())
    }

    /// Cuts the power while others hold the machine too; whoever owns it notices that it has ended.
    pub(crate) fn kill(&self) {
        if let Some(process) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            // It may have ended by itself; its number is not another's before it is waited for.
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
    }

    /// Cuts the power.
    pub(crate) fn cut(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// A failure with the end of the console.
    pub(crate) fn fault(&self, what: &str) -> Failure {
        Failure::Wrong(format!(
            "{} in QEMU: {what}; its console ends:\n{}",
            self.setup.board.name(),
            self.console.end()
        ))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end();
    }
}

/// Requests whose answer is not there yet. Whether anything speaks HTTP over TLS is asked, not who it is.
#[derive(Default)]
struct Requests(Vec<Child>);

impl Requests {
    /// As many as are asked while one waits.
    const MOST: usize = 10;

    fn ask(&mut self, url: &str) {
        if self.0.len() >= Self::MOST {
            return;
        }
        let arguments = ["--silent", "--insecure", "--max-time", "2", "--output", "/dev/null", "--fail", url];
        // A request that could not be made is made again.
        self.0.extend(Command::new("curl").args(arguments).spawn());
    }

    fn is_answered(&mut self) -> bool {
        let mut answered = false;
        self.0.retain_mut(|request| match request.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                answered |= status.success();
                false
            }
            Err(_) => false,
        });
        answered
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        for request in &mut self.0 {
            // It may have ended by itself.
            let _ = request.kill();
            let _ = request.wait();
        }
    }
}

fn free_port() -> Result<u16, Failure> {
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(at(Path::new("127.0.0.1")))
}

fn qemu(setup: &Setup, files: &BootFiles, port: u16, trial: bool) -> Command {
    let mut command = Command::new("qemu-system-aarch64");
    let line = format!(
        "{} authenteon.partition={} authenteon.tryboot={} {}",
        files.command_line,
        files.partition,
        u8::from(trial),
        setup.kernel_arguments
    );
    let address = if let Network::At(address) = setup.network { address } else { "" };
    let restrict = if setup.network == Network::Host { "off" } else { "on" };
    let network = format!("user,id=net,restrict={restrict},hostfwd=tcp:127.0.0.1:{port}-{address}:3411");
    // Unsafe only if this host loses its power: what the machine wrote stays when its process is killed.
    let disk = setup.disk.display();
    command.args(["-nographic", "-no-reboot"]).arg("-kernel").arg(&files.kernel);
    command.arg("-initrd").arg(&files.initramfs).args(["-append", line.trim()]);
    if setup.network != Network::None {
        let device = match setup.board {
            Board::Qemu => "virtio-net-device,netdev=net",
            Board::Pi => "usb-net,netdev=net",
        };
        command.args(["-netdev", &network, "-device", device]);
    }
    if let Some(clock) = setup.clock {
        command.args(["-rtc", &format!("base={clock}")]);
    }
    match setup.board {
        Board::Qemu => command
            .args([
                "-M",
                "virt,gic-version=3",
                "-accel",
                "tcg,thread=multi,tb-size=256",
                "-cpu",
                "cortex-a72",
            ])
            .args(["-smp", "2", "-m", "512", "-nodefaults", "-serial", "stdio"])
            .args(["-drive", &format!("if=none,id=disk,format=raw,cache=unsafe,file={disk}")])
            .args(["-device", "virtio-blk-device,drive=disk"])
            .args(["-device", "virtio-rng-device", "-device", "i6300esb", "-action", "watchdog=reset"]),
        Board::Pi => command
            .args(["-M", "raspi3b", "-serial", "stdio", "-monitor", "none"])
            .arg("-dtb")
            .arg(setup.folder.join("bcm2837-rpi-3-b.dtb"))
            .args(["-drive", &format!("if=sd,format=raw,cache=unsafe,file={disk}")]),
    };
    command
}
