//! Time as a parameter: services are given a clock, so that tests can hold it.

use std::{
    fmt,
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use authenteon_hal::clock::{Clock as _, SystemClock as MonotonicClock};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment: milliseconds since 1970 in UTC; RFC 3339 for people and JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(u64);

/// The box's clock never shows less: it was built after this moment. A box without a battery wakes up in
/// 1970, before any of its own certificates is valid. `SOURCE_DATE_EPOCH` at build time raises it.
pub const FLOOR: Timestamp = Timestamp(floor(option_env!("SOURCE_DATE_EPOCH")) * 1000);

/// The later of 2026-11-01 and a number of seconds in decimal; what is no such number is not looked at.
const fn floor(seconds: Option<&str>) -> u64 {
    const BUILT_AFTER: u64 = 1_793_491_200;
    let Some(seconds) = seconds else { return BUILT_AFTER };
    let mut digits = seconds.as_bytes();
    let mut read: u64 = 0;
    while let [digit @ b'0'..=b'9', rest @ ..] = digits {
        read = read.saturating_mul(10).saturating_add((*digit - b'0') as u64);
        digits = rest;
    }
    if digits.is_empty() && read > BUILT_AFTER && read <= LAST / 1000 { read } else { BUILT_AFTER }
}

/// Year 9999: later moments have no RFC 3339 form.
const LAST: u64 = 253_402_300_799_999;

impl Timestamp {
    /// A moment; what lies past the year 9999 is its end.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min(LAST))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn millis(self) -> u64 {
        self.0
    }

    /// So much later.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        Self::from_millis(self.0.saturating_add(by))
    }

    /// How long ago `earlier` was; nothing when the clock went backwards.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|moment| moment.format(&Rfc3339).ok());
        f.write_str(text.as_deref().unwrap_or("out of range"))
    }
}

impl From<Timestamp> for String {
    fn from(moment: Timestamp) -> Self {
        moment.to_string()
    }
}

/// A text that is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a moment: it has the form 2026-11-23T08:30:00Z")]
pub struct NotAMoment;

impl TryFrom<String> for Timestamp {
    type Error = NotAMoment;

    fn try_from(text: String) -> Result<Self, NotAMoment> {
        let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| NotAMoment)?;
        let millis = moment.unix_timestamp_nanos() / 1_000_000;
        u64::try_from(millis).ok().filter(|m| *m <= LAST).map(Self).ok_or(NotAMoment)
    }
}

/// When this process first asked.
static STARTED: LazyLock<MonotonicClock> = LazyLock::new(MonotonicClock::new);

/// Where services get the time from.
pub trait Clock: Send + Sync {
    /// Now. It can be set, forward and back: what must not end early does not run on it.
    fn now(&self) -> Timestamp;

    /// Time since some moment of this process, which nobody can set.
    fn running(&self) -> Duration {
        STARTED.now()
    }
}

/// The clock of the machine, from [`FLOOR`] on.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(LAST)).max(FLOOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_its_text() {
        let moment = Timestamp::from_millis(1_764_000_000_123);
        assert_eq!(moment.to_string(), "2025-11-24T16:00:00.123Z");
        assert_eq!(Timestamp::try_from(moment.to_string()), Ok(moment));
        assert_eq!(Timestamp::try_from("yesterday".to_owned()), Err(NotAMoment));
    }

    #[test]
    fn the_floor_is_the_build_date_and_nothing_foolish_lowers_or_breaks_it() {
        let built = floor(None);
        assert_eq!(Timestamp::from_millis(built * 1000).to_string(), "2026-11-01T00:00:00Z");
        assert_eq!(floor(Some("1893456000")), 1_893_456_000);
        for foolish in ["", "0", "315532800", "soon", "18934560000000", "-1", "1893456000 "] {
            assert_eq!(floor(Some(foolish)), built, "{foolish}");
        }
        assert!(SystemClock.now() >= FLOOR);
    }

    #[test]
    fn a_clock_set_back_makes_nothing_older() {
        let (early, late) = (Timestamp::from_millis(5), Timestamp::from_millis(9));
        assert_eq!(late.since(early), Duration::from_millis(4));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
