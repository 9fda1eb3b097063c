//! The store of this repository.

use std::path::Path;

use authenteon::{
    gallery::{FingerKey, fill},
    store::{Change, DiskStore, Store, Table, Upkeep},
};
use authenteon_matcher::search::Gallery;

use crate::engine::{Engine, Failure, Told};

pub(crate) struct Ours(DiskStore);

impl Engine for Ours {
    const NAME: &'static str = "ours";
    const PARTS: &'static [&'static str] = &["journal", "keys", "index"];

    fn open(folder: &Path) -> Result<Self, Failure> {
        Ok(Self(DiskStore::open(folder)?))
    }

    fn commit(&self, changes: &[Change]) -> Result<(), Failure> {
        Ok(self.0.commit(changes)?)
    }

    fn gallery(&self, told: Told<'_>) -> Result<Gallery<FingerKey>, Failure> {
        let gallery = fill(None, |look| {
            self.0.look_at_all(&[Table::Fingers], &|value| {
                told(1);
                look(value)
            })
        });
        Ok(gallery?)
    }

    fn wait_until_enrolling(&self) {
        self.0.wait_until_indexed();
    }

    fn verify(&mut self) -> Result<bool, Failure> {
        Ok(Upkeep::verify(&self.0, &|_, _| {})?.index_differences == 0)
    }

    fn compact(&mut self) -> Result<(), Failure> {
        Ok(Upkeep::compact(&self.0, &|_, _| {})?)
    }
}
