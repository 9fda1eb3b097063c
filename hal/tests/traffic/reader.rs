//! A U.are.U reader and the program that drove it, as their traffic would have been recorded. Written
//! from what is known of the protocol and apart from our driver, so that the two must agree.

use crate::usbmon::{BULK, INTERRUPT, Layout, Recording, Urb};

pub(crate) const WIDTH: usize = 384;
pub(crate) const KEYBOARD: (u16, u16) = (0x045E, 0x00BB);
/// The first number that the recorded host draws at random.
pub(crate) const FIRST_SEED: u32 = 0x51EA_2124;
const TRANSFER: usize = 64 + 290 * WIDTH;

pub(crate) const SCAN_POWER: [u8; 2] = [0x56, 0xAA];
pub(crate) const FINGER_ON: [u8; 2] = [0x01, 0x01];
pub(crate) const FINGER_OFF: [u8; 2] = [0x02, 0x00];
pub(crate) const DEATH: [u8; 2] = [0x08, 0x00];

/// The blocks that a reader v2 was seen to send: flags and rows.
pub(crate) const BLOCKS_V2: &[(u8, u8)] =
    &[(2, 67), (0, 1), (2, 49), (1, 1), (0, 1), (2, 49), (0, 1), (2, 121)];
/// The key that it used.
const KEY_V2: u32 = 0xDB89_6F5F;
/// A challenge of it, and the answer that it took.
const CHALLENGE: u128 = 0x4dae_5a0b_1247_a86c_9fbf_29fd_cc17_8a74;
const RESPONSE: u128 = 0x3293_5137_1e4a_dfb1_f35f_09f3_29c6_ab46;

/// A session being recorded.
pub(crate) struct Session {
    pub(crate) usb: Recording,
    ids: (u16, u16),
    place: (u16, u8),
    listening: Option<Urb>,
    seeds: u32,
}

fn vendor(direction: u8, register: u16, length: usize) -> [u8; 8] {
    let [low, high] = register.to_le_bytes();
    [direction | 0x40, 4, low, high, 0, 0, u8::try_from(length).unwrap(), 0]
}

impl Session {
    pub(crate) fn of(ids: (u16, u16), layout: Layout) -> Self {
        let place = (1, 42);
        Self { usb: Recording::new(layout, place), ids, place, listening: None, seeds: FIRST_SEED }
    }

    /// What umockdev's description of the device would be.
    pub(crate) fn description(&self) -> String {
        let ((vendor, product), (bus, device)) = (self.ids, self.place);
        let descriptors: String =
            self.descriptors().concat().iter().map(|byte| format!("{byte:02X}")).collect();
        let minor = 128 * (bus - 1) + u16::from(device) - 1;
        format!(
            "P: /devices/pci0000:00/0000:00:14.0/usb1/1-2\nN: bus/usb/{bus:03}/{device:03}={descriptors}\n\
             E: DEVNAME=/dev/bus/usb/{bus:03}/{device:03}\nE: DEVTYPE=usb_device\nE: SUBSYSTEM=usb\n\
             E: PRODUCT={vendor:x}/{product:x}/100\nE: BUSNUM={bus:03}\nE: DEVNUM={device:03}\n\
             E: MAJOR=189\nE: MINOR={minor}\n\
             A: bConfigurationValue=1\\n\nA: bDeviceClass=00\\n\nA: bNumConfigurations=1\\n\n\
             A: busnum={bus}\\n\nA: devnum={device}\\n\nA: speed=12\\n\nH: descriptors={descriptors}\n\n\
             P: /devices/pci0000:00/0000:00:14.0/usb1\nN: bus/usb/{bus:03}/001\nE: DEVTYPE=usb_device\n\
             E: SUBSYSTEM=usb\nE: PRODUCT=1d6b/2/606\nE: BUSNUM={bus:03}\nE: DEVNUM=001\n"
        )
    }

    /// Of the device and of its configuration. One of the family is in a keyboard, and comes second.
    fn descriptors(&self) -> [Vec<u8>; 2] {
        let ids = [self.ids.0.to_le_bytes(), self.ids.1.to_le_bytes()].concat();
        let device = [&[18, 1, 0, 2, 0, 0, 0, 64][..], &ids, &[0, 1, 1, 2, 0, 1]].concat();
        let keyboard = if self.ids == KEYBOARD {
            &[9, 4, 0, 0, 1, 3, 1, 1, 0, 9, 0x21, 0x10, 1, 0, 1, 0x22, 65, 0, 7, 5, 0x83, 3, 8, 0, 10][..]
        } else {
            &[]
        };
        let (number, length) = (u8::from(!keyboard.is_empty()), u8::try_from(32 + keyboard.len()).unwrap());
        let start = [9, 2, length, 0, 1 + number, 1, 0, 0xA0, 50];
        let reader =
            [9, 4, number, 0, 2, 0xFF, 0xFF, 0xFF, 0, 7, 5, 0x81, 3, 64, 0, 10, 7, 5, 0x82, 2, 64, 0, 0];
        [device, [&start[..], keyboard, &reader].concat()]
    }

