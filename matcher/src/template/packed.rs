//! The coding of a template in memory, where a million of them lie: the native one without what repeats
//! itself. Most of a flow's cells are empty, and one bit says so.
//!
//! Width, height (u16), number of minutiae (u8), whether there is a flow (u8), the minutiae as in the native
//! coding; of a flow a bit for each cell, then the cells that are clear. What is packed here is unpacked here
//! and never written to a disk. Invariant: unpacking gives what was packed, and no bytes make it panic.

use super::{
    Template,
    codec::{RECORD, minutia_of, record_of},
    flow::{Flow, FlowCell},
};

/// Appends a template.
pub(crate) fn pack(template: &Template, out: &mut Vec<u8>) {
    out.extend_from_slice(&template.width.to_be_bytes());
    out.extend_from_slice(&template.height.to_be_bytes());
    out.push(template.minutiae.len() as u8);
    out.push(u8::from(template.flow.is_some()));
    out.extend(template.minutiae.iter().flat_map(record_of));
    let Some(flow) = &template.flow else { return };
    let clear = |cell: &&FlowCell| cell.period != 0;
    out.extend(flow.cells.chunks(8).map(|cells| {
        let bits = cells.iter().enumerate().filter(|(_, cell)| clear(cell)).map(|(bit, _)| 1_u8 << bit);
        bits.fold(0, |byte, bit| byte | bit)
    }));
    out.extend(flow.cells.iter().filter(clear).flat_map(|cell| [cell.angle, cell.period]));
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
