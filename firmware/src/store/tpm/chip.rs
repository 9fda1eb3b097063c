//! A TPM 2.0, asked through the system's TPM software stack.
//!
//! The key is a sealed data object under the storage key of the owner hierarchy (ECC P-256, the template of the
//! TCG's provisioning guidance), which the TPM derives anew each time: nothing is kept in it. The object answers to
//! a policy only, never to a password: it may be unsealed, and nothing else, while the PCRs are what they were. It
//! is outside the lockout, which others could cause.
//!
//! Every session is salted with the storage key and encrypts what it carries. The storage key is compared with the
//! one that sealed before it is used: otherwise somebody on the bus could answer with a key of his own.

use std::{error::Error as _, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use tss_esapi::{
    Context, Error,
    attributes::{ObjectAttributesBuilder, SessionAttributesBuilder},
    constants::{
        CommandCode, SessionType,
        response_code::{Tss2ResponseCode, Tss2ResponseCodeKind as Kind},
    },
    handles::{KeyHandle, SessionHandle},
    interface_types::{
        algorithm::{HashingAlgorithm, PublicAlgorithm},
        ecc::EccCurve,
        resource_handles::Hierarchy,
        session_handles::{AuthSession, PolicySession},
    },
    structures::{
        Digest, EccPoint, KeyedHashScheme, PcrSelectionList, PcrSlot, Private, Public, PublicBuilder,
        PublicEccParametersBuilder, PublicKeyedHashParameters, SensitiveData, SymmetricDefinition,
        SymmetricDefinitionObject,
    },
    tcti_ldr::TctiNameConf,
    traits::{Marshall, UnMarshall},
};
use zeroize::Zeroizing;

use super::{PCRS, Sealed, Tpm, TpmError};
use crate::store::sealed::KEY;

pub(super) fn seal(tpm: &Tpm, key: &[u8; KEY]) -> Result<Sealed, TpmError> {
    let mut chip = Chip::open(tpm, None)?;
    chip.seal(key, &tpm.pcrs)
}

pub(super) fn unseal(tpm: &Tpm, sealed: &Sealed) -> Result<Zeroizing<[u8; KEY]>, TpmError> {
    let parent = STANDARD.decode(&sealed.parent).map_err(|_| TpmError::Damaged)?;
    Chip::open(tpm, Some(&parent))?.unseal(sealed)
}

/// A TPM with its storage key and an encrypted session. Dropped, it leaves nothing in the TPM.
struct Chip {
    context: Context,
    parent: KeyHandle,
    /// The storage key's.
    name: Vec<u8>,
    session: AuthSession,
}

impl Chip {
    /// Of the TPM whose storage key has this name, where that matters.
    fn open(tpm: &Tpm, name: Option<&[u8]>) -> Result<Self, TpmError> {
        let tcti = TctiNameConf::from_str(&tpm.tcti).map_err(|_| TpmError::Tcti(tpm.tcti.clone()))?;
        let absent = |why: Error| TpmError::Absent { tcti: tpm.tcti.clone(), why: text(why) };
        let mut context = Context::new(tcti).map_err(absent)?;
        let template = storage_key().map_err(told)?;
        let parent = context
            .execute_with_session(Some(AuthSession::Password), |context| {
                context.create_primary(Hierarchy::Owner, template, None, None, None, None)
            })
            .map_err(told)?
            .key_handle;
        let found = context.tr_get_name(parent.into()).map_err(told)?.value().to_vec();
        if name.is_some_and(|name| name != found) {
            return Err(TpmError::Another);
        }
        let session = start(&mut context, Some(parent), SessionType::Hmac)?;
        let (encrypted, mask) = SessionAttributesBuilder::new().with_decrypt(true).with_encrypt(true).build();
        context.tr_sess_set_attributes(session, encrypted, mask).map_err(told)?;
        Ok(Self { context, parent, name: found, session })
    }

    fn seal(&mut self, key: &[u8; KEY], pcrs: &[u8]) -> Result<Sealed, TpmError> {
        self.measures(pcrs)?;
        let trial = self.policy(pcrs, SessionType::Trial)?;
        let policy = self.context.policy_get_digest(trial).map_err(told)?;
        self.end(trial)?;
        let public = sealed_object(policy).map_err(told)?;
        let key_to_seal = SensitiveData::try_from(key.as_slice()).map_err(told)?;
        let parent = self.parent;
        let made = self.context.execute_with_session(Some(self.session), |context| {
            context.create(parent, public, None, Some(key_to_seal), None, None)
        });
        let made = made.map_err(told)?;
        let sealed = Sealed {
            parent: STANDARD.encode(&self.name),
            public: STANDARD.encode(made.out_public.marshall().map_err(told)?),
            private: STANDARD.encode(made.out_private.value()),
            pcrs: pcrs.to_vec(),
        };
        // What is stored must not rest on a key that does not come back.
        if *self.unseal(&sealed)? == *key {
            Ok(sealed)
        } else {
            Err(TpmError::Refused("it gives back another key than it sealed".to_owned()))
        }
    }

    fn unseal(&mut self, sealed: &Sealed) -> Result<Zeroizing<[u8; KEY]>, TpmError> {
        let bytes = |text: &str| STANDARD.decode(text).map_err(|_| TpmError::Damaged);
        let public = Public::unmarshall(&bytes(&sealed.public)?).map_err(|_| TpmError::Damaged)?;
        let private = Private::try_from(bytes(&sealed.private)?).map_err(|_| TpmError::Damaged)?;
        let (parent, session) = (self.parent, self.session);
        let object = self
            .context
            .execute_with_session(Some(session), |context| context.load(parent, private, public))
            .map_err(not_loaded)?;
        let policy = self.policy(&sealed.pcrs, SessionType::Policy)?;
        let key = self.context.execute_with_sessions((Some(policy.into()), Some(session), None), |context| {
            context.unseal(object.into())
        });
        let key = key.map_err(|why| not_unsealed(why, &sealed.pcrs))?;
        self.context.flush_context(object.into()).map_err(told)?;
        let key = <[u8; KEY]>::try_from(key.value()).map(Zeroizing::new);
        key.map_err(|_| TpmError::Damaged)
    }

    /// Whether the registers are measured: a policy of others would bind to nothing, and say nothing.
    fn measures(&mut self, pcrs: &[u8]) -> Result<(), TpmError> {
        // A TPM reads up to eight at a time.
        for some in pcrs.chunks(8) {
            let wanted = selection(some)?;
            let read = self.context.execute_without_session(|context| context.pcr_read(wanted));
            let (_, _, values) = read.map_err(told)?;
            if values.value().len() != some.len() {
                return Err(TpmError::NoPcrs(some.to_vec()));
            }
        }
        Ok(())
    }

    /// A session in which the policy of a key holds, if it does.
    fn policy(&mut self, pcrs: &[u8], kind: SessionType) -> Result<PolicySession, TpmError> {
        let session = start(&mut self.context, None, kind)?;
        let session = PolicySession::try_from(session).map_err(told)?;
        if !pcrs.is_empty() {
            let selection = selection(pcrs)?;
            self.context.policy_pcr(session, Digest::default(), selection).map_err(told)?;
        }
        self.context.policy_command_code(session, CommandCode::Unseal).map_err(told)?;
        Ok(session)
    }

    fn end(&mut self, session: PolicySession) -> Result<(), TpmError> {
        self.context.flush_context(SessionHandle::from(session).into()).map_err(told)
    }
}

fn start(context: &mut Context, salt: Option<KeyHandle>, kind: SessionType) -> Result<AuthSession, TpmError> {
    let (cipher, hash) = (SymmetricDefinition::AES_128_CFB, HashingAlgorithm::Sha256);
    let session = context.start_auth_session(salt, None, None, kind, cipher, hash).map_err(told)?;
    session.ok_or_else(|| TpmError::Refused("it starts no session".to_owned()))
}

/// The template of the storage key.
pub(super) fn storage_key() -> Result<Public, Error> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .with_restricted(true)
        .with_decrypt(true)
        .build()?;
    let parameters = PublicEccParametersBuilder::new_restricted_decryption_key(
        SymmetricDefinitionObject::AES_128_CFB,
        EccCurve::NistP256,
    );
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(parameters.build()?)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
}