    /// What the kernel and udev ask a device that was plugged in.
    pub(crate) fn enumeration(&mut self) {
        let [device, configuration] = self.descriptors();
        let usb = &mut self.usb;
        usb.control_in([0x80, 6, 0, 1, 0, 0, 18, 0], &device);
        usb.control_in([0x80, 6, 0, 2, 0, 0, 9, 0], &configuration[..9]);
        usb.control_in([0x80, 6, 0, 2, 0, 0, 32, 0], &configuration[..32]);
        usb.control_out([0x00, 9, 1, 0, 0, 0, 0, 0], &[]);
        usb.control_in([0x80, 6, 0, 3, 0, 0, 255, 0], &[4, 3, 9, 4]);
        // A string that it does not have.
        let urb = usb.submit(crate::usbmon::CONTROL, 0x80, Some([0x80, 6, 3, 3, 9, 4, 255, 0]), &[], 255);
        usb.complete(urb, -32, &[]);
        usb.control_in([0x80, 0, 0, 0, 0, 0, 2, 0], &[0, 0]);
    }

    pub(crate) fn read(&mut self, register: u16, answer: &[u8]) {
        self.usb.control_in(vendor(0x80, register, answer.len()), answer);
    }

    pub(crate) fn write(&mut self, register: u16, data: &[u8]) {
        self.usb.control_out(vendor(0, register, data.len()), data);
    }

    pub(crate) fn mode(&mut self, mode: u8) {
        self.write(0x4E, &[mode]);
    }

    /// The host makes an interrupt transfer pending.
    pub(crate) fn listen(&mut self) {
        self.listening = Some(self.usb.submit(INTERRUPT, 0x81, None, &[], 64));
    }

    /// The reader interrupts, and the host listens on.
    pub(crate) fn interrupt(&mut self, start: [u8; 2]) {
        let mut data = [0x10; 64];
        data[..2].copy_from_slice(&start);
        if let Some(urb) = self.listening.take() {
            self.usb.complete(urb, 0, &data);
        }
        self.listen();
    }

    /// The host closes the reader.
    pub(crate) fn close(&mut self) {
        self.mode(0x70);
        if let Some(urb) = self.listening.take() {
            self.usb.complete(urb, -2, &[]);
        }
    }

    pub(crate) fn authenticate(&mut self) {
        self.read(0x2010, &CHALLENGE.to_be_bytes());
        self.write(0x2000, &RESPONSE.to_be_bytes());
    }

    /// Power off, power on after some rounds, and what of it comes by interrupt.
    pub(crate) fn power_up(&mut self, found: u8, rounds: usize, authenticates: bool) {
        if found & 0x80 == 0 {
            self.write(0x07, &[found | 0x80]);
        }
        for _ in 0..rounds {
            self.write(0x07, &[found & 0x0F]);
            self.read(0x07, &[found | 0x80]);
            if authenticates {
                self.authenticate();
            }
        }
        self.write(0x07, &[found & 0x0F]);
        self.read(0x07, &[found & 0x0F]);
    }

    /// The start of a reader without peculiarities.
    pub(crate) fn start(&mut self, rounds: usize, authenticates: bool) {
        self.listen();
        self.read(0x07, &[0x03]);
        self.power_up(0x03, rounds, authenticates);
        self.interrupt(SCAN_POWER);
        self.read(0xF0, &[0x1A; 16]);
    }

    pub(crate) fn finger(&mut self) {
        self.mode(0x10);
        self.interrupt(FINGER_ON);
    }

    /// The image transfer alone.
    pub(crate) fn transfer(&mut self, data: &[u8]) {
        let urb = self.usb.submit(BULK, 0x82, None, &[], TRANSFER);
        self.mode(0x20);
        self.usb.complete(urb, 0, data);
    }

    /// The host draws a seed and reads the key; the reader's own is `key`.
    fn fetch_key(&mut self, number: u8, key: u32) {
        let seed = self.seeds;
        self.seeds = self.seeds.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
        self.write(0x33, &[&[number][..], &seed.to_le_bytes()].concat());
        self.read(0x34, &(key ^ seed).to_le_bytes());
    }

    /// A whole image: the transfer and the keys that its blocks need. Every next key is the former
    /// one plus one.
    pub(crate) fn image(&mut self, skin: &Skin, blocks: &[(u8, u8)]) {
        self.transfer(&skin.wire(blocks));
        self.keys(skin, blocks);
    }

