//! WSQ files, the FBI's compressed fingerprints (IAFIS-IC-0110, version 3.1), to grey pixels.
//!
//! A file is a chain of segments: tables, a frame header, and three blocks of Huffman-coded wavelet
//! coefficients. The way of the data: [`segments`] -> [`huffman`] -> dequantised subbands
//! ([`subbands`]) -> [`synthesis`] -> pixels.
//!
//! Invariant: the size in the frame header passes [`Frame::check_size`] before anything in proportion
//! to it is allocated, nothing is read past the end, and no input makes it panic.

#[cfg(any(test, feature = "emulator"))]
pub(crate) mod encoder;
mod huffman;
mod segments;
mod subbands;
mod synthesis;
#[cfg(test)]
mod tests;

use huffman::{Block, HuffmanTable};
use segments::{Fields, Segments};
use subbands::{CODED, Layout};
use synthesis::Filters;

use super::DecodeError;
use crate::frame::{Dpi, Frame};

/// Start of image.
const SOI: u16 = 0xFFA0;
/// End of image.
const EOI: u16 = 0xFFA1;
/// Start of frame: size and scale of the image.
const SOF: u16 = 0xFFA2;
/// Start of block: the coefficients of some subbands.
const SOB: u16 = 0xFFA3;
/// Transform table: the filters' taps.
const DTT: u16 = 0xFFA4;
/// Quantisation table.
const DQT: u16 = 0xFFA5;
/// Huffman tables.
const DHT: u16 = 0xFFA6;
/// Restart interval.
const DRT: u16 = 0xFFA7;
/// Comment.
const COM: u16 = 0xFFA8;

/// Huffman tables that a file can hold at a time.
const HUFFMAN_TABLES: usize = 8;
/// Subbands of the three blocks.
const BLOCKS: [std::ops::Range<usize>; 3] = [0..19, 19..52, 52..CODED];

/// Why a WSQ file cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WsqError {
    /// The file ends before its last segment does.
    #[error("the file ends early")]
    Truncated,
    /// A marker that is none, or stands where it may not.
    #[error("marker {0:#06x} may not stand where it does")]
    Marker(u16),
    /// A segment is shorter or longer than what is in it.
    #[error("the length of the {0} contradicts its content")]
    Length(&'static str),
    /// Something that must come first has not come.
    #[error("the {0} is missing")]
    Missing(&'static str),
    /// The Huffman table has more codes than its lengths leave room for, or a number that none has.
    #[error("the Huffman table is impossible")]
    Table,
    /// The coefficients hold a code that the Huffman table does not have.
    #[error("a code that the Huffman table does not have")]
    Code,
    /// A block holds fewer coefficients than its subbands.
    #[error("block {0} of the coefficients ends early")]
    BlockShort(usize),
    /// A block holds more coefficients than its subbands.
    #[error("block {0} of the coefficients does not end with its subbands")]
    BlockLong(usize),
    /// Filters of even length, or longer than any encoder's.
    #[error("filters of {analysis_low} and {analysis_high} taps are not supported")]
    Filters {
        /// Taps of the low-pass filter that the encoder used.
        analysis_low: u8,
        /// Taps of its high-pass filter.
        analysis_high: u8,
    },
    /// Restart intervals, which no encoder writes.
    #[error("restart intervals are not supported")]
    Restart,
}

/// Whether bytes begin as a WSQ file does: start of image, and another marker.
pub(super) fn is_wsq(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, 0xA0, 0xFF])
}

/// Decodes a file. A resolution that the file tells in its NIST comment is believed before `dpi`.
pub(super) fn decode(bytes: &[u8], dpi: Dpi) -> Result<Frame, DecodeError> {
    let mut file = Segments::new(bytes);
    let first = file.marker()?;
    if first != SOI {
        return Err(WsqError::Marker(first).into());
    }
    let mut tables = Tables::default();
    let (mut header, mut resolution) = (None, None);
    let mut picture: Option<Coefficients> = None;
    loop {
        match file.marker()? {
            SOF if header.is_none() => header = Some(Header::read(file.body("frame header")?)?),
            DTT => tables.filters = Some(Filters::read(file.body("transform table")?)?),
            DQT => tables.quantisers = Some(Quantisers::read(file.body("quantisation table")?)?),
            DHT => tables.read_huffman(file.body("Huffman table")?)?,
            COM => resolution = resolution.or(stated_resolution(file.body("comment")?.all())),
            SOB => {
                let header = header.as_ref().ok_or(WsqError::Missing("frame header"))?;
                let picture = picture.get_or_insert_with(|| Coefficients::new(header));
                picture.read_block(&mut file, &tables)?;
            }
            DRT => return Err(WsqError::Restart.into()),
            EOI => break,
            other => return Err(WsqError::Marker(other).into()),
        }
    }
    let header = header.ok_or(WsqError::Missing("frame header"))?;
    let filters = tables.filters.ok_or(WsqError::Missing("transform table"))?;
    let picture = picture.filter(|p| p.blocks == BLOCKS.len()).ok_or(WsqError::Missing("last block"))?;
    let dpi = resolution.map_or(Ok(dpi), Dpi::new)?;
    Ok(Frame::new(header.width, header.height, dpi, picture.into_pixels(&filters, &header))?)
}

