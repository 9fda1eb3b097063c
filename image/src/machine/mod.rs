//! The disk in QEMU, and what the firmware of a Pi would do before it: choose a boot folder.
//!
//! Invariant: the model of the firmware remembers nothing but what a Pi's does: a one-shot trial is asked
//! for by the last words of a system that restarts, and is forgotten when the power goes.

mod console;
mod firmware;
mod partitions;

use std::{
    fs::{self, File},
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
        let child = command.stdin(Stdio::null()).stdout(out).stderr(errors).spawn().map_err(|why| {
            Failure::Program {
                program: "qemu-system-aarch64".to_owned(),
                status: why.to_string(),
                said: String::new(),
            }
        })?;
        Ok(Self { setup: setup.clone(), child, started, port, console: Console::new(console) })
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
    pub(crate) fn wait_live(&mut self, patience: Duration) -> Result<Duration, Failure> {
        let url = format!("https://127.0.0.1:{}/v1/health/live", self.port);
        while !is_live(&url) {
            if self.age() > patience || self.has_ended()? {
                return Err(self.fault(&format!("3411 did not answer within {} s", patience.as_secs())));
            }
            thread::sleep(Duration::from_millis(50));
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

/// Whether anything speaks HTTP over TLS there; who it is, the tests ask elsewhere.
fn is_live(url: &str) -> bool {
    Command::new("curl")
        .args(["--silent", "--insecure", "--max-time", "2", "--output", "/dev/null", "--fail", url])
        .status()
        .is_ok_and(|status| status.success())
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
    let network = format!("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:3411");
    let disk = setup.disk.display();
    command.args(["-nographic", "-no-reboot"]).arg("-kernel").arg(&files.kernel);
    command.arg("-initrd").arg(&files.initramfs).args(["-append", line.trim(), "-netdev", &network]);
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
            .args(["-drive", &format!("if=none,id=disk,format=raw,file={disk}")])
            .args(["-device", "virtio-blk-device,drive=disk", "-device", "virtio-net-device,netdev=net"])
            .args(["-device", "virtio-rng-device", "-device", "i6300esb", "-action", "watchdog=reset"]),
        Board::Pi => command
            .args(["-M", "raspi3b", "-serial", "stdio", "-monitor", "none"])
            .arg("-dtb")
            .arg(setup.folder.join("bcm2837-rpi-3-b.dtb"))
            .args(["-drive", &format!("if=sd,format=raw,file={disk}"), "-device", "usb-net,netdev=net"]),
    };
    command
}
