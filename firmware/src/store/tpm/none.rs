//! A build without TPM support, which says so.

use zeroize::Zeroizing;

use super::{Sealed, Tpm, TpmError};
use crate::store::sealed::KEY;

pub(super) fn seal(_: &Tpm, _: &[u8; KEY]) -> Result<Sealed, TpmError> {
    Err(TpmError::NotBuilt)
}

pub(super) fn unseal(_: &Tpm, _: &Sealed) -> Result<Zeroizing<[u8; KEY]>, TpmError> {
    Err(TpmError::NotBuilt)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::{AtRest, KeyError, Master, Opened, Opening, Store, StoreError};

    #[test]
    fn a_build_without_tpm_support_says_so_and_the_key_before_stays_good() {
        let folder = tempfile::tempdir().unwrap();
        let opening = Opening::new(folder.path()).with_tpm(Tpm::default());
        let at_rest = |master: &Master| {
            let Opened::Ready(store) = opening.open(&mut |_, _| {}).unwrap() else { panic!("locked") };
            (store.change_master(None, master), store.at_rest())
        };
        let refused = Err(KeyError::Store(StoreError::Tpm(TpmError::NotBuilt)));
        assert_eq!(at_rest(&Master::Tpm), (refused, AtRest::KeyFile));
        assert_eq!(at_rest(&Master::File), (Ok(()), AtRest::KeyFile));
    }

    #[test]
    fn a_store_whose_key_a_tpm_seals_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let opening = Opening::new(folder.path());
        drop(opening.open(&mut |_, _| {}).unwrap());
        let domain = folder.path().join("keys/domain.json");
        let sealed = r#"{"tpm":{"parent":"AA==","public":"AA==","private":"AA==","pcrs":[7]}}"#;
        let text = fs::read_to_string(&domain).unwrap().replace(r#"{"file":{}}"#, sealed);
        assert!(text.contains("pcrs"), "{text}");
        fs::write(&domain, &text).unwrap();
        assert_eq!(opening.open(&mut |_, _| {}).err(), Some(StoreError::Tpm(TpmError::NotBuilt)));
        assert_eq!(fs::read_to_string(&domain).unwrap(), text);
    }
}