/// The `PPI` line of a NIST comment; encoders that do not know it leave it out or write -1.
fn stated_resolution(comment: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(comment).ok()?;
    let mut lines = text.lines();
    lines.next().filter(|first| first.starts_with("NIST_COM"))?;
    let value = lines.find_map(|line| line.strip_prefix("PPI "))?;
    value.trim().parse().ok().filter(|ppi| *ppi > 0)
}

/// Size of the image, and the way from coefficients back to grey.
struct Header {
    width: u32,
    height: u32,
    /// Added to every pixel: the mean that the encoder took away.
    shift: f32,
    /// Times which the encoder's numbers are grey levels.
    scale: f32,
}

impl Header {
    fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        fields.u16()?; // what black and white are: no decoder uses it
        let (height, width) = (u32::from(fields.u16()?), u32::from(fields.u16()?));
        let (shift, scale) = (fields.scaled()?, fields.scaled()?);
        fields.u8()?; // the encoder's number
        fields.u16()?; // its software
        fields.end()?;
        Frame::check_size(width, height)?;
        Ok(Self { width, height, shift, scale })
    }
}

/// What one subband was divided by. A width of zero says that nothing of the subband was kept.
#[derive(Clone, Copy, Default)]
struct Quantiser {
    width: f32,
    /// Width of the bin around zero.
    zero_width: f32,
}

/// The quantisers of all subbands.
struct Quantisers {
    /// Where in a bin its value lies, as a share of the bin.
    centre: f32,
    bands: [Quantiser; subbands::SUBBANDS],
}

impl Quantisers {
    fn read(mut fields: Fields<'_>) -> Result<Self, WsqError> {
        let centre = fields.scaled()?;
        let mut bands = [Quantiser::default(); subbands::SUBBANDS];
        for band in &mut bands {
            *band = Quantiser { width: fields.scaled()?, zero_width: fields.scaled()? };
        }
        fields.end()?;
        Ok(Self { centre, bands })
    }

    fn value(&self, band: Quantiser, index: i32) -> f32 {
        let size = index.unsigned_abs() as f32;
        let magnitude = band.width * (size - self.centre) + band.zero_width / 2.0;
        match index.signum() {
            0 => 0.0,
            sign => sign as f32 * magnitude,
        }
    }
}

/// The tables as they stand where a block begins: later ones replace earlier ones.
#[derive(Default)]
struct Tables {
    filters: Option<Filters>,
    quantisers: Option<Quantisers>,
    huffman: [Option<HuffmanTable>; HUFFMAN_TABLES],
}

impl Tables {
    fn read_huffman(&mut self, mut fields: Fields<'_>) -> Result<(), WsqError> {
        while !fields.is_empty() {
            let number = usize::from(fields.u8()?);
            let place = self.huffman.get_mut(number).ok_or(WsqError::Table)?;
            *place = Some(HuffmanTable::read(&mut fields)?);
        }
        Ok(())
    }
}

/// The wavelet coefficients, each subband where the transform puts it.
struct Coefficients {
    layout: Layout,
    plane: Vec<f32>,
    /// Blocks read so far.
    blocks: usize,
}

impl Coefficients {
    fn new(header: &Header) -> Self {
        let layout = Layout::of(header.width as usize, header.height as usize);
        Self { plane: vec![0.0; layout.width() * layout.height()], layout, blocks: 0 }
    }

    fn read_block(&mut self, file: &mut Segments<'_>, tables: &Tables) -> Result<(), WsqError> {
        let mut fields = file.body("block header")?;
        let number = usize::from(fields.u8()?);
        fields.end()?;
        let bands = BLOCKS.get(self.blocks).cloned().ok_or(WsqError::Marker(SOB))?;
        self.blocks += 1;
        let quantisers = tables.quantisers.as_ref().ok_or(WsqError::Missing("quantisation table"))?;
        let table = tables.huffman.get(number).and_then(Option::as_ref);
        let table = table.ok_or(WsqError::Missing("Huffman table"))?;
        let mut block = Block::new(file.coded()?, table, self.blocks);
        for band in bands {
            let quantiser = quantisers.bands[band];
            if quantiser.width == 0.0 {
                continue;
            }
            let region = self.layout.subbands()[band];
            let rows = self.plane.chunks_exact_mut(self.layout.width());
            for row in rows.skip(region.y).take(region.height) {
                for value in &mut row[region.x..region.x + region.width] {
                    *value = quantisers.value(quantiser, block.coefficient()?);
                }
            }
        }
        block.end()
    }

    fn into_pixels(mut self, filters: &Filters, header: &Header) -> Vec<u8> {
        for split in self.layout.splits_from_the_smallest() {
            filters.join(&mut self.plane, self.layout.width(), split);
        }
        // The cast saturates, which is the clamping that the standard asks for.
        self.plane.into_iter().map(|v| (v * header.scale + header.shift + 0.5) as u8).collect()
    }
}
