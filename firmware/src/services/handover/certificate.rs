//! Certificates of people: when one may be given, and by which authority.
//!
//! Whoever holds the authority's key is everybody in the directories that trust it: so it lies in the store alone, there is none
//! until an administrator makes one, and it certifies nobody while a stolen disk would open the store. Invariant: a certificate
//! is of whom the box has just accepted, as the directory says him at that moment, and in the audit before it leaves.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError},
    time::Duration,
};

use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{HandoverSettings, NotAccepted, OnTrial, Purpose};
use crate::{
    audit::Event,
    credential::{
        csr::{CsrError, ProvenKey, proven_key},
        users::{KeyDigest, Person, UserAuthority, UserCertificate, UserCertificateError as NotMade},
    },
    directory::{Account, Entry, Identifier, Mapping, NotAPrincipal, ObjectId, Principal, SourceName, State},
    request::{Caller, RequestId, hex},
    services::{AtRest, Inner, NotCertified, Services},
    store::{Change, StoreError, Table},
    subject::SubjectId,
};

/// Where the authority lies in [`Table::About`].
const KEY: &[u8] = b"user-authority";
/// The time that rates are counted in.
const MINUTE: Duration = Duration::from_secs(60);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum UserCertificateError {
    /// The accept.
    #[error(transparent)]
    Accept(#[from] NotAccepted),
    /// The request.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// The accept was asked for without a key, or with another one.
    #[error(
        "the accept was not asked for with this key: `certificate.key_sha256` of the request has to be the SHA-256 of the \
         key's SubjectPublicKeyInfo"
    )]
    OtherKey,
    /// The station lost its right meanwhile.
    #[error("this station may not ask for certificates of people")]
    MayNotIssue,
    /// Nobody made the authority.
    #[error(
        "the box has no authority for people's certificates: `authenteonctl certificate create-authority`"
    )]
    NoAuthority,
    /// There is one.
    #[error("the box has an authority for people's certificates already")]
    Exists,
    /// Whoever takes the disk has the key.
    #[error(
        "the master key lies in a file on the disk: certificates are given once it is sealed by the TPM or made of a \
         passphrase (`authenteonctl at-rest`)"
    )]
    Unprotected,
    /// The clock may be wrong.
    #[error(
        "the box's clock is not synchronised: certificates are given once a time server was heard (`authenteonctl health`)"
    )]
    Clock,
    /// The person.
    #[error(transparent)]
    Person(#[from] NotCertified),
    /// The directory says now that there is none.
    #[error("the directory says now that the account is {0}")]
    Now(&'static str),
    /// It is called otherwise now.
    #[error(
        "the directory calls the account otherwise now: it is followed first, have the finger presented again"
    )]
    Changed,
    /// Active Directory maps certificates by it.
    #[error(
        "the directory gives no SID of the account, by which Active Directory maps certificates: the account that reads needs \
         the right to read objectSid"
    )]
    NoSid,
    /// Kerberos cannot know it.
    #[error("the account has no Kerberos principal: {0}")]
    NoPrincipal(#[from] NotAPrincipal),
    /// Nobody knows of which realm it is.
    #[error(
        "several directories are followed, and this one's section names no `realm`: the people of which realm are in it?"
    )]
    NoRealm,
    /// The groups of the configuration.
    #[error("the person is in none of the groups that may get certificates (`certificate-groups`)")]
    Group,
    /// Neither the authority nor the record of a certificate is known to the version before.
    #[error(transparent)]
    OnTrial(#[from] OnTrial),
    /// Too many.
    #[error("more certificates were asked for in a minute than are given: wait a moment")]
    TooMany,
    /// It cannot be made.
    #[error(transparent)]
    NotMade(#[from] NotMade),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A certificate that is due once the directory has said how the person stands.
#[derive(Debug)]
pub struct Due {
    /// Which directory is to be asked.
    pub source: SourceName,
    /// About whom.
    pub object: ObjectId,
    subject: SubjectId,
    request: RequestId,
    account: Account,
    key: ProvenKey,
}

/// What is known of the authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserAuthorityFacts {
    /// Its certificate in PEM.
    pub pem: String,
    /// SHA-256 of it in DER, in hexadecimal.
    pub sha256: String,
}

/// As it is kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Kept {
    certificate: String,
    key: Zeroizing<String>,
}

/// When certificates were given in the last minute.
#[derive(Default)]
pub(in crate::services) struct Rates {
    all: VecDeque<(Duration, String)>,
    of: HashMap<String, usize>,
}

