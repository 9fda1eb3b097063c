//! A box of files: two slots, a FAT with `autoboot.txt`, a signer, and an agent on it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use authenteon::update::{
    agent::{Agent, Settings},
    boot::{Boot, Devices},
    bootloader,
    install::Progress,
    machine::Machine,
    protocol::{Refusal, Request, Status},
    slots::{Disk, Slot},
};
use authenteon_image::bundle::{Content, Parts, Signer, write};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    SignatureAlgorithm, date_time_ymd,
};
use tempfile::TempDir;

pub(crate) const BOARD: &str = "qemu-virt";
/// Partitions of the box: some blocks more than the images.
const ROOT_SIZE: usize = 256 << 10;
const BOOT_SIZE: usize = 64 << 10;
/// 2026-06-01.
pub(crate) const BUILD: u64 = 1_780_272_000;

/// A certificate authority for updates, and a signer of it.
pub(crate) struct Ca {
    pub(crate) pem: String,
    pub(crate) key: String,
    pub(crate) certificate: String,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, &rcgen::PKCS_ECDSA_P256_SHA256, (2020, 2040))
    }

    pub(crate) fn with(name: &str, algorithm: &'static SignatureAlgorithm, years: (i32, i32)) -> Self {
        let params = |name: String| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.not_before = date_time_ymd(years.0, 1, 1);
            params.not_after = date_time_ymd(years.1, 1, 1);
            params
        };
        let mut ca = params(format!("{name} CA"));
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate_for(algorithm).unwrap()).unwrap();
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut leaf = params(format!("{name} signer"));
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.use_authority_key_identifier_extension = true;
        let certificate = leaf.signed_by(&key, &ca).unwrap().pem();
        Self { pem: ca.pem(), key: key.serialize_pem(), certificate }
    }

    pub(crate) fn signer(&self) -> Signer {
        Signer::from_pem(self.key.as_bytes(), self.certificate.as_bytes()).unwrap()
    }
}

/// Images that differ with every version and do not compress to nothing.
pub(crate) fn images(version: &str) -> (Vec<u8>, Vec<u8>) {
    let mut state = version.bytes().fold(7_u64, |s, b| s.wrapping_mul(31).wrapping_add(u64::from(b)));
    let mut noise = |n: usize| -> Vec<u8> {
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect()
    };
    (noise(ROOT_SIZE - 8192), noise(BOOT_SIZE - 1024))
}

pub(crate) fn bundle(ca: &Ca, version: &str) -> Vec<u8> {
    bundle_for(ca, version, BOARD)
}

pub(crate) fn bundle_for(ca: &Ca, version: &str, board: &str) -> Vec<u8> {
    let (root, boot) = images(version);
    write(&Content { board, version, root: &root, boot: &boot }, &ca.signer()).unwrap()
}

pub(crate) fn parts(version: &str) -> Parts {
    let (root, boot) = images(version);
    Parts::new(&Content { board: BOARD, version, root: &root, boot: &boot }).unwrap()
}

/// A FAT16 file system with `autoboot.txt` in it and a label before it.
pub(crate) fn autoboot_fat(committed: Slot) -> Vec<u8> {
    let mut fat = vec![0; 4 << 20];
    let put = |fat: &mut Vec<u8>, at: usize, bytes: &[u8]| fat[at..at + bytes.len()].copy_from_slice(bytes);
    put(&mut fat, 11, &512_u16.to_le_bytes());
    fat[13] = 1;
    put(&mut fat, 14, &1_u16.to_le_bytes());
    fat[16] = 2;
    put(&mut fat, 17, &512_u16.to_le_bytes());
    put(&mut fat, 19, &8192_u16.to_le_bytes());
    put(&mut fat, 22, &32_u16.to_le_bytes());
    put(&mut fat, 510, &[0x55, 0xAA]);
    let root = 65 * 512;
    put(&mut fat, root, b"AUTOBOOT   \x08");
    put(&mut fat, root + 32, b"AUTOBOOTTXT\x20");
    let text = bootloader::text(committed);
    put(&mut fat, root + 32 + 26, &5_u16.to_le_bytes());
    put(&mut fat, root + 32 + 28, &u32::try_from(text.len()).unwrap().to_le_bytes());
    put(&mut fat, (65 + 32 + 3) * 512, text.as_bytes());
    fat
}

/// What a machine would have done.
#[derive(Clone, Default)]
pub(crate) struct Noted {
    pub(crate) trials: Arc<AtomicU32>,
    pub(crate) restarts: Arc<AtomicU32>,
    pub(crate) uptime_millis: Arc<AtomicU64>,
    pub(crate) now: Arc<AtomicU64>,
    pub(crate) synchronised: Arc<AtomicU32>,
}

