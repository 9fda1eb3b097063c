//! The coding of a template in memory, where a million of them lie: the native one without what repeats
//! itself. Most of a flow's cells are empty, and one bit says so.
//!
//! Width, height (u16), number of minutiae (u8), whether there is a flow (u8), the minutiae as in the native
//! coding; of a flow a bit for each cell, then the cells that are clear. What is packed here is unpacked here
//! and never written to a disk. Invariant: unpacking gives what was packed, and no bytes make it panic.

use super::{
    Template, TemplateError,
    codec::{CELL, Coded, RECORD, minutia_of, parse, record_of},
    flow::{Flow, FlowCell},
};

/// Appends a template.
pub(crate) fn pack(template: &Template, out: &mut Vec<u8>) {
    let cells: Option<Vec<_>> =
        template.flow.as_ref().map(|flow| flow.cells.iter().map(|cell| [cell.angle, cell.period]).collect());
    let records: Vec<_> = template.minutiae.iter().map(record_of).collect();
    let Template { width, height, .. } = *template;
    append(&Coded { width, height, records: &records, cells: cells.as_deref() }, out);
}

/// Appends a template in its native coding, without making one of it.
///
/// # Errors
/// [`TemplateError`]; then nothing is appended.
pub(crate) fn pack_native(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), TemplateError> {
    append(&parse(bytes)?, out);
    Ok(())
}

fn append(template: &Coded<'_>, out: &mut Vec<u8>) {
    let cells = template.cells.unwrap_or_default();
    out.reserve(6 + size_of_val(template.records) + cells.len().div_ceil(8) + size_of_val(cells));
    out.extend_from_slice(&template.width.to_be_bytes());
    out.extend_from_slice(&template.height.to_be_bytes());
    out.push(template.records.len() as u8);
    out.push(u8::from(template.cells.is_some()));
    out.extend_from_slice(template.records.as_flattened());
    out.extend(cells.chunks(8).map(|cells| {
        let clear = |bit: usize, &[_, period]: &[u8; CELL]| u8::from(period != 0) << bit;
        cells.iter().enumerate().fold(0, |byte, (bit, cell)| byte | clear(bit, cell))
    }));
    // Each is written, and the next over it where it is not clear: which are can not be foreseen.
    let end = out.len();
    out.resize(end + size_of_val(cells), 0);
    let places = out.get_mut(end..).unwrap_or_default().as_chunks_mut::<CELL>().0;
    let mut clear = 0;
    for cell in cells {
        if let Some(place) = places.get_mut(clear) {
            *place = *cell;
        }
        clear += usize::from(cell[1] != 0);
    }
    out.truncate(end + CELL * clear);
}

/// The template at the front, and what comes after it. None where there is none.
pub(crate) fn unpack(bytes: &[u8]) -> Option<(Template, &[u8])> {
    let (&[w0, w1, h0, h1, count, with_flow], rest) = bytes.split_first_chunk::<6>()?;
    let (width, height) = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
    let (records, mut rest) = rest.split_at_checked(RECORD * usize::from(count))?;
    let minutiae = records.as_chunks::<RECORD>().0.iter().map(minutia_of).collect();
    let mut flow = None;
    if with_flow != 0 {
        let (across, down) = Flow::cells_of(usize::from(width), usize::from(height));
        let (bits, after) = rest.split_at_checked((across * down).div_ceil(8))?;
        let clear = bits.iter().map(|byte| byte.count_ones() as usize).sum::<usize>();
        let (pairs, after) = after.split_at_checked(2 * clear)?;
        let mut pairs = pairs.as_chunks::<2>().0.iter();
        let cells = bits.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 != 0));
        let cells = cells.take(across * down).map(|clear| match clear.then(|| pairs.next()).flatten() {
            Some(&[angle, period]) => FlowCell { angle, period },
            None => FlowCell::NONE,
        });
        flow = Some(Flow { width: across, height: down, cells: cells.collect() });
        rest = after;
    }
    Some((Template { width, height, minutiae, flow }, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::template::codec::tests::template;

    proptest! {
        #[test]
        fn templates_packed_one_after_another_are_unpacked_so(
            templates in proptest::collection::vec(template(), 0..4),
        ) {
            let mut packed = Vec::new();
            templates.iter().for_each(|template| pack(template, &mut packed));
            let mut rest = packed.as_slice();
            for template in templates {
                let (unpacked, after) = unpack(rest).unwrap();
                prop_assert!(unpacked == template);
                rest = after;
            }
            prop_assert!(unpack(rest).is_none());
        }

        #[test]
        fn what_is_coded_is_packed_as_the_template_is(template in template()) {
            let (mut packed, mut of_coded) = (vec![7], vec![7]);
            pack(&template, &mut packed);
            pack_native(&template.to_bytes(), &mut of_coded).unwrap();
            prop_assert_eq!(packed, of_coded);
        }

        #[test]
        fn what_is_no_template_is_refused_as_it_is_when_it_is_read(
            template in template(), at in any::<proptest::sample::Index>(), bit in 0..8,
        ) {
            let mut bytes = template.to_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1u8 << bit;
            let mut packed = Vec::new();
            let refused = pack_native(&bytes, &mut packed);
            prop_assert_eq!(refused.is_err(), packed.is_empty());
            prop_assert_eq!(refused, Template::from_bytes(&bytes).map(drop));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = unpack(&bytes);
        }

        #[test]
        fn a_cut_one_is_none(template in template(), at in any::<proptest::sample::Index>()) {
            let mut packed = Vec::new();
            pack(&template, &mut packed);
            prop_assert!(unpack(&packed[..at.index(packed.len())]).is_none());
        }
    }
}
