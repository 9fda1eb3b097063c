//! What is fed, and what each promises. A promise broken is a panic.

use authenteon_hal::{
    Dpi, Frame,
    decode::decode,
    encode,
    replay::traffic,
    sensor::SensorError,
    transport::recording,
    uru4000::image::{self, KeySource},
    zfm::packet::{Decoder, Kind, Packet},
};
use authenteon_matcher::{Minutia, MinutiaKind, Template, interchange};

/// One target.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Valid inputs.
    pub(crate) corpus: fn() -> Vec<Vec<u8>>,
    /// Takes an input, and says whether it was valid.
    pub(crate) feed: fn(&[u8]) -> bool,
}

pub(crate) const TARGETS: [Target; 6] = [
    Target { name: "zfm-packets", what: "packets of the 0xEF01 family", corpus: zfm_corpus, feed: zfm },
    Target { name: "uru4000-image", what: "image transfers of the U.are.U", corpus: uru_corpus, feed: uru },
    Target { name: "recording", what: "recordings of USB traffic", corpus: pcap_corpus, feed: pcap },
    Target { name: "template", what: "native templates", corpus: template_corpus, feed: template },
    Target { name: "record", what: "ISO and ANSI minutiae records", corpus: record_corpus, feed: record },
    Target { name: "picture", what: "PNG, TIFF, BMP and WSQ files", corpus: picture_corpus, feed: picture },
];

fn zfm_corpus() -> Vec<Vec<u8>> {
    let packet = |kind, length: usize| {
        let payload: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
        Packet::new(0xFFFF_FFFF, kind, &payload).map(|packet| packet.encode().to_vec()).unwrap_or_default()
    };
    let stream = [packet(Kind::Ack, 1), packet(Kind::Data, 128), packet(Kind::LastData, 32)].concat();
    vec![packet(Kind::Command, 1), packet(Kind::Ack, 17), packet(Kind::Data, 256), stream]
}

/// However the bytes are cut, the same packets come out.
fn zfm(input: &[u8]) -> bool {
    let packets = |step: usize| {
        let mut decoder = Decoder::new();
        let mut found: Vec<Option<Vec<u8>>> = Vec::new();
        for mut part in input.chunks(step) {
            while !part.is_empty() {
                let taken = decoder.push(part);
                part = &part[taken..];
                let before = found.len();
                while let Some(next) = decoder.next_packet() {
                    found.push(next.ok().map(|packet| packet.encode().to_vec()));
                }
                assert!(taken > 0 || found.len() > before, "the decoder takes nothing and gives nothing");
            }
        }
        found
    };
    let whole = packets(4096);
    assert!(whole == packets(1), "packets depend on how the bytes arrive");
    whole.iter().any(Option::is_some)
}

/// Keys that follow from their numbers.
struct Keys;

impl KeySource for Keys {
    fn key(&mut self, number: u8) -> Result<u32, SensorError> {
        Ok(0x5444_09D6 ^ u32::from(number))
    }
}

fn uru_corpus() -> Vec<Vec<u8>> {
    let transfer = |lines: u16, blocks: &[(u8, u8)], noisy: bool| {
        let mut transfer = vec![0; 64];
        transfer[4..6].copy_from_slice(&lines.to_le_bytes());
        for (at, &(flags, rows)) in blocks.iter().enumerate() {
            transfer[16 + 2 * at..18 + 2 * at].copy_from_slice(&[flags, rows]);
        }
        let body = usize::from(lines) * 384;
        transfer
            .extend((0..body).map(|at| if noisy { ((at * at * 31) >> 3) as u8 } else { (at / 384) as u8 }));
        transfer
    };
    vec![
        transfer(289, &[(2, 72), (0, 1), (2, 49), (1, 1), (0, 1), (2, 49), (0, 1), (2, 116)], true),
        transfer(289, &[(0, 145), (0, 144)], false),
        transfer(80, &[(0x82, 40), (2, 20), (1, 3), (0x80, 20)], true),
        transfer(144, &[(5, 144), (0, 144)], false),
    ]
}

fn uru(input: &[u8]) -> bool {
    let frame = image::decode(input, input.len().is_multiple_of(2), Dpi::STANDARD, &mut Keys);
    if let Ok(frame) = &frame {
        assert_eq!((frame.width(), frame.pixels().len() % 384), (384, 0));
        assert!(frame.height() <= 2 * 290, "a frame of {} rows", frame.height());
    }
    frame.is_ok()
}

