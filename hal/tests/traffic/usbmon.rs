//! Writes what usbmon and a capture program would: pcapng with one packet for each submission and
//! each completion of a transfer. Written apart from the reader of such files.

/// One of the files that a capture may end up as.
#[derive(Clone, Copy, Default)]
pub(crate) enum Layout {
    /// What dumpcap writes on Linux: 64-byte headers, a name and a snap length.
    #[default]
    Dumpcap,
    /// Headers of 48 bytes, and no options anywhere.
    Short,
    /// A network interface was captured into the same file, and stands first in it.
    BesideNetwork,
}

const SETTINGS: &[u8] = b"\x02\x00\x07\x00usbmon1\0\x09\x00\x01\x00\x06\0\0\0\0\0\0\0";

/// A transfer that was submitted.
#[derive(Clone, Copy)]
pub(crate) struct Urb {
    id: u64,
    kind: u8,
    endpoint: u8,
    /// Bytes that go to the device.
    sent: usize,
}

pub(crate) const INTERRUPT: u8 = 1;
pub(crate) const CONTROL: u8 = 2;
pub(crate) const BULK: u8 = 3;

/// A recording in the making.
pub(crate) struct Recording {
    layout: Layout,
    file: Vec<u8>,
    /// Bus and address of the device.
    place: (u16, u8),
    urbs: u64,
}

impl Recording {
    pub(crate) fn new(layout: Layout, place: (u16, u8)) -> Self {
        let mut recording = Self { layout, file: Vec::new(), place, urbs: 0 };
        let comment = b"\x01\x00\x05\x00bench\0\0\0\0\0\0\0";
        let section = [&0x1A2B_3C4D_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xFF; 8], comment].concat();
        recording.block(0x0A0D_0D0A, &section);
        if let Layout::BesideNetwork = layout {
            recording.block(1, &[1, 0, 0, 0, 0, 0, 4, 0]);
        }
        match layout {
            Layout::Short => recording.block(1, &[189, 0, 0, 0, 0, 0, 0, 0]),
            _ => recording.block(1, &[&[220, 0, 0, 0, 0, 0, 4, 0][..], SETTINGS].concat()),
        }
        recording
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        // Statistics of the interface, as capture programs add at their end.
        self.block(5, &[0; 12]);
        self.file
    }

    /// The same from another device on the bus, then on with this one.
    pub(crate) fn stranger(&mut self, place: (u16, u8), traffic: impl FnOnce(&mut Self)) {
        let ours = std::mem::replace(&mut self.place, place);
        traffic(self);
        self.place = ours;
    }

    pub(crate) fn submit(
        &mut self,
        kind: u8,
        endpoint: u8,
        setup: Option<[u8; 8]>,
        data: &[u8],
        length: usize,
    ) -> Urb {
        self.urbs += 1;
        // Addresses of kernel memory are used again and again, but never while one is pending there.
        let urb = Urb {
            id: 0xFFFF_9D86_0000_0000 | u64::from(kind) << 16 | (self.urbs % 7) << 6,
            kind,
            endpoint,
            sent: data.len(),
        };
        self.event(b'S', urb, setup, -115, length, data);
        urb
    }

    pub(crate) fn complete(&mut self, urb: Urb, status: i32, data: &[u8]) {
        // A completion tells how much went over the wire, and repeats only what came from the device.
        self.event(b'C', urb, None, status, urb.sent + data.len(), data);
    }

    /// A transfer on endpoint 0 that reads, with its answer.
    pub(crate) fn control_in(&mut self, setup: [u8; 8], answer: &[u8]) {
        let length = usize::from(u16::from_le_bytes([setup[6], setup[7]]));
        let urb = self.submit(CONTROL, 0x80, Some(setup), &[], length);
        self.complete(urb, 0, answer);
    }

    /// A transfer on endpoint 0 that writes.
    pub(crate) fn control_out(&mut self, setup: [u8; 8], data: &[u8]) {
        let urb = self.submit(CONTROL, 0x00, Some(setup), data, data.len());
        self.complete(urb, 0, &[]);
    }

    fn event(
        &mut self,
        phase: u8,
        urb: Urb,
        setup: Option<[u8; 8]>,
        status: i32,
        length: usize,
        data: &[u8],
    ) {
        let mut packet = vec![0; 64];
        packet[..8].copy_from_slice(&urb.id.to_le_bytes());
        packet[8..12].copy_from_slice(&[phase, urb.kind, urb.endpoint, self.place.1]);
        packet[12..14].copy_from_slice(&self.place.0.to_le_bytes());
        packet[14] = if setup.is_some() { 0 } else { b'-' };
        packet[15] = if data.is_empty() { b'<' } else { 0 };
        packet[28..32].copy_from_slice(&status.to_le_bytes());
        packet[32..36].copy_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
        packet[36..40].copy_from_slice(&u32::try_from(data.len()).unwrap().to_le_bytes());
        packet[40..48].copy_from_slice(&setup.unwrap_or_default());
        if let Layout::Short = self.layout {
            packet.truncate(48);
        }
        packet.extend_from_slice(data);
        let interface = if let Layout::BesideNetwork = self.layout {
            self.packet(0, b"\xFF\xFF\xFF\xFF\xFF\xFF a frame of the network");
            1
        } else {
            0
        };
        self.packet(interface, &packet);
    }

    fn packet(&mut self, interface: u32, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let mut body = [&interface.to_le_bytes()[..], &[0; 8], &length, &length, bytes].concat();
        body.resize(body.len().next_multiple_of(4), 0);
        // Flags of the packet, and the end of options.
        body.extend_from_slice(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        self.block(6, &body);
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let padded = body.len().next_multiple_of(4);
        let length = u32::try_from(padded + 12).unwrap().to_le_bytes();
        self.file.extend_from_slice(&kind.to_le_bytes());
        self.file.extend_from_slice(&length);
        self.file.extend_from_slice(body);
        self.file.resize(self.file.len() + padded - body.len(), 0);
        self.file.extend_from_slice(&length);
    }
}
