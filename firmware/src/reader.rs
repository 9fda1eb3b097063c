//! What a reader at the box is known by, and whether it may be used.
//!
//! Invariant: only a reader that an administrator adopted is used, and only while it is what it was then, where it was
//! then. What takes its place, by its name, its port or its serial number, has moved and waits for an administrator.

use std::collections::BTreeMap;

use authenteon_hal::{
    SensorInfo,
    discovery::{Place, ReaderId},
};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Longest text that a reader may say of itself, in characters; devices say what they like.
const LONGEST: usize = 128;

/// A reader as it is now: what it says of itself, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reader {
    /// Its name.
    pub id: ReaderId,
    /// Maker and model.
    pub model: String,
    /// Its serial number, where it tells one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The socket or the device file that it is plugged into.
    pub port: String,
}

impl Reader {
    /// A reader that was opened at a place.
    #[must_use]
    pub fn new(id: ReaderId, place: &Place, info: &SensorInfo) -> Self {
        let serial = place.serial.as_deref().or(info.serial.as_deref());
        Self { id, model: plain(&info.model), serial: serial.map(plain), port: plain(&place.port) }
    }
}

/// Text that can stand in a list and in a log.
fn plain(text: &str) -> String {
    text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

/// Whether a reader may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It may.
    Adopted,
    /// Nobody has adopted it.
    Unknown,
    /// It is not what was adopted, or not where it was.
    Moved,
    /// The case was opened since; an administrator has to look at it.
    Suspended,
}

/// That an administrator adopted a reader, as it was then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adoption {
    /// The reader then.
    pub reader: Reader,
    /// When.
    pub at: Timestamp,
    /// When it was suspended, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Timestamp>,
}

/// The readers that were adopted, by name.
#[derive(Clone, Debug, Default)]
pub struct Adoptions(BTreeMap<ReaderId, Adoption>);

impl Adoptions {
    /// Takes in one that was stored.
    pub(crate) fn insert(&mut self, adoption: Adoption) {
        self.0.insert(adoption.reader.id.clone(), adoption);
    }

    /// The one of this name is adopted no longer.
    pub(crate) fn remove(&mut self, id: &ReaderId) -> Option<Adoption> {
        self.0.remove(id)
    }

    /// The one of this name.
    #[must_use]
    pub fn get(&self, id: &ReaderId) -> Option<&Adoption> {
        self.0.get(id)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Adoption> {
        self.0.values()
    }

    /// Suspends all that are not.
    pub(crate) fn suspend(&mut self, at: Timestamp) {
        for adoption in self.0.values_mut() {
            adoption.suspended.get_or_insert(at);
        }
    }

    /// Whether a reader may be used.
    #[must_use]
    pub fn standing(&self, reader: &Reader) -> Standing {
        match self.0.get(&reader.id) {
            Some(adoption) if adoption.reader != *reader => Standing::Moved,
            Some(Adoption { suspended: Some(_), .. }) => Standing::Suspended,
            Some(_) => Standing::Adopted,
            None if self.iter().any(|other| resembles(&other.reader, reader)) => Standing::Moved,
            None => Standing::Unknown,
        }
    }

    /// Those of other names at its port: who adopts it gives those up. One of the same serial number elsewhere stays,
    /// since cheap readers all have the same.
    pub fn displaced<'a>(&'a self, reader: &'a Reader) -> impl Iterator<Item = &'a Adoption> {
        self.iter().filter(|other| other.reader.id != reader.id && other.reader.port == reader.port)
    }
}

/// Whether a reader stands where another one stood, or seems to be it.
fn resembles(known: &Reader, reader: &Reader) -> bool {
    let same = known.serial.is_some() && known.serial == reader.serial && known.model == reader.model;
    same || known.port == reader.port
}

#[cfg(test)]
mod tests {
    use authenteon_hal::{Dpi, sensor::Capabilities};
    use proptest::prelude::*;

    use super::*;

    fn reader(id: &str, serial: Option<&str>, port: &str) -> Reader {
        let serial = serial.map(str::to_owned);
        Reader { id: id.parse().unwrap(), model: "U.are.U".to_owned(), serial, port: port.to_owned() }
    }

    fn adopted(readers: &[Reader]) -> Adoptions {
        let mut adoptions = Adoptions::default();
        for reader in readers {
            let at = Timestamp::from_millis(1);
            adoptions.insert(Adoption { reader: reader.clone(), at, suspended: None });
        }
        adoptions
    }