impl Machine for Noted {
    fn restart(&self, trial: bool) -> io::Error {
        if trial { &self.trials } else { &self.restarts }.fetch_add(1, Ordering::SeqCst);
        io::Error::other("a machine of a test")
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.uptime_millis.load(Ordering::SeqCst))
    }

    fn now(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    fn synchronised(&self) -> bool {
        self.synchronised.load(Ordering::SeqCst) > 0
    }
}

/// Whether the full counts are asked for (`tests/run --long`).
pub(crate) fn long() -> bool {
    std::env::var("AUTHENTEON_LONG").is_ok_and(|value| value == "yes")
}

/// A box.
pub(crate) struct Box_ {
    pub(crate) folder: TempDir,
    pub(crate) boot: Boot,
    pub(crate) machine: Noted,
}

impl Box_ {
    /// Version 1.0.0 in slot A, committed; nothing in slot B.
    pub(crate) fn new(ca: &Ca) -> Self {
        // In memory where there is such a folder: the tests' own cuts decide what is kept, not a slow disk.
        let memory = std::path::Path::new("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let at = |name: &str| folder.path().join(name);
        let (mut root, mut boot) = images("1.0.0");
        root.resize(ROOT_SIZE, 0);
        boot.resize(BOOT_SIZE, 0);
        fs::write(at("rootfs-a"), root).unwrap();
        fs::write(at("boot-a"), boot).unwrap();
        fs::write(at("rootfs-b"), vec![0xEE; ROOT_SIZE]).unwrap();
        fs::write(at("boot-b"), vec![0xEE; BOOT_SIZE]).unwrap();
        fs::write(at("autoboot"), autoboot_fat(Slot::A)).unwrap();
        fs::write(at("keyring.pem"), &ca.pem).unwrap();
        fs::create_dir(at("update")).unwrap();
        let devices = Devices {
            autoboot: at("autoboot"),
            boot_a: at("boot-a"),
            boot_b: at("boot-b"),
            rootfs_a: at("rootfs-a"),
            rootfs_b: at("rootfs-b"),
        };
        let boot = Boot {
            slot: Slot::A,
            trial: false,
            board: BOARD.to_owned(),
            version: "1.0.0".parse().unwrap(),
            build: BUILD,
            test: true,
            devices,
        };
        Self { folder, boot, machine: Noted::default() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn agent(&self) -> Agent {
        self.agent_on(Box::new(self.boot.devices.clone()))
    }

    pub(crate) fn agent_on(&self, disk: Box<dyn Disk>) -> Agent {
        let settings = Settings {
            boot: self.boot.clone(),
            keyring: self.path("keyring.pem"),
            state: self.path("state"),
            folder: self.path("update"),
            committed: self.folder.path().join("committed"),
            trial: Duration::from_secs(180),
        };
        Agent::new(settings, disk, Box::new(self.machine.clone())).unwrap()
    }

    /// Puts a bundle where the agent looks for it.
    pub(crate) fn incoming(&self, bundle: &[u8]) -> Request {
        let path = self.path("update").join("incoming.raucb");
        fs::write(&path, bundle).unwrap();
        Request::Install { path }
    }

    pub(crate) fn install(&self, bundle: &[u8]) -> Result<Status, Refusal> {
        ask(&self.agent(), &self.incoming(bundle))
    }

    /// The next start, in this slot.
    pub(crate) fn start(&mut self, slot: Slot, trial: bool, version: &str) {
        self.boot.slot = slot;
        self.boot.trial = trial;
        self.boot.version = version.parse().unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Whether a slot holds this version, whole.
    pub(crate) fn holds(&self, slot: &str, version: &str) -> bool {
        let (root, boot) = images(version);
        self.read(&format!("rootfs-{slot}")).starts_with(&root)
            && self.read(&format!("boot-{slot}")).starts_with(&boot)
    }

    /// Everything on the slots and in the boot order.
    pub(crate) fn everything(&self) -> Vec<Vec<u8>> {
        ["autoboot", "boot-a", "boot-b", "rootfs-a", "rootfs-b"].map(|name| self.read(name)).to_vec()
    }
}

pub(crate) fn ask(agent: &Agent, request: &Request) -> Result<Status, Refusal> {
    agent.handle(request, &mut |_: Progress| {})
}

/// Whether a program is there; if not, says why the test is skipped.
pub(crate) fn has(program: &str) -> bool {
    let folders =
        std::env::var_os("PATH").map(|p| std::env::split_paths(&p).collect::<Vec<_>>()).unwrap_or_default();
    let there = folders
        .iter()
        .map(PathBuf::as_path)
        .chain([Path::new("/usr/sbin"), Path::new("/sbin")])
        .any(|f| f.join(program).is_file());
    if !there {
        eprintln!("skipped: {program} is not installed");
    }
    there
}
