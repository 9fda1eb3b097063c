//! Laws of the codings: round trips, lengths that lie, and another vendor's records.

use proptest::prelude::*;

use super::*;

const RECORDS: [Format; 4] = [Format::Iso2005, Format::Iso2011, Format::Ansi2004, Format::Ansi2009];

prop_compose! {
    fn minutia()(x in 0_u16..500, y in 0_u16..500, angle in any::<u8>(), fork in any::<bool>(), quality in 1_u8..=100)
        -> Minutia {
        let kind = if fork { MinutiaKind::Bifurcation } else { MinutiaKind::Ending };
        Minutia { x: x * 10, y: y * 10, angle, kind, quality }
    }
}

prop_compose! {
    fn view()(minutiae in prop::collection::vec(minutia(), 0..60), position in 0_u8..=10, quality in prop::option::of(1_u8..=100), vendor in prop::collection::vec(any::<u8>(), 0..20))
        -> View {
        let mut extensions = vec![1, 1];
        extensions.extend((vendor.len() as u16 + 4).to_be_bytes());
        extensions.extend(vendor);
        View { position, impression: 0, quality, template: Template::from_minutiae(500, 500, minutiae).unwrap(), extensions }
    }
}

fn whole_degrees(mut record: Record) -> Record {
    // ANSI keeps angles in two degrees: only those survive exactly.
    for view in &mut record.views {
        let minutiae =
            view.template.minutiae().iter().map(|m| Minutia { angle: m.angle & 0xC0, ..*m }).collect();
        view.template = Template::from_minutiae(500, 500, minutiae).unwrap();
    }
    record
}

proptest! {
    #[test]
    fn a_record_survives_every_format_with_a_header(views in prop::collection::vec(view(), 1..4)) {
        let record = whole_degrees(Record { views });
        for format in RECORDS {
            let bytes = encode(&record, format).unwrap();
            prop_assert_eq!(detect(&bytes).unwrap(), format);
            prop_assert_eq!(&decode(&bytes).unwrap(), &record);
            prop_assert_eq!(encode(&decode(&bytes).unwrap(), format).unwrap(), bytes);
        }
    }

    #[test]
    fn a_compact_record_keeps_places_within_a_unit_and_angles_within_a_step(view in view()) {
        prop_assume!(!view.template.minutiae().is_empty());
        let bytes = encode(&Record { views: vec![view.clone()] }, Format::Compact).unwrap();
        let back = decode_as(&bytes, Format::Compact).unwrap();
        let (there, back) = (view.template.minutiae(), back.views[0].template.minutiae());
        // A place is a tenth of a millimetre, an angle a 64th of a turn. Two that are one then are written twice and read once.
        let is_near = |a: &Minutia, b: &Minutia| {
            let turned = (a.angle.wrapping_sub(b.angle) as i8).unsigned_abs();
            a.x.abs_diff(b.x) <= 20 && a.y.abs_diff(b.y) <= 20 && turned <= 4 && a.kind == b.kind
        };
        prop_assert!(back.len() <= there.len());
        prop_assert!(there.iter().all(|minutia| back.iter().any(|other| is_near(minutia, other))));
        prop_assert!(back.iter().all(|minutia| there.iter().any(|other| is_near(minutia, other))));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), old in any::<bool>(), header in any::<bool>()) {
        let mut record = if header { if old { b"FMR\0 20\0".to_vec() } else { b"FMR\x00030\0".to_vec() } } else { Vec::new() };
        record.extend(bytes);
        let _ = decode(&record);
        for format in RECORDS.into_iter().chain([Format::Compact]) {
            let _ = decode_as(&record, format);
        }
    }

    #[test]
    fn a_record_cut_short_is_refused(views in prop::collection::vec(view(), 1..3), cut in 1_usize..40) {
        let record = Record { views };
        for format in RECORDS {
            let bytes = encode(&record, format).unwrap();
            let cut = cut.min(bytes.len());
            prop_assert!(decode_as(&bytes[..bytes.len() - cut], format).is_err());
        }
    }
}

#[test]
fn bytes_behind_a_record_are_not_part_of_it_and_a_length_that_ends_it_early_is_refused() {
    let minutia = Minutia { x: 100, y: 200, angle: 64, kind: MinutiaKind::Ending, quality: 40 };
    let template = Template::from_minutiae(300, 300, vec![minutia]).unwrap();
    let view = View { position: 1, impression: 0, quality: Some(80), template, extensions: Vec::new() };
    let record = Record { views: vec![view] };
    for format in RECORDS {
        let bytes = encode(&record, format).unwrap();
        let padded = [&bytes[..], &[0; 5]].concat();
        assert_eq!(decode_as(&padded, format).as_ref(), Ok(&record), "{format:?}");
        // The last byte of the length field.
        let at = if format == Format::Ansi2004 { 9 } else { 11 };
        for shorter in [1, usize::from(bytes[at])] {
            let mut early = bytes.clone();
            early[at] -= shorter as u8;
            assert!(decode_as(&early, format).is_err(), "{format:?} {shorter}");
        }
    }
}

#[test]
fn a_density_other_than_standard_is_scaled_to_500_dpi() {
    let grid = Grid::new(394, 98).unwrap(); // 1000 and 250 dpi, as densities are rounded
    assert_eq!(grid.x(200), Ok(999));
    assert_eq!(grid.y(100), Ok(2009));
    assert!(Grid::new(0, 197).is_err());
    // Found by fuzzing: this used to overflow.
    assert_eq!(grid.x(u16::MAX), Err(InterchangeError::Field("coordinate")));
    assert_eq!(grid.y(u16::MAX), Err(InterchangeError::Field("coordinate")));
}

#[test]
fn an_extension_block_that_overruns_is_refused() {
    let mut reader = Reader::new(&[0, 4, 1, 1, 0, 9]);
    assert!(matches!(read_extensions(&mut reader), Err(InterchangeError::Length(_))));
    let mut reader = Reader::new(&[0, 4, 1, 1, 0, 2]);
    assert!(matches!(read_extensions(&mut reader), Err(InterchangeError::Length(_))));
}

#[test]
fn type_codes_and_pixels_survive_the_way_out_and_in() {
    for kind in [MinutiaKind::Ending, MinutiaKind::Bifurcation] {
        assert_eq!(kind_of(code_of(kind)), kind);
    }
    assert_eq!([pixels(4), pixels(5), pixels(14), pixels(65_535)], [0, 1, 1, 6554]);
}