impl Rates {
    /// Counts one, if there is room for it.
    fn count(&mut self, station: &str, (each, all): (usize, usize), now: Duration) -> bool {
        while let Some((at, _)) = self.all.front()
            && now.saturating_sub(*at) >= MINUTE
        {
            if let Some((_, station)) = self.all.pop_front()
                && let Some(count) = self.of.get_mut(&station)
            {
                *count -= 1;
                if *count == 0 {
                    self.of.remove(&station);
                }
            }
        }
        let count = self.of.get(station).copied().unwrap_or_default();
        if self.all.len() >= all || count >= each {
            return false;
        }
        self.all.push_back((now, station.to_owned()));
        *self.of.entry(station.to_owned()).or_default() += 1;
        true
    }
}

fn facts(authority: &UserAuthority) -> UserAuthorityFacts {
    let der = CertificateDer::from_pem_slice(authority.pem().as_bytes());
    let sha256 = der.map(|der| hex(&Sha256::digest(&der))).unwrap_or_default();
    UserAuthorityFacts { pem: authority.pem().to_owned(), sha256 }
}

impl Services {
    /// The authority of people's certificates, if there is one.
    ///
    /// # Errors
    /// [`UserCertificateError`].
    pub fn user_authority(&self) -> Result<Option<UserAuthorityFacts>, UserCertificateError> {
        match self.inner.user_authority() {
            Ok(authority) => Ok(Some(facts(&authority))),
            Err(UserCertificateError::NoAuthority) => Ok(None),
            Err(why) => Err(why),
        }
    }

    /// Makes it.
    ///
    /// # Errors
    /// [`UserCertificateError`].
    pub fn make_user_authority(
        &self,
        by: &Caller,
        device: Uuid,
    ) -> Result<UserAuthorityFacts, UserCertificateError> {
        let inner = &self.inner;
        inner.not_on_trial()?;
        self.protected()?;
        let mut kept = inner.handover.authority.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_some() || inner.store.get(Table::About, KEY)?.is_some() {
            return Err(UserCertificateError::Exists);
        }
        let made = UserAuthority::generate(device, inner.clock.now())?;
        let value = Kept { certificate: made.pem().to_owned(), key: made.key().clone() };
        let value =
            Zeroizing::new(serde_json::to_vec(&value).map_err(|why| StoreError::Io(why.to_string()))?);
        let change = Change::Put { table: Table::About, key: KEY.to_vec(), value: value.to_vec() };
        let facts = facts(&made);
        inner.commit(by, &[change], &Event::UserAuthorityMade { sha256: facts.sha256.clone() })?;
        *kept = Some(Arc::new(made));
        Ok(facts)
    }

    /// The list of its revoked certificates, in DER.
    ///
    /// # Errors
    /// [`UserCertificateError`].
    pub fn revoked_user_certificates(&self) -> Result<Vec<u8>, UserCertificateError> {
        Ok(self.inner.user_authority()?.list(self.inner.clock.now())?)
    }

    fn protected(&self) -> Result<(), UserCertificateError> {
        match self.at_rest() {
            AtRest::Passphrase | AtRest::Tpm => Ok(()),
            _ => Err(UserCertificateError::Unprotected),
        }
    }

    /// Uses an accept for a certificate of the key in a request; `synchronised`: whether the clock is known to be right.
    ///
    /// # Errors
    /// [`UserCertificateError`]; then the accept is as it was, but for one that was used.
    pub fn certificate_due(
        &self,
        by: &Caller,
        request: &RequestId,
        csr: &str,
        synchronised: bool,
    ) -> Result<Due, UserCertificateError> {
        let key = proven_key(csr)?;
        let accepted = self.redeem(by, request, Purpose::Certificate)?;
        let due = || {
            if accepted.key != Some(KeyDigest(key.sha256)) {
                return Err(UserCertificateError::OtherKey);
            }
            if !accepted.at_own_reader && !self.grant_of(&by.name).may_issue {
                return Err(UserCertificateError::MayNotIssue);
            }
            self.inner.not_on_trial()?;
            self.protected()?;
            if !synchronised {
                return Err(UserCertificateError::Clock);
            }
            self.inner.user_authority()?;
            let account = self.may_certify(accepted.subject)?;
            let factors = self.inner.factors_of(accepted.subject);
            let HandoverSettings { most_a_minute, .. } = self.inner.handover.settings();
            let link = factors.followed.clone().ok_or(NotCertified::NotFollowed)?;
            let mut rates = self.inner.handover.rates.lock().unwrap_or_else(PoisonError::into_inner);
            if !rates.count(&by.name, most_a_minute, self.inner.clock.running()) {
                return Err(UserCertificateError::TooMany);
            }
            Ok((link, account))
        };
        match due() {
            Ok((link, account)) => Ok(Due {
                source: link.source,
                object: link.object,
                subject: accepted.subject,
                request: request.clone(),
                account,
                key,
            }),
            Err(why) => {
                self.give_back(by, request, Purpose::Certificate);
                Err(why)
            }
        }
    }

