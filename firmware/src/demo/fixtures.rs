//! The prints that come with the program: synthetic, made by the generator in `tests/`, so that the demo
//! needs no file. `fixtures/prints/manifest.toml` has seeds and digests.

/// Name and PNG file of every print, by finger.
pub(super) const PRINTS: &[(&str, &[u8])] = &[
    ("125_1", include_bytes!("../../fixtures/prints/125_1.png")),
    ("125_2", include_bytes!("../../fixtures/prints/125_2.png")),
    ("125_3", include_bytes!("../../fixtures/prints/125_3.png")),
    ("125_4", include_bytes!("../../fixtures/prints/125_4.png")),
    ("126_1", include_bytes!("../../fixtures/prints/126_1.png")),
    ("126_2", include_bytes!("../../fixtures/prints/126_2.png")),
    ("126_3", include_bytes!("../../fixtures/prints/126_3.png")),
    ("126_4", include_bytes!("../../fixtures/prints/126_4.png")),
    ("127_1", include_bytes!("../../fixtures/prints/127_1.png")),
    ("127_2", include_bytes!("../../fixtures/prints/127_2.png")),
    ("127_3", include_bytes!("../../fixtures/prints/127_3.png")),
    ("127_4", include_bytes!("../../fixtures/prints/127_4.png")),
    ("128_1", include_bytes!("../../fixtures/prints/128_1.png")),
    ("128_2", include_bytes!("../../fixtures/prints/128_2.png")),
    ("128_3", include_bytes!("../../fixtures/prints/128_3.png")),
    ("128_4", include_bytes!("../../fixtures/prints/128_4.png")),
    ("129_1", include_bytes!("../../fixtures/prints/129_1.png")),
    ("129_2", include_bytes!("../../fixtures/prints/129_2.png")),
    ("129_3", include_bytes!("../../fixtures/prints/129_3.png")),
    ("129_4", include_bytes!("../../fixtures/prints/129_4.png")),
    ("130_1", include_bytes!("../../fixtures/prints/130_1.png")),
    ("130_2", include_bytes!("../../fixtures/prints/130_2.png")),
    ("130_3", include_bytes!("../../fixtures/prints/130_3.png")),
    ("130_4", include_bytes!("../../fixtures/prints/130_4.png")),
];