/// A recording with one transfer there and back, in the format of usbmon.
fn pcap_corpus() -> Vec<Vec<u8>> {
    let block = |kind: u32, body: &[u8]| {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, &body, &length].concat()
    };
    let section =
        block(0x0A0D_0D0A, &[&0x1A2B_3C4D_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xFF; 8]].concat());
    let interface = block(1, &[220, 0, 0, 0, 0, 0, 4, 0]);
    let packet = |kind: u8, endpoint: u8, transfer: u8, data: &[u8]| {
        let mut usb = vec![0; 64];
        usb[0] = 7;
        usb[8..12].copy_from_slice(&[kind, transfer, endpoint, 5]);
        usb[12..14].copy_from_slice(&[1, 0]);
        usb[32..36].copy_from_slice(&64_u32.to_le_bytes());
        usb[36..40].copy_from_slice(&(data.len() as u32).to_le_bytes());
        usb.extend_from_slice(data);
        let length = (usb.len() as u32).to_le_bytes();
        block(6, &[&[0; 12][..], &length, &length, &usb].concat())
    };
    let pcap = [
        section,
        interface,
        packet(b'S', 0x81, 1, &[]),
        packet(b'C', 0x81, 1, &[0x56, 0xAA, 0, 0]),
        packet(b'S', 0x80, 2, &[]),
        packet(b'C', 0x80, 2, &[1]),
    ]
    .concat();
    let ioctl = b"@DEV /dev/bus/usb/001/005\nUSBDEVFS_REAPURB 0 3 130 0 0 4 4 0 80380100\n".to_vec();
    vec![pcap, ioctl]
}

/// Whatever is recorded, a driver that plays it comes to an end.
fn pcap(input: &[u8]) -> bool {
    let description =
        if input.len().is_multiple_of(2) { "E: PRODUCT=5ba/a/103\n" } else { "E: PRODUCT=298d/1010/1\n" };
    // Hardly ever a frame; what counts is that it ends.
    let _ = traffic::play(description, input, None);
    recording::parse(input).is_ok()
}

fn minutiae(count: u32) -> Template {
    let minutia = |n: u32| {
        let hash = n.wrapping_mul(2_654_435_761);
        Minutia {
            x: (hash >> 3) as u16 % 3000,
            y: (hash >> 17) as u16 % 3000,
            angle: hash as u8,
            kind: if n.is_multiple_of(3) { MinutiaKind::Bifurcation } else { MinutiaKind::Ending },
            quality: (n % 101) as u8,
        }
    };
    // Minutiae that lie within the picture make a template; none is no input.
    Template::from_minutiae(300, 300, (0..count).map(minutia).collect())
        .unwrap_or_else(|why| unreachable!("the corpus is made of valid minutiae: {why}"))
}

fn template_corpus() -> Vec<Vec<u8>> {
    let plain: Vec<Vec<u8>> = [0, 1, 30, 128].map(|count| minutiae(count).to_bytes()).to_vec();
    // With the flow of the ridges: version 2 and two bytes for each cell of 24 pixels.
    let mut flow = plain[2].clone();
    flow[4] = 2;
    flow.extend((0..13 * 13).flat_map(|cell: u32| [(cell * 5) as u8, 100 + (cell % 40) as u8]));
    [plain, vec![flow]].concat()
}

fn template(input: &[u8]) -> bool {
    let read = Template::from_bytes(input);
    if let Ok(template) = &read {
        assert!(template.to_bytes() == input, "what was read is not what is written");
    }
    read.is_ok()
}

fn record_corpus() -> Vec<Vec<u8>> {
    use interchange::{Format, Record, View};
    let view = |position, count| View {
        position,
        impression: 0,
        quality: Some(70),
        template: minutiae(count),
        extensions: Vec::new(),
    };
    let record = Record { views: vec![view(1, 30), view(2, 12)] };
    [Format::Iso2005, Format::Iso2011, Format::Ansi2004, Format::Ansi2009]
        .into_iter()
        .filter_map(|format| interchange::encode(&record, format).ok())
        .collect()
}

fn record(input: &[u8]) -> bool {
    let _ = interchange::decode_as(input, interchange::Format::Compact);
    let Ok(record) = interchange::decode(input) else { return false };
    if let Ok(format) = interchange::detect(input)
        && let Ok(bytes) = interchange::encode(&record, format)
    {
        assert!(interchange::decode(&bytes).is_ok(), "what is written cannot be read");
    }
    true
}

fn picture_corpus() -> Vec<Vec<u8>> {
    let pixels = (0..90 * 80).map(|at: u32| (at * at / 7) as u8).collect();
    let png = Frame::new(90, 80, Dpi::STANDARD, pixels).ok().and_then(|frame| encode::png(&frame).ok());
    let wsq = include_bytes!("../../hal/fixtures/126_1.wsq").to_vec();
    [png.unwrap_or_default(), wsq].to_vec()
}

fn picture(input: &[u8]) -> bool {
    decode(input, Dpi::STANDARD).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_takes_its_own_corpus() {
        for target in &TARGETS {
            let corpus = (target.corpus)();
            assert!(!corpus.is_empty(), "{}", target.name);
            for (index, input) in corpus.iter().enumerate() {
                assert!((target.feed)(input), "{} does not take its input {index}", target.name);
            }
        }
    }
}