    /// Gives the certificate that is due, to whom the directory says now that the person is; `mapping`: how it is found there
    /// whose it is.
    ///
    /// # Errors
    /// [`UserCertificateError`].
    pub fn certify(
        &self,
        by: &Caller,
        due: &Due,
        entry: Option<&Entry>,
        mapping: &Mapping,
    ) -> Result<(UserCertificate, String), UserCertificateError> {
        let inner = &self.inner;
        let authority = inner.user_authority()?;
        let HandoverSettings { certificate, groups, list, .. } = inner.handover.settings();
        let entry = entry.ok_or(UserCertificateError::Now(State::Gone.name()))?;
        let person = person(entry, &due.account, mapping)?;
        // Those of before may be a reading behind.
        if groups.is_some_and(|groups| groups.is_disjoint(&entry.groups)) {
            return Err(UserCertificateError::Group);
        }
        // Who was disabled here, or erased, since.
        self.may_certify(due.subject)?;
        let now = inner.clock.now();
        let made = authority.certify(&person, &due.key, (now, certificate), list.as_deref())?;
        let event = Event::UserCertified {
            subject: due.subject,
            request: due.request.clone().into(),
            serial: made.serial.clone(),
            key: hex(&due.key.sha256),
            expires: made.expires,
        };
        inner.commit(by, &[], &event)?;
        Ok((made, authority.pem().to_owned()))
    }
}

/// For whom a certificate is, by what the directory says of him at this moment.
fn person(entry: &Entry, account: &Account, mapping: &Mapping) -> Result<Person, UserCertificateError> {
    let state = State::from(entry.standing);
    if state != State::Active {
        return Err(UserCertificateError::Now(state.name()));
    }
    if entry.locked_out {
        return Err(UserCertificateError::Now("locked out, after wrong passwords"));
    }
    if entry.privileged {
        return Err(NotCertified::Privileged.into());
    }
    let held = account.holds(Identifier::Upn).ok_or(NotCertified::NoPrincipal)?;
    let upn = entry.upn.clone().filter(|upn| upn.eq_ignore_ascii_case(held));
    let upn = upn.ok_or(UserCertificateError::Changed)?;
    let (sid, realm) = match mapping {
        Mapping::Sid => (Some(entry.sid.clone().ok_or(UserCertificateError::NoSid)?), None),
        Mapping::Principal { realm } => (None, realm.as_deref()),
        Mapping::Unsaid => return Err(UserCertificateError::NoRealm),
    };
    if account.sid.is_some() && sid.is_some() && account.sid != sid {
        return Err(UserCertificateError::Changed);
    }
    let principal = Principal::new(&upn, realm)?;
    // One without a realm would be taken for a name of whoever looks at it.
    let upn = if upn.contains('@') { upn } else { principal.to_string() };
    Ok(Person { upn, sid, principal })
}

impl Inner {
    fn user_authority(&self) -> Result<Arc<UserAuthority>, UserCertificateError> {
        let mut kept = self.handover.authority.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(authority) = kept.as_ref() {
            return Ok(Arc::clone(authority));
        }
        let value = self.store.get(Table::About, KEY)?.map(Zeroizing::new);
        let value = value.ok_or(UserCertificateError::NoAuthority)?;
        let damaged = || StoreError::Damaged { place: format!("{}/user-authority", Table::About.name()) };
        let Kept { certificate, key } = serde_json::from_slice(&value).map_err(|_| damaged())?;
        let authority = Arc::new(UserAuthority::read(&certificate, &key)?);
        *kept = Some(Arc::clone(&authority));
        Ok(authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_given_in_a_minute_than_a_station_and_the_box_may() {
        let mut rates = Rates::default();
        let at = Duration::from_secs;
        let most = (2, 3);
        assert!(rates.count("a", most, at(0)) && rates.count("a", most, at(10)));
        assert!(!rates.count("a", most, at(59)), "the station's");
        assert!(rates.count("b", most, at(59)));
        assert!(!rates.count("c", most, at(59)), "the box's");
        assert!(rates.count("a", most, at(60)), "one is a minute ago");
        assert!(!rates.count("a", most, at(60)));
    }
}
