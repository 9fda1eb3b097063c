//! How a finger lies in the store: its key, and its views one after another.

use authenteon_matcher::{Template, search::Finger};

use crate::{
    services::OpenError,
    store::StoreError,
    subject::{FingerPosition, SubjectId},
};

/// A finger in the gallery.
pub type FingerKey = (SubjectId, FingerPosition);

/// Key of a finger: the subject's id and the finger's code.
pub(crate) fn finger_key((subject, position): &FingerKey) -> Vec<u8> {
    let mut key = subject.as_bytes().to_vec();
    key.push(position.code());
    key
}

/// A finger's views: each with its length in two bytes.
pub(crate) fn encode_views(views: &[Template]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for view in views {
        let view = view.to_bytes();
        // At most 128 minutiae of six bytes each, the flow of an image of the largest size, and a header.
        bytes.extend((view.len() as u16).to_be_bytes());
        bytes.extend(view);
    }
    bytes
}

/// The finger that an entry of the store is.
pub(crate) fn finger_of(key: &[u8], value: &[u8]) -> Result<(FingerKey, Finger), OpenError> {
    let bad = || damaged("a finger's key");
    let (code, subject) = key.split_last().ok_or_else(bad)?;
    let subject = SubjectId::from_bytes(subject.try_into().map_err(|_| bad())?);
    let position = FingerPosition::from_code(*code).ok_or_else(bad)?;
    Ok(((subject, position), Finger::of_native(views_of(value)?)?))
}

/// The views of a finger as it lies in the store.
pub(crate) fn decode_views(bytes: &[u8]) -> Result<Vec<Template>, OpenError> {
    views_of(bytes)?.into_iter().map(|view| Ok(Template::from_bytes(view)?)).collect()
}

/// The same in their native coding.
fn views_of(mut bytes: &[u8]) -> Result<Vec<&[u8]>, OpenError> {
    let short = || damaged("a finger's views");
    let mut views = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>().ok_or_else(short)?;
        let (view, rest) =
            rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(short)?;
        views.push(view);
        bytes = rest;
    }
    Ok(views)
}

fn damaged(place: &str) -> StoreError {
    StoreError::Damaged { place: place.to_owned() }
}
