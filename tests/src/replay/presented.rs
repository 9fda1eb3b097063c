//! The ways in which a sample that was presented before is presented again.

use authenteon_matcher::{
    Template,
    interchange::{self, Format, Record, View},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

use super::Picture;

/// A way to present something again.
pub struct Kind {
    /// What was done to it.
    pub name: &'static str,
    /// Whether the check is made for it. Of the others it is told how often they are caught, no more.
    pub claimed: bool,
    /// What comes out; none when nothing usable does.
    pub of: fn(&Picture, &Template) -> Option<Template>,
}

/// All of them.
#[must_use]
pub fn kinds() -> Vec<Kind> {
    let is = |name, of| Kind { name, claimed: true, of };
    let only_told = |name, of| Kind { name, claimed: false, of };
    vec![
        is("WSQ, usual size", |p, _| p.through_wsq(1)?.template()),
        is("WSQ, half of it", |p, _| p.through_wsq(2)?.template()),
        is("shifted by 1 px", |p, _| p.shifted(1.0, 1.0).template()),
        is("shifted by 3 and 2 px", |p, _| p.shifted(3.0, 2.0).template()),
        is("shifted by 17 and -13 px", |p, _| p.shifted(17.0, -13.0).template()),
        is("shifted by half a pixel", |p, _| p.shifted(0.5, 0.5).template()),
        is("cropped by 10 % a side", |p, _| p.cropped(0.1).template()),
        is("cropped by 20 % a side", |p, _| p.cropped(0.2).template()),
        is("turned by 1 degree", |p, _| p.turned(1.0).template()),
        is("turned by 3 degrees", |p, _| p.turned(-3.0).template()),
        is("turned by 10 degrees", |p, _| p.turned(10.0).template()),
        is("noise of 5 grey levels", |p, _| p.noisy(5.0).template()),
        is("noise of 10", |p, _| p.noisy(10.0).template()),
        is("noise of 20", |p, _| p.noisy(20.0).template()),
        is("brighter by 30", |p, _| p.grey(|v| v + 30.0).template()),
        is("less contrast", |p, _| p.grey(|v| 60.0 + 0.6 * v).template()),
        is("gamma 0.6", |p, _| p.grey(|v| 255.0 * (v / 255.0).powf(0.6)).template()),
        is("blurred 3x3", |p, _| p.blurred().template()),
        is("at 450 dpi, said so", |p, _| p.at_resolution(0.9).template()),
        is("scaled by 1.02", |p, _| p.scaled(1.02, 1.02).template()),
        is("scaled by 1.03 and 0.98", |p, _| p.scaled(1.03, 0.98).template()),
        is("turned, cropped, noise, WSQ", |p, _| {
            p.turned(4.0).cropped(0.06).noisy(8.0).through_wsq(1)?.template()
        }),
        is("its template", |_, t| Some(t.clone())),
        is("ISO 19794-2:2005", |_, t| through(t, Format::Iso2005)),
        is("ISO 19794-2:2011", |_, t| through(t, Format::Iso2011)),
        is("ANSI 378-2004", |_, t| through(t, Format::Ansi2004)),
        is("ANSI 378-2009", |_, t| through(t, Format::Ansi2009)),
        is("compact card", |_, t| through(t, Format::Compact)),
        is("template, +-1 px", |_, t| jittered(t, 10, 0)),
        is("template, 3 of 10 left out", |_, t| jittered(t, 0, 30)),
        is("template, 3 of 10 added", |_, t| with_more(t, 30)),
        only_told("bent by 4 px", |p, _| p.bent(4.0).template()),
        only_told("template, +-2 px", |_, t| jittered(t, 20, 0)),
    ]
}

/// Through a record of a format.
fn through(template: &Template, format: Format) -> Option<Template> {
    let view = View {
        position: 0,
        impression: 0,
        quality: None,
        template: template.clone(),
        extensions: Vec::new(),
    };
    let bytes = interchange::encode(&Record { views: vec![view] }, format).ok()?;
    interchange::decode_as(&bytes, format).ok()?.views.pop().map(|view| view.template)
}

/// Each minutia up to so many tenths of a pixel away each way, and so many in a hundred left out.
fn jittered(template: &Template, tenths: u16, left_out: u32) -> Option<Template> {
    let mut chance = ChaCha8Rng::from_seed([8; 32]);
    let mut below = |limit: u32| chance.next_u32() % limit;
    let (width, height) = (template.width(), template.height());
    let mut minutiae = Vec::new();
    for minutia in template.minutiae() {
        let mut away = |at: u16, side: u16| {
            let by = below(2 * u32::from(tenths) + 1) as u16;
            (at + by).saturating_sub(tenths).min(side * 10 - 1)
        };
        let moved =
            authenteon_matcher::Minutia { x: away(minutia.x, width), y: away(minutia.y, height), ..*minutia };
        if below(100) >= left_out {
            minutiae.push(moved);
        }
    }
    Template::from_minutiae(width, height, minutiae).ok()
}

/// With so many more in a hundred, anywhere among the others.
fn with_more(template: &Template, percent: usize) -> Option<Template> {
    let mut chance = ChaCha8Rng::from_seed([9; 32]);
    let mut minutiae = template.minutiae().to_vec();
    let reach = |of: fn(&authenteon_matcher::Minutia) -> u16| {
        let all = template.minutiae().iter().map(of);
        all.clone().min().zip(all.max())
    };
    let (across, down) = (reach(|m| m.x)?, reach(|m| m.y)?);
    let mut within = |(low, high): (u16, u16)| low + (chance.next_u32() % u32::from(high - low + 1)) as u16;
    for of in 0..template.minutiae().len() * percent / 100 {
        let like = template.minutiae()[of];
        let (x, y, angle) = (within(across), within(down), within((0, 255)) as u8);
        minutiae.push(authenteon_matcher::Minutia { x, y, angle, ..like });
    }
    Template::from_minutiae(template.width(), template.height(), minutiae).ok()
}
