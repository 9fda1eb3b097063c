//! A U.are.U reader in memory: registers, power, interrupts and images, and ways to fail.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::clock::{Clock, VirtualClock};
use crate::transport::usb::{Request, UsbError, UsbTransport};

pub(super) const POWER: [u8; 2] = [0x56, 0xAA];
pub(super) const ON: [u8; 2] = [0x01, 0x01];
pub(super) const OFF: [u8; 2] = [0x02, 0x00];
pub(super) const DEATH: [u8; 2] = [0x08, 0x00];

/// What a reader keeps.
pub(super) struct State {
    pub(super) status: u8,
    pub(super) mode: u8,
    pub(super) interrupts: VecDeque<[u8; 2]>,
    interrupts_pending: usize,
    images_pending: usize,
    /// Whether a finger lies on it.
    pub(super) finger: bool,
    /// What it sends for each capture; the last one again and again.
    pub(super) images: VecDeque<Vec<u8>>,
    image_due: bool,
    pub(super) challenge: Option<[u8; 16]>,
    pub(super) response: Option<[u8; 16]>,
    /// How many scan-power interrupts it swallows.
    pub(super) swallows: usize,
    /// Status reads until it is up.
    pub(super) boots_in: usize,
    pub(super) starts: usize,
    pub(super) unplugged: bool,
    /// It takes images and sends none.
    pub(super) mute: bool,
    /// Control transfers to this register stall.
    pub(super) stalls: Option<u16>,
}

/// One reader; clones are the same one.
#[derive(Clone)]
pub(super) struct Reader {
    state: Arc<Mutex<State>>,
    pub(super) clock: Arc<VirtualClock>,
}

impl Reader {
    pub(super) fn new(image: Vec<u8>) -> Self {
        let state = State {
            status: 0x01,
            mode: 0x70,
            interrupts: VecDeque::new(),
            interrupts_pending: 0,
            images_pending: 0,
            finger: false,
            images: VecDeque::from([image]),
            image_due: false,
            challenge: None,
            response: None,
            swallows: 0,
            boots_in: 0,
            starts: 0,
            unplugged: false,
            mute: false,
            stalls: None,
        };
        Self { state: Arc::new(Mutex::new(state)), clock: Arc::new(VirtualClock::new()) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn present(&self, register: u16) -> Result<MutexGuard<'_, State>, UsbError> {
        let state = self.state();
        match (state.unplugged, state.stalls) {
            (true, _) => Err(UsbError::Gone),
            (_, Some(stalls)) if stalls == register => Err(UsbError::Stall),
            _ => Ok(state),
        }
    }
}

/// A frame of 289 plain rows in one header.
pub(super) fn plain_image() -> Vec<u8> {
    let mut image = vec![0; 64];
    image[4..6].copy_from_slice(&289_u16.to_le_bytes());
    image[16..20].copy_from_slice(&[0, 200, 0, 89]);
    image.extend((0..289 * 384).map(|at| (100 + at / 384 % 50) as u8));
    image
}

impl UsbTransport for Reader {
    fn control_in(&mut self, request: Request, data: &mut [u8], _: Duration) -> Result<usize, UsbError> {
        let mut state = self.present(request.value)?;
        assert_eq!(request.request, 4);
        let bytes = match request.value {
            0x07 => {
                state.boots_in = state.boots_in.saturating_sub(1);
                vec![if state.boots_in > 0 { state.status & !1 } else { state.status }]
            }
            0xF0 => vec![0; 16],
            0x2010 => state.challenge.unwrap().to_vec(),
            other => panic!("register {other:#x} is not read from a plain reader"),
        };
        data.copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn control_out(&mut self, request: Request, data: &[u8], _: Duration) -> Result<(), UsbError> {
        let mut state = self.present(request.value)?;
        match (request.value, data) {
            (0x07, [value]) if value & 0x80 != 0 => state.status = *value,
            (0x07, [value]) => {
                let admitted = state.challenge.is_none() || state.response.is_some();
                if state.boots_in == 0 && admitted {
                    state.starts += 1;
                    if state.swallows == 0 {
                        state.interrupts.extend([POWER; 3]);
                    }
                    state.swallows = state.swallows.saturating_sub(1);
                    state.status = value | 1;
                } else if state.boots_in > 0 {
                    state.status = value | 0x80;
                }
            }
            (0x4E, [mode]) => {
                state.mode = *mode;
                match (*mode, state.finger) {
                    (0x10, true) => state.interrupts.push_back(ON),
                    (0x12, false) => state.interrupts.push_back(OFF),
                    // Nobody listening, no image.
                    (0x20, _) => state.image_due = state.images_pending > 0 && !state.mute,
                    _ => {}
                }
            }
            (0x2000, response) => state.response = Some(response.try_into().unwrap()),
            (other, _) => panic!("register {other:#x} is not written on a plain reader"),
        }
        Ok(())
    }

    fn bulk_out(&mut self, _: u8, _: &[u8], _: Duration) -> Result<(), UsbError> {
        panic!("this reader has no bulk OUT endpoint");
    }

    fn submit(&mut self, endpoint: u8, length: usize) -> Result<(), UsbError> {
        let mut state = self.present(0)?;
        match (endpoint, length) {
            (0x81, 64) => state.interrupts_pending += 1,
            (0x82, 111_424) => state.images_pending += 1,
            other => panic!("{other:x?}"),
        }
        Ok(())
    }

    fn wait(&mut self, endpoint: u8, data: &mut [u8], limit: Duration) -> Result<usize, UsbError> {
        let mut state = self.present(0)?;
        let arrived = if endpoint == 0x81 {
            assert!(state.interrupts_pending > 0, "nobody listens");
            let interrupt = state.interrupts.pop_front().map(|start| start.to_vec());
            state.interrupts_pending -= usize::from(interrupt.is_some());
            interrupt
        } else if state.image_due {
            state.image_due = false;
            state.images_pending -= 1;
            if state.images.len() > 1 { state.images.pop_front() } else { state.images.front().cloned() }
        } else {
            None
        };
        let Some(arrived) = arrived else {
            self.clock.sleep(limit);
            return Err(UsbError::TimedOut);
        };
        data[..arrived.len()].copy_from_slice(&arrived);
        Ok(arrived.len())
    }

    fn cancel(&mut self, endpoint: u8) {
        let mut state = self.state();
        if endpoint == 0x81 {
            state.interrupts_pending = 0;
        } else {
            state.images_pending = 0;
        }
    }
}