/// The template of what is sealed. Its password is empty, and opens nothing: only the policy does.
fn sealed_object(policy: Digest) -> Result<Public, Error> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_user_with_auth(false)
        .with_admin_with_policy(true)
        .with_no_da(true)
        .build()?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::KeyedHash)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_auth_policy(policy)
        .with_keyed_hash_parameters(PublicKeyedHashParameters::new(KeyedHashScheme::Null))
        .with_keyed_hash_unique_identifier(Digest::default())
        .build()
}

fn selection(pcrs: &[u8]) -> Result<PcrSelectionList, TpmError> {
    let none = || TpmError::NoPcrs(pcrs.to_vec());
    let slot = |pcr: &u8| PcrSlot::try_from(1_u32 << (*pcr).min(PCRS)).ok().filter(|_| *pcr < PCRS);
    let slots: Option<Vec<_>> = pcrs.iter().map(slot).collect();
    let list = PcrSelectionList::builder().with_selection(HashingAlgorithm::Sha256, &slots.ok_or_else(none)?);
    list.build().map_err(|_| none())
}

fn kind(why: Error) -> Option<Kind> {
    match why {
        Error::Tss2Error(code) => code.kind(),
        Error::WrapperError(_) => None,
    }
}

pub(super) fn told(why: Error) -> TpmError {
    match kind(why) {
        Some(Kind::Lockout) => TpmError::Lockout,
        Some(Kind::BadAuth | Kind::AuthFail) => TpmError::Owned,
        _ => TpmError::Refused(text(why)),
    }
}

/// The storage key is the right one: what does not load is not what was written.
fn not_loaded(why: Error) -> TpmError {
    match (why, told(why)) {
        // The TPM complains of what it was given, in one of many ways.
        (Error::Tss2Error(Tss2ResponseCode::FormatOne(_)), TpmError::Refused(_)) => TpmError::Damaged,
        (_, told) => told,
    }
}

fn not_unsealed(why: Error, pcrs: &[u8]) -> TpmError {
    match kind(why) {
        Some(Kind::PolicyFail) if !pcrs.is_empty() => TpmError::PcrsChanged(pcrs.to_vec()),
        // Its policy is none of ours.
        Some(Kind::PolicyFail | Kind::PolicyCc) => TpmError::Damaged,
        _ => told(why),
    }
}

/// What the stack says, with the number that its manual explains.
fn text(why: Error) -> String {
    let number = match &why {
        Error::Tss2Error(code) => code.source().map(|number| format!(" ({number})")),
        Error::WrapperError(_) => None,
    };
    format!("{why}{}", number.unwrap_or_default())
}
