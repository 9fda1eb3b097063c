//! What the box signs of its audit with its device key: the head at intervals, the start of what is kept, and that
//! somebody was erased. Whoever keeps such a statement elsewhere finds out when the audit is rewritten or cut short.
//!
//! Invariant: a statement says in its signed text what it is for, of which store, and at which record; none can be
//! taken for another.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ChainError, Head};
use crate::{
    clock::Timestamp,
    store::{Change, Store, StoreError, Table},
    subject::SubjectId,
};

/// Heads that are read at a time.
const PAGE: usize = 500;

/// What a statement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The chain had this record at that time.
    Head,
    /// What is kept begins behind this record: it and all before it were deleted because their time was over.
    Start,
    /// This record tells that somebody was erased, and the key of what was stored of the person is destroyed.
    Erasure,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Start => "start",
            Self::Erasure => "erasure",
        }
    }
}

/// A statement with its signature: what an anchor file, a proof of an erasure and a value of [`Table::Heads`] hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Signed {
    /// What it is for.
    pub purpose: Purpose,
    /// The store whose audit it is about.
    pub store: Uuid,
    /// The record.
    pub number: u64,
    /// SHA-256 of it, in hex.
    pub hash: String,
    /// When it was signed.
    pub at: Timestamp,
    /// Of an erasure: who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectId>,
    /// The public key: Ed25519 (RFC 8032), in base64.
    pub key: String,
    /// The signature, in base64.
    pub signature: String,
}

impl Signed {
    /// The text that is signed: a line for everything that it says.
    fn text(&self) -> String {
        let Self { purpose, store, number, hash, at, subject, .. } = self;
        let subject = subject.map_or_else(|| "-".to_owned(), |subject| subject.to_string());
        format!("authenteon audit 1\n{}\n{store}\n{number}\n{hash}\n{at}\n{subject}\n", purpose.name())
    }

    /// Whether the holder of its key signed it. Whose key that is, is another question.
    #[must_use]
    pub fn holds(&self) -> bool {
        let (Ok(key), Ok(signature)) =
            (BASE64_STANDARD.decode(&self.key), BASE64_STANDARD.decode(&self.signature))
        else {
            return false;
        };
        UnparsedPublicKey::new(&ED25519, key).verify(self.text().as_bytes(), &signature).is_ok()
    }

    /// Whether it is for this purpose and about this store's chain, and the holder of its key signed it: what a store keeps is
    /// nothing before that.
    #[must_use]
    pub fn is_of(&self, purpose: Purpose, store: Uuid) -> bool {
        self.purpose == purpose && self.store == store && self.subject.is_none() && self.holds()
    }

    /// Whether it is about this place in the chain.
    #[must_use]
    pub fn is_at(&self, head: &Head) -> bool {
        self.number == head.number() && self.hash == head.hash()
    }

    /// The change that keeps it. A head lies under its store and number, the start under its store and zero.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be written as JSON.
    pub fn change(&self) -> Result<Change, StoreError> {
        let value = serde_json::to_vec(self).map_err(|why| StoreError::Io(why.to_string()))?;
        Ok(Change::Put { table: Table::Heads, key: self.key(), value })
    }

    /// Where it lies in [`Table::Heads`].
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        place(self.store, if self.purpose == Purpose::Start { 0 } else { self.number })
    }

    /// One that is kept.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is none.
    pub fn parse(value: &[u8]) -> Result<Self, StoreError> {
        let damaged = |_| StoreError::Damaged { place: Table::Heads.name().to_owned() };
        serde_json::from_slice(value).map_err(damaged)
    }

    /// The start of what a store keeps of the audit of one; `None` while it has all of it.
    pub(crate) fn start_of(store: &dyn Store, of: Uuid) -> Result<Option<Self>, ChainError> {
        let value = store.get(Table::Heads, &place(of, 0))?;
        Ok(value.map(|value| Self::parse(&value)).transpose()?)
    }

    /// Every head that a store keeps of the audit of one, in the order of the numbers that they lie under.
    pub(crate) fn heads_of(store: &dyn Store, of: Uuid) -> Result<Vec<Kept>, StoreError> {
        let mut heads = Vec::new();
        loop {
            let after = heads.last().map_or(0, |head: &Kept| head.under);
            let page = Self::heads_after(store, of, after, PAGE)?;
            if page.is_empty() {
                return Ok(heads);
            }
            heads.extend(page);
        }
    }

    /// Up to so many of them behind a record.
    pub(crate) fn heads_after(
        store: &dyn Store,
        of: Uuid,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Kept>, StoreError> {
        let page = store.scan(Table::Heads, Some(&place(of, after)), limit)?;
        let own = page.iter().map_while(|(key, value)| Some((key.strip_prefix(of.as_bytes())?, value)));
        own.map(|(number, value)| {
            let damaged = |_| StoreError::Damaged { place: Table::Heads.name().to_owned() };
            let under = u64::from_be_bytes(number.try_into().map_err(damaged)?);
            Ok(Kept { under, signed: Self::parse(value)? })
        })
        .collect()
    }
}

