//! USB readers that this crate drives, by their ids.
//!
//! Swipe readers are out of scope: they deliver strips that must be joined by guessing the speed of
//! the finger, and no policy of false matches can be kept on guesses.

use crate::{nb1010, uru4000};

/// A USB reader that has a driver here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsbModel {
    /// Of the U.are.U 4000 family.
    Uru4000(uru4000::Model),
    /// Next Biometrics NB-1010-U.
    Nb1010,
}

impl UsbModel {
    /// The reader with these ids, if it has a driver.
    #[must_use]
    pub fn find(vendor: u16, product: u16) -> Option<Self> {
        if (vendor, product) == nb1010::IDS {
            return Some(Self::Nb1010);
        }
        uru4000::Model::find(vendor, product).map(Self::Uru4000)
    }

    /// Maker and model, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uru4000(model) => model.name,
            Self::Nb1010 => nb1010::NAME,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_found_by_their_ids_and_swipe_readers_are_not() {
        assert_eq!(UsbModel::find(0x298D, 0x1010), Some(UsbModel::Nb1010));
        assert!(matches!(UsbModel::find(0x05BA, 0x000A), Some(UsbModel::Uru4000(_))));
        assert_eq!(UsbModel::find(0x147E, 0x2016), None, "UPEK TouchStrip");
    }
}
