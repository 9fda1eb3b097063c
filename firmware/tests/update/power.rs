//! The power goes during an update or a commit: after any write, with what was not yet durable lost
//! in part or written in another order. The committed slot is whole afterwards, whatever happened.

use std::{
    collections::HashMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use authenteon::update::{
    boot::Devices,
    bootloader,
    protocol::Request,
    slots::{Device, Disk, Part, SECTOR, Slot},
};

use crate::support::{Box_, Ca, ask, bundle, long};

/// Random numbers of a seed: a run that fails can be run again.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

/// Sectors that were written and not made durable.
type Volatile = HashMap<Part, Vec<(u64, Vec<u8>)>>;

struct Supply {
    left: usize,
    used: usize,
    volatile: Volatile,
}

/// A disk whose power goes after so many writes and syncs.
#[derive(Clone)]
struct Failing {
    devices: Devices,
    supply: Arc<Mutex<Supply>>,
}

struct Volatile1 {
    part: Part,
    inner: Box<dyn Device>,
    supply: Arc<Mutex<Supply>>,
}

fn gone() -> io::Error {
    io::Error::other("the power is gone")
}

impl Disk for Failing {
    fn open(&self, part: Part) -> io::Result<Box<dyn Device>> {
        let inner = self.devices.open(part)?;
        Ok(Box::new(Volatile1 { part, inner, supply: Arc::clone(&self.supply) }))
    }
}

impl Volatile1 {
    fn spend(&self) -> io::Result<()> {
        let mut supply = self.supply.lock().unwrap();
        supply.used += 1;
        supply.left = supply.left.checked_sub(1).ok_or_else(gone)?;
        Ok(())
    }
}

impl Device for Volatile1 {
    fn size(&mut self) -> io::Result<u64> {
        self.inner.size()
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(at, into)?;
        // What is volatile is read as written.
        let supply = self.supply.lock().unwrap();
        for (sector, bytes) in supply.volatile.get(&self.part).into_iter().flatten() {
            for (i, byte) in bytes.iter().enumerate() {
                if let Some(place) = (sector + i as u64)
                    .checked_sub(at)
                    .and_then(|p| into.get_mut(usize::try_from(p).unwrap()))
                {
                    *place = *byte;
                }
            }
        }
        Ok(())
    }

    fn write_at(&mut self, at: u64, from: &[u8]) -> io::Result<()> {
        // The write that the power cuts is volatile as a whole: any of its sectors may be there.
        let spent = self.spend();
        let mut supply = self.supply.lock().unwrap();
        let volatile = supply.volatile.entry(self.part).or_default();
        for (i, sector) in from.chunks(SECTOR).enumerate() {
            volatile.push((at + (i * SECTOR) as u64, sector.to_vec()));
        }
        spent
    }

    fn sync(&mut self) -> io::Result<()> {
        self.spend()?;
        let sectors = self.supply.lock().unwrap().volatile.remove(&self.part).unwrap_or_default();
        for (at, bytes) in sectors {
            self.inner.write_at(at, &bytes)?;
        }
        Ok(())
    }

    fn forget(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Failing {
    fn new(devices: &Devices, left: usize) -> Self {
        let supply = Supply { left, used: 0, volatile: Volatile::new() };
        Self { devices: devices.clone(), supply: Arc::new(Mutex::new(supply)) }
    }

    /// What the disk holds after the cut: some of the volatile sectors, in some order.
    fn cut(&self, random: &mut Seeded) {
        let volatile = std::mem::take(&mut self.supply.lock().unwrap().volatile);
        for (part, mut sectors) in volatile {
            let mut device = self.devices.open(part).unwrap();
            for i in (1..sectors.len()).rev() {
                sectors.swap(i, random.next(i + 1));
            }
            let kept = random.next(sectors.len() + 1);
            for (at, bytes) in &sectors[..kept] {
                device.write_at(*at, bytes).unwrap();
            }
        }
    }
}

fn committed(the_box: &Box_) -> Slot {
    ask(&the_box.agent(), &Request::Status {}).unwrap().committed
}

#[test]
fn the_committed_slot_is_whole_and_the_other_never_half_after_a_cut_at_every_write() {
    let ca = Ca::new("ours");
    let new = bundle(&ca, "1.1.0");
    let everything = Failing::new(&Box_::new(&ca).boot.devices, usize::MAX);
    // How many writes and syncs there are.
    let the_box = Box_::new(&ca);
    let counted = Failing { devices: the_box.boot.devices.clone(), ..everything };
    ask(&the_box.agent_on(Box::new(counted.clone())), &the_box.incoming(&new)).unwrap();
    let steps = counted.supply.lock().unwrap().used;
    assert!(steps >= 8, "{steps}");

    for left in 0..steps {
        for seed in 0..if long() { 200 } else { 6 } {
            let the_box = Box_::new(&ca);
            // In slot B there is a whole older system, which must not be mixed with the new one.
            the_box.install(&bundle_once(&ca)).unwrap();
            let disk = Failing::new(&the_box.boot.devices, left);
            let why = ask(&the_box.agent_on(Box::new(disk.clone())), &the_box.incoming(&new));
            assert!(why.is_err(), "{left} of {steps}");
            disk.cut(&mut Seeded(seed));
            assert_eq!(committed(&the_box), Slot::A);
            assert!(the_box.holds("a", "1.0.0"), "{left} of {steps}, seed {seed}");
            let pending = ask(&the_box.agent(), &Request::Status {}).unwrap().pending;
            assert_eq!(pending, None, "{left} of {steps}, seed {seed}: nothing is to be tried");
            let boots = the_box.read("boot-b")[..SECTOR] != [0; SECTOR];
            // A cut before the first sector's end is durable leaves the older system as it was.
            let whole = ["1.1.0", "1.0.5"].iter().any(|version| the_box.holds("b", version));
            assert!(!boots || whole, "{left} of {steps}, seed {seed}: half a slot would boot");
            // And the next attempt succeeds.
            if seed == 0 {
                the_box.install(&new).unwrap();
                assert!(the_box.holds("b", "1.1.0"));
            }
        }
    }
}

fn bundle_once(ca: &Ca) -> Vec<u8> {
    use std::sync::OnceLock;
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    MADE.get_or_init(|| bundle(ca, "1.0.5")).clone()
}

#[test]
fn a_cut_during_the_commit_leaves_the_old_order_or_the_new_one() {
    let ca = Ca::new("ours");
    let mut seen = Vec::new();
    for left in 0..3 {
        for seed in 0..if long() { 200 } else { 20 } {
            let mut the_box = Box_::new(&ca);
            the_box.start(Slot::B, true, "1.1.0");
            let disk = Failing::new(&the_box.boot.devices, left);
            let done = ask(&the_box.agent_on(Box::new(disk.clone())), &Request::Commit {});
            assert_eq!(done.is_ok(), left >= 2, "a write and a sync");
            disk.cut(&mut Seeded(seed));
            let slot = committed(&the_box);
            assert!(left < 2 || slot == Slot::B, "what was acknowledged is kept");
            seen.push(slot);
            // The floor has risen only if the commit is there.
            let floor = fs::read_to_string(the_box.path("state/version-floor")).unwrap_or_default();
            assert!(slot == Slot::B || floor.is_empty(), "{floor}");
        }
    }
    assert!(seen.contains(&Slot::A) && seen.contains(&Slot::B));
}

#[test]
fn a_boot_order_that_is_damaged_is_an_error_and_never_a_panic() {
    let the_box = Box_::new(&Ca::new("ours"));
    let agent = the_box.agent();
    let path: PathBuf = the_box.path("autoboot");
    let good = fs::read(&path).unwrap();
    let mut random = Seeded(11);
    // Where something stands: boot sector, allocation table, folder, the file.
    let places: Vec<usize> =
        (0..64).chain(510..516).chain(65 * 512..65 * 512 + 64).chain(100 * 512..100 * 512 + 70).collect();
    let (mut fine, mut bad) = (0, 0);
    for _ in 0..if long() { 20_000 } else { 500 } {
        let mut fat = good.clone();
        for _ in 0..=random.next(4) {
            let place = places[random.next(places.len())];
            fat[place] = u8::try_from(random.next(256)).unwrap();
        }
        fs::write(&path, &fat).unwrap();
        match ask(&agent, &Request::Status {}) {
            Ok(_) => fine += 1,
            Err(_) => bad += 1,
        }
    }
    assert!(fine > 0 && bad > 0, "{fine} {bad}");
    fs::write(&path, &good[..300]).unwrap();
    assert!(ask(&agent, &Request::Status {}).is_err());
    // Both orders, and the length that both must have.
    assert_eq!(bootloader::text(Slot::A).len(), bootloader::text(Slot::B).len());
}