/// A head as a store keeps it. What it says of itself, its number too, is for who reads it to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The number that it lies under.
    pub(crate) under: u64,
    /// What lies there.
    pub(crate) signed: Signed,
}

impl Kept {
    /// Whether it is a head of the chain of a store, which has this place at its number.
    pub(crate) fn fits(&self, head: &Head, of: Uuid) -> bool {
        self.under == head.number() && self.signed.is_at(head) && self.signed.is_of(Purpose::Head, of)
    }
}

/// Where a statement about a record lies in [`Table::Heads`].
pub(crate) fn place(store: Uuid, number: u64) -> Vec<u8> {
    [store.as_bytes().as_slice(), &number.to_be_bytes()].concat()
}

/// The key that the box signs with; it is in no backup, and made anew with the authority.
pub struct DeviceKey {
    pair: Ed25519KeyPair,
    public: String,
    certificate: Option<String>,
}

impl DeviceKey {
    /// Of a pair that is there.
    #[must_use]
    pub fn new(pair: Ed25519KeyPair) -> Self {
        let public = BASE64_STANDARD.encode(pair.public_key().as_ref());
        Self { pair, public, certificate: None }
    }

    /// With its certificate in PEM.
    #[must_use]
    pub fn certified(self, certificate: Option<String>) -> Self {
        Self { certificate, ..self }
    }

    /// Its certificate in PEM, if it has one.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// The public key, in base64.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// Signs a statement about a place in the chain of a store.
    #[must_use]
    pub fn sign(
        &self,
        purpose: Purpose,
        store: Uuid,
        head: &Head,
        at: Timestamp,
        subject: Option<SubjectId>,
    ) -> Signed {
        let mut signed = Signed {
            purpose,
            store,
            number: head.number(),
            hash: head.hash().to_owned(),
            at,
            subject,
            key: self.public.clone(),
            signature: String::new(),
        };
        signed.signature = BASE64_STANDARD.encode(self.pair.sign(signed.text().as_bytes()).as_ref());
        signed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> DeviceKey {
        DeviceKey::new(Ed25519KeyPair::generate().unwrap())
    }

    #[test]
    fn a_statement_that_was_once_signed_holds_still() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../clients/ctl/tests/fixtures/audit/anchor.json");
        let signed: Signed = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert!(signed.holds() && signed.number == 6);
    }

    #[test]
    fn a_statement_survives_its_text_and_holds_for_nothing_else() {
        let (key, store) = (key(), Uuid::new_v4());
        let at = Timestamp::from_millis(1_764_000_000_000);
        let signed = key.sign(Purpose::Head, store, &Head::none(), at, None);
        let text = serde_json::to_string(&signed).unwrap();
        assert_eq!(serde_json::from_str::<Signed>(&text).unwrap(), signed);
        assert!(signed.holds() && signed.is_at(&Head::none()));
        let others = [
            Signed { purpose: Purpose::Start, ..signed.clone() },
            Signed { store: Uuid::new_v4(), ..signed.clone() },
            Signed { number: 1, ..signed.clone() },
            Signed { hash: "00".to_owned(), ..signed.clone() },
            Signed { at: Timestamp::from_millis(1), ..signed.clone() },
            Signed { subject: Some(SubjectId::random()), ..signed.clone() },
            Signed { key: self::key().public().to_owned(), ..signed.clone() },
            Signed { key: "no key".to_owned(), ..signed.clone() },
            Signed { signature: String::new(), ..signed },
        ];
        for other in others {
            assert!(!other.holds(), "{other:?}");
        }
    }
}
