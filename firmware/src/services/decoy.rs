//! A finger that nobody has: compared with when there is nobody to compare with, so that absence takes as long.

use authenteon_matcher::{Minutia, MinutiaKind, Template, TemplateError, search::Finger};

/// Three views of a finger that nobody has, as large as real ones.
pub(super) fn decoy() -> Result<Finger, TemplateError> {
    let view = |seed: u32| {
        let minutiae = (0..40_u32).map(|n| {
            let spread = |step: u32, range: u32| ((n + 1) * step * (seed + 3) % range) as u16;
            Minutia {
                x: 500 + spread(977, 2800),
                y: 500 + spread(1409, 3000),
                angle: (spread(89, 256) & 0xFF) as u8,
                kind: if n % 2 == 0 { MinutiaKind::Ending } else { MinutiaKind::Bifurcation },
                quality: 80,
            }
        });
        Template::from_minutiae(400, 400, minutiae.collect())
    };
    Ok(Finger::new(&(0..3).map(view).collect::<Result<Vec<_>, _>>()?))
}
