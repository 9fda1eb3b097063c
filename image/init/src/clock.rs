//! A clock that is never before the image was made or the box was last seen.
//!
//! Boards of this class have no clock that runs without power and start in 1970, where every
//! certificate is not yet valid.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, Timespec, clock_settime};

/// Moments later than 2100 are no record of ours.
const LAST: u64 = 4_102_444_800;

/// The later of when the image was made and what `saved` (seconds since 1970 in text) tells.
fn floor(built: u64, saved: Option<&str>) -> u64 {
    let saved = saved.and_then(|text| text.trim().parse().ok()).filter(|moment| *moment < LAST);
    built.max(saved.unwrap_or(0))
}

/// Moves the clock to the floor if it is behind; says from where to where.
pub(crate) fn raise(built: u64, saved: &Path) -> Option<(u64, u64)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let floor = floor(built, fs::read_to_string(saved).ok().as_deref());
    if now >= floor {
        return None;
    }
    let moment = Timespec { tv_sec: i64::try_from(floor).ok()?, tv_nsec: 0 };
    clock_settime(ClockId::Realtime, moment).ok()?;
    Some((now, floor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_the_later_of_both_and_nonsense_is_not_believed() {
        assert_eq!(floor(1000, None), 1000);
        assert_eq!(floor(1000, Some("2000\n")), 2000);
        assert_eq!(floor(1000, Some("900")), 1000);
        assert_eq!(floor(1000, Some("99999999999")), 1000);
        assert_eq!(floor(1000, Some("tomorrow")), 1000);
    }
}