    #[test]
    fn only_what_was_adopted_where_it_was_adopted_may_be_used() {
        let known = adopted(&[reader("a", Some("7"), "1-1"), reader("b", None, "1-2")]);
        for (seen, standing) in [
            (reader("a", Some("7"), "1-1"), Standing::Adopted),
            (reader("b", None, "1-2"), Standing::Adopted),
            // The same serial number at another port, also when it is called otherwise there.
            (reader("a", Some("7"), "1-3"), Standing::Moved),
            (reader("c", Some("7"), "1-3"), Standing::Moved),
            // Another serial number, or none, at a port that was adopted.
            (reader("a", Some("8"), "1-1"), Standing::Moved),
            (reader("c", Some("8"), "1-1"), Standing::Moved),
            (reader("a", None, "1-1"), Standing::Moved),
            (reader("b", Some("9"), "1-2"), Standing::Moved),
            // Two readers without a number are not the same for it.
            (reader("c", None, "1-3"), Standing::Unknown),
            (reader("c", Some("8"), "1-3"), Standing::Unknown),
        ] {
            assert_eq!(known.standing(&seen), standing, "{seen:?}");
        }
        let other_model = Reader { model: "R503".to_owned(), ..reader("b", None, "1-2") };
        assert_eq!(known.standing(&other_model), Standing::Moved);
    }

    #[test]
    fn a_suspended_reader_that_was_moved_has_moved() {
        let mut known = adopted(&[reader("a", Some("7"), "1-1")]);
        known.suspend(Timestamp::from_millis(2));
        known.suspend(Timestamp::from_millis(3));
        assert_eq!(known.standing(&reader("a", Some("7"), "1-1")), Standing::Suspended);
        assert_eq!(known.standing(&reader("a", Some("7"), "1-2")), Standing::Moved);
        assert_eq!(
            known.iter().next().unwrap().suspended,
            Some(Timestamp::from_millis(2)),
            "since the first"
        );
    }

    #[test]
    fn whatever_a_device_says_of_itself_is_short_and_plain() {
        let place = Place { port: "1-1".to_owned(), serial: Some("\u{1b}[2J\n".repeat(99)) };
        let capabilities = Capabilities::default();
        let info = SensorInfo {
            model: "x".repeat(999),
            serial: None,
            geometry: None,
            dpi: Dpi::STANDARD,
            capabilities,
        };
        let reader = Reader::new("a".parse().unwrap(), &place, &info);
        let serial = reader.serial.unwrap();
        assert_eq!((reader.model.len(), serial.chars().count()), (LONGEST, LONGEST));
        assert!(!serial.chars().any(char::is_control));
    }

    #[test]
    fn two_of_the_same_serial_number_can_both_be_adopted() {
        let (one, two) = (reader("a", Some("0000"), "1-1"), reader("b", Some("0000"), "1-2"));
        assert_eq!(adopted(std::slice::from_ref(&one)).displaced(&two).count(), 0);
        let known = adopted(&[one.clone(), two.clone()]);
        assert_eq!((known.standing(&one), known.standing(&two)), (Standing::Adopted, Standing::Adopted));
    }

    fn any_reader() -> impl Strategy<Value = Reader> {
        let serial = prop::option::of(prop::sample::select(vec!["7", "8"]));
        let (id, port) =
            (prop::sample::select(vec!["a", "b", "c"]), prop::sample::select(vec!["1-1", "1-2", "1-3"]));
        (id, serial, port).prop_map(|(id, serial, port)| reader(id, serial, port))
    }

    proptest! {
        #[test]
        fn a_reader_that_was_adopted_while_others_gave_way_is_the_only_one_at_its_port(
            before in prop::collection::vec(any_reader(), 0..4), chosen in any_reader(), seen in any_reader(),
        ) {
            let mut known = adopted(&before);
            let gone: Vec<ReaderId> = known.displaced(&chosen).map(|a| a.reader.id.clone()).collect();
            for id in &gone {
                known.remove(id);
            }
            known.insert(Adoption { reader: chosen.clone(), at: Timestamp::from_millis(1), suspended: None });
            prop_assert_eq!(known.standing(&chosen), Standing::Adopted);
            prop_assert_eq!(known.displaced(&chosen).count(), 0);
            if known.standing(&seen) == Standing::Adopted && seen.port == chosen.port {
                prop_assert_eq!(seen, chosen);
            }
        }
    }
}
