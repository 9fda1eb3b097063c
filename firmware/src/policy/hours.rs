//! Hours in which somebody is accepted: `mon-fri 07:00-19:30 +01:00`.
//!
//! They are said in a fixed offset from UTC, which knows no summer time. Hours that end before they begin go over
//! midnight, and belong to the day on which they begin.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY: u16 = 24 * 60;

/// Days, and hours of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    /// From Monday on.
    days: [bool; 7],
    /// Minutes of the day; the second is not among them.
    from: u16,
    to: u16,
    /// Minutes east of Greenwich.
    offset: i16,
}

/// A text that says no hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not hours: days, hours and offset from UTC, such as `mon-fri 07:00-19:30 +01:00` or `sat,sun 22:00-06:00 +00:00`"
)]
pub struct NotHours;

impl Hours {
    /// Whether a moment is among them.
    #[must_use]
    pub fn contain(&self, moment: Timestamp) -> bool {
        let minutes =
            i64::try_from(moment.millis() / 60_000).unwrap_or(i64::MAX / 2) + i64::from(self.offset);
        let (day, minute) = (minutes.div_euclid(DAY.into()), minutes.rem_euclid(DAY.into()));
        // The first of January 1970 was a Thursday.
        let on = |day: i64| self.days.get((day + 3).rem_euclid(7) as usize).copied().unwrap_or_default();
        let (from, to) = (i64::from(self.from), i64::from(self.to));
        if from < to {
            on(day) && (from..to).contains(&minute)
        } else {
            (on(day) && minute >= from) || (on(day - 1) && minute < to)
        }
    }
}

fn days(text: &str) -> Option<[bool; 7]> {
    let day = |name: &str| DAYS.iter().position(|day| *day == name);
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        for n in 0..=(last + 7 - first) % 7 {
            *days.get_mut((first + n) % 7)? = true;
        }
    }
    Some(days)
}

/// `HH:MM` up to an hour.
fn minutes(text: &str, last: u16) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |part: &str| {
        let plain = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<u16>().ok().filter(|_| plain)
    };
    let (hour, minute) = (digits(hour)?, digits(minute).filter(|m| *m < 60)?);
    Some(hour * 60 + minute).filter(|m| *m <= last)
}

impl FromStr for Hours {
    type Err = NotHours;

    fn from_str(text: &str) -> Result<Self, NotHours> {
        let parse = || {
            let mut parts = text.split_ascii_whitespace();
            let (on, between, offset) = (parts.next()?, parts.next()?, parts.next()?);
            let (from, to) = between.split_once('-')?;
            let (from, to) = (minutes(from, DAY - 1)?, minutes(to, DAY)?);
            let (sign, offset) = match offset.split_at_checked(1)? {
                ("+", offset) => (1, offset),
                ("-", offset) => (-1, offset),
                _ => return None,
            };
            let offset = sign * i16::try_from(minutes(offset, 14 * 60)?).ok()?;
            (from != to && parts.next().is_none()).then_some(Self { days: days(on)?, from, to, offset })
        };
        parse().ok_or(NotHours)
    }
}

impl TryFrom<String> for Hours {
    type Error = NotHours;

    fn try_from(text: String) -> Result<Self, NotHours> {
        text.parse()
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.to_string()
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on: Vec<&str> = DAYS.iter().zip(self.days).filter(|(_, on)| *on).map(|(day, _)| *day).collect();
        let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let sign = if self.offset < 0 { '-' } else { '+' };
        let (from, to, offset) = (clock(self.from), clock(self.to), clock(self.offset.unsigned_abs()));
        write!(f, "{} {from}-{to} {sign}{offset}", on.join(","))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hours(text: &str) -> Hours {
        text.parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn office_hours_are_those_of_their_offset_and_end_before_their_end() {
        let office = hours("mon-fri 07:00-19:30 +01:00");
        // A Monday.
        for (moment, open) in [
            ("2026-11-23T05:59:59Z", false),
            ("2026-11-23T06:00:00Z", true),
            ("2026-11-23T18:29:59Z", true),
            ("2026-11-23T18:30:00Z", false),
            ("2026-11-21T12:00:00Z", false),
            ("2026-11-22T23:30:00Z", false),
        ] {
            assert_eq!(office.contain(at(moment)), open, "{moment}");
        }
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = hours("fri 22:00-06:00 +00:00");
        for (moment, open) in [
            ("2026-11-27T21:59:00Z", false),
            ("2026-11-27T22:00:00Z", true),
            ("2026-11-28T05:59:00Z", true),
            ("2026-11-28T06:00:00Z", false),
            ("2026-11-27T05:00:00Z", false),
        ] {
            assert_eq!(night.contain(at(moment)), open, "{moment}");
        }
        assert!(hours("mon-sun 00:00-24:00 -11:30").contain(at("2026-11-27T21:59:00Z")));
        assert!(hours("sat-mon 00:00-24:00 +00:00").contain(at("2026-11-22T12:00:00Z")));
    }

    #[test]
    fn what_says_no_hours_is_refused() {
        for bad in [
            "",
            "mon-fri",
            "mon-fri 07:00-19:30",
            "mon-fri 07:00-07:00 +00:00",
            "mon-fri 7:00-19:30 +01:00",
            "mon-fri 07:60-19:30 +01:00",
            "mon-fri 07:00-24:01 +01:00",
            "mon-fri 24:00-07:00 +01:00",
            "mon-fri 07:00-19:30 01:00",
            "mon-fri 07:00-19:30 +15:00",
            "mon-fry 07:00-19:30 +01:00",
            "mon, 07:00-19:30 +01:00",
            "mon 07:00-19:30 +01:00 tue",
            "mon 07:00-19:30 +\u{e9}1:00",
        ] {
            assert_eq!(bad.parse::<Hours>(), Err(NotHours), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn hours_survive_their_text(days in prop::array::uniform7(any::<bool>()), from in 0..1440_u16, to in 0..=1440_u16, offset in -840..=840_i16) {
            prop_assume!(days.contains(&true) && from != to);
            let one = Hours { days, from, to, offset };
            prop_assert_eq!(one.to_string().parse(), Ok(one));
        }

        #[test]
        fn any_text_is_hours_or_refused(text in "\\PC{0,40}") {
            let _ = text.parse::<Hours>();
        }
    }
}