    /// The same, and the reader was not told to take it.
    pub(crate) fn image_unasked(&mut self, skin: &Skin, blocks: &[(u8, u8)]) {
        let urb = self.usb.submit(BULK, 0x82, None, &[], TRANSFER);
        self.usb.complete(urb, 0, &skin.wire(blocks));
        self.keys(skin, blocks);
    }

    fn keys(&mut self, skin: &Skin, blocks: &[(u8, u8)]) {
        if blocks.iter().all(|(flags, _)| flags & 0x02 == 0) {
            return;
        }
        let (mut number, mut key) = (skin.key_number, KEY_V2);
        self.fetch_key(number, key);
        for _ in blocks.iter().filter(|(flags, _)| flags & 0x80 != 0) {
            (number, key) = (number + 1, key + 1);
            self.fetch_key(number, key);
        }
    }

    pub(crate) fn lift(&mut self) {
        self.mode(0x12);
        self.interrupt(FINGER_OFF);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.usb.finish()
    }
}

/// What lies on the glass: rows as the sensor sees them, bright on dark, and no noise.
pub(crate) struct Skin {
    rows: Vec<u8>,
    pub(crate) key_number: u8,
}

impl Skin {
    pub(crate) fn new(seed: usize) -> Self {
        let ridge = |x: usize, y: usize| 60 + ((x + seed) * (x + 3) / 37 + y * (y + seed) / 29) % 60;
        let rows = (0..289 * WIDTH).map(|at| u8::try_from(ridge(at % WIDTH, at / WIDTH)).unwrap());
        Self { rows: rows.collect(), key_number: 0x21 }
    }

    fn row_lengths(blocks: &[(u8, u8)]) -> impl Iterator<Item = (u8, usize)> {
        blocks.iter().map(|(flags, count)| (*flags, usize::from(*count) * WIDTH))
    }

    /// The transfer: header, then the rows, scrambled where the blocks say so.
    pub(crate) fn wire(&self, blocks: &[(u8, u8)]) -> Vec<u8> {
        let mut wire = vec![0xC5; 64];
        wire[4..6].copy_from_slice(&289_u16.to_le_bytes());
        wire[6] = self.key_number;
        wire[16..46].fill(0);
        let (mut first, mut register, mut rest) = (KEY_V2, KEY_V2, &self.rows[..]);
        for (at, (flags, length)) in Self::row_lengths(blocks).enumerate() {
            wire[16 + 2 * at..18 + 2 * at].copy_from_slice(&[flags, u8::try_from(length / WIDTH).unwrap()]);
            if flags & 0x80 != 0 {
                first += 1;
                register = first;
            }
            let present = if flags & 1 == 0 { length } else { 0 };
            let (block, following) = rest.split_at(present);
            match flags & 6 {
                2 if present > 0 => {
                    // Moved by one: the first byte is noise, the last one is lost.
                    wire.push(0x5A);
                    for byte in &block[..present - 1] {
                        wire.push(byte ^ cover(register));
                        register = step(register);
                    }
                    register = step(register);
                }
                0 | 2 => {
                    wire.extend_from_slice(block);
                    (0..length).for_each(|_| register = step(register));
                }
                _ => wire.extend_from_slice(block),
            }
            rest = following;
        }
        assert!(rest.is_empty(), "the blocks hold every row");
        wire
    }

    /// The picture that must come out.
    pub(crate) fn picture(&self, blocks: &[(u8, u8)], turned: bool) -> Vec<u8> {
        let mut rows = self.rows.clone();
        let mut start = 0;
        for (flags, length) in Self::row_lengths(blocks).filter(|(flags, _)| flags & 1 == 0) {
            if flags & 6 == 2 {
                rows[start + length - 1] = 0;
            }
            start += length;
        }
        let (mut picture, mut start) = (Vec::new(), 0);
        for (flags, length) in Self::row_lengths(blocks) {
            picture.extend(rows[start..start + length].iter().map(|bright| 255 - bright));
            start += if flags & 1 == 0 { length } else { 0 };
        }
        if turned {
            picture.reverse();
        }
        picture
    }
}

/// The register of the scrambling, in the form of exclusive ors of its taps.
fn step(register: u32) -> u32 {
    let taps = [0, 2, 3, 6, 10, 12, 19, 22, 25, 28, 31];
    let bit = taps.iter().fold(0, |bit, tap| bit ^ (register >> tap) & 1);
    register >> 1 | bit << 31
}

fn cover(register: u32) -> u8 {
    [29, 24, 21, 18, 14, 11, 8, 4]
        .iter()
        .fold(0, |byte, from| byte << 1 | u8::from(register >> from & 1 == 1))
}
