//! The keys that assertions are signed with: one signs, those before it are published until nobody has an assertion of theirs
//! and every service has fetched the keys anew.
//!
//! Invariant: they lie in the store alone, sealed as all that lies there, and in no backup.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::OnTrial;
use crate::{
    audit::Event,
    clock::Timestamp,
    credential::assertion::{AssertionKey, BadKey, Claims},
    request::Caller,
    services::{Inner, Services, the_box},
    store::{Change, StoreError, Table},
};

/// Their key in [`Table::About`].
const KEY: &[u8] = b"assertion-keys";
/// How long a key that signs no more is published.
const PUBLISHED: Duration = Duration::from_secs(86_400);
/// After how long another one signs.
const AGE: Duration = Duration::from_secs(90 * 86_400);

/// Why there are no keys, or no others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// None can be made now.
    #[error(transparent)]
    OnTrial(#[from] OnTrial),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A key as it is kept.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct KeptKey {
    /// PKCS #8 in Base64.
    pkcs8: Zeroizing<String>,
    made: Timestamp,
    /// Until when it is published, if another one signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// Those of the box, ready to be used: the first one signs.
pub(in crate::services) struct Keys {
    kept: Vec<KeptKey>,
    ready: Vec<AssertionKey>,
}

impl Keys {
    fn of(kept: Vec<KeptKey>) -> Result<Self, BadKey> {
        let ready = kept.iter().map(|key| {
            let pkcs8 = Zeroizing::new(BASE64_STANDARD.decode(key.pkcs8.as_bytes()).map_err(|_| BadKey)?);
            AssertionKey::read(&pkcs8)
        });
        let ready = ready.collect::<Result<Vec<_>, _>>()?;
        if ready.is_empty() { Err(BadKey) } else { Ok(Self { kept, ready }) }
    }

    pub(super) fn sign(&self, claims: &Claims) -> Result<String, BadKey> {
        self.ready.first().ok_or(BadKey)?.sign(claims)
    }

    fn is_old(&self, now: Timestamp) -> bool {
        self.kept.first().is_some_and(|key| now.since(key.made) > AGE)
    }
}

fn damaged() -> StoreError {
    StoreError::Damaged { place: format!("{}/assertion-keys", Table::About.name()) }
}

impl Inner {
    /// The keys to sign with, made when there are none, and another one when the one that signs is old.
    pub(super) fn assertion_keys(&self) -> Result<Arc<Keys>, KeysError> {
        let mut keys = self.handover.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let kept = match self.kept_keys(&mut keys)? {
            Some(kept) if !kept.is_old(now) => return Ok(kept),
            kept => kept,
        };
        if let Err(on_trial) = self.not_on_trial() {
            // An old one signs for some days more.
            return kept.ok_or(on_trial.into());
        }
        let before = kept.map(|keys| keys.kept.clone()).unwrap_or_default();
        let ready = Arc::new(self.another_key(&the_box("assertions"), before, now)?);
        *keys = Some(Arc::clone(&ready));
        Ok(ready)
    }

    /// Those that there are, read when they were not.
    fn kept_keys(&self, keys: &mut Option<Arc<Keys>>) -> Result<Option<Arc<Keys>>, StoreError> {
        if keys.is_none()
            && let Some(value) = self.store.get(Table::About, KEY)?.map(Zeroizing::new)
        {
            let kept: Vec<KeptKey> = serde_json::from_slice(&value).map_err(|_| damaged())?;
            *keys = Some(Arc::new(Keys::of(kept).map_err(|_| damaged())?));
        }
        Ok(keys.clone())
    }

    fn another_key(&self, by: &Caller, before: Vec<KeptKey>, now: Timestamp) -> Result<Keys, StoreError> {
        let pkcs8 = AssertionKey::generate().map_err(|why| StoreError::Io(why.to_string()))?;
        let pkcs8 = Zeroizing::new(BASE64_STANDARD.encode(&*pkcs8));
        let mut kept = vec![KeptKey { pkcs8, made: now, until: None }];
        kept.extend(before.into_iter().map(|key| {
            let until = key.until.or(Some(now.later(PUBLISHED)));
            KeptKey { until, ..key }
        }));
        kept.retain(|key| key.until.is_none_or(|until| until > now));
        let keys = Keys::of(kept).map_err(|_| damaged())?;
        let value = serde_json::to_vec(&keys.kept).map_err(|why| StoreError::Io(why.to_string()))?;
        let change = Change::Put { table: Table::About, key: KEY.to_vec(), value };
        let kid = keys.ready.first().map(|key| key.kid().to_owned()).unwrap_or_default();
        self.commit(by, &[change], &Event::AssertionKeyMade { kid })?;
        Ok(keys)
    }
}

impl Services {
    /// The keys by which assertions are verified, as a JSON Web Key Set (RFC 7517). Whoever asks for them makes none: until
    /// somebody wants an assertion there are none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn assertion_jwks(&self) -> Result<Value, StoreError> {
        let inner = &self.inner;
        let keys =
            inner.kept_keys(&mut inner.handover.keys.lock().unwrap_or_else(PoisonError::into_inner))?;
        let now = inner.clock.now();
        let published = keys.iter().flat_map(|keys| keys.kept.iter().zip(&keys.ready));
        let published = published.filter(|(kept, _)| kept.until.is_none_or(|until| until > now));
        Ok(json!({"keys": published.map(|(_, key)| key.jwk()).collect::<Vec<_>>()}))
    }

    /// Another key signs from now on; gives what it is known by.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn rotate_assertion_key(&self, by: &Caller) -> Result<String, KeysError> {
        let inner = &self.inner;
        inner.not_on_trial()?;
        let mut keys = inner.handover.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let before = inner.kept_keys(&mut keys)?.map(|keys| keys.kept.clone()).unwrap_or_default();
        let ready = Arc::new(inner.another_key(by, before, inner.clock.now())?);
        let kid = ready.ready.first().map(|key| key.kid().to_owned()).unwrap_or_default();
        *keys = Some(ready);
        Ok(kid)
    }
}
