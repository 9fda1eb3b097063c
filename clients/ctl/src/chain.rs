//! An export of the audit, and statements that a box signed, verified without the box.
//!
//! Invariant: what verifies is byte for byte what the box chained. Whose key signed it, is for the anchor to say, which
//! somebody kept.

use std::io::{self, BufRead};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::CtlError;

/// Bytes of the longest line: a record has some hundreds.
const LONGEST: u64 = 1 << 20;
/// What the first record that ever was names as the one before.
const NONE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A statement about the audit with its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Signed {
    pub(crate) purpose: String,
    pub(crate) store: String,
    pub(crate) number: u64,
    pub(crate) hash: String,
    pub(crate) at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    pub(crate) key: String,
    pub(crate) signature: String,
}

impl Signed {
    /// Whether the holder of its key signed it, for this purpose.
    pub(crate) fn holds(&self, purpose: &str) -> bool {
        let Self { store, number, hash, at, subject, .. } = self;
        let subject = subject.as_deref().unwrap_or("-");
        let text = format!("authenteon audit 1\n{purpose}\n{store}\n{number}\n{hash}\n{at}\n{subject}\n");
        let decoded = (BASE64_STANDARD.decode(&self.key), BASE64_STANDARD.decode(&self.signature));
        let (Ok(key), Ok(signature)) = decoded else { return false };
        self.purpose == purpose
            && UnparsedPublicKey::new(&ED25519, key).verify(text.as_bytes(), &signature).is_ok()
    }
}

/// That a box erased somebody, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proof {
    /// The record in its audit, byte for byte.
    pub(crate) record: String,
    pub(crate) statement: Signed,
}

/// What of a record a proof rests on.
#[derive(Deserialize)]
struct Erasure {
    number: u64,
    at: String,
    what: ErasureOf,
}

#[derive(Deserialize)]
struct ErasureOf {
    event: String,
    subject: String,
}

impl Proof {
    pub(crate) fn parse(json: &serde_json::Value) -> Result<Self, CtlError> {
        Self::deserialize(json)
            .map_err(|error| CtlError::Answer(format!("this is no proof of an erasure: {error}")))
    }

    /// Whether it is one, and by the key of the anchor if there is one. Gives when that was.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn check(&self, anchor: Option<&Signed>) -> Result<String, &'static str> {
        let Self { record, statement } = self;
        if !statement.holds("erasure") {
            return Err("the proof's signature does not hold");
        }
        if hex(&Sha256::digest(record.as_bytes())) != statement.hash {
            return Err("the record is another one than was signed");
        }
        let said: Erasure = serde_json::from_str(record).map_err(|_| "the record tells of no erasure")?;
        let is_it = said.number == statement.number
            && matches!(said.what.event.as_str(), "subject-deleted" | "subject-lost")
            && Some(&said.what.subject) == statement.subject.as_ref();
        if !is_it {
            return Err("the record tells of something else than was signed");
        }
        match anchor {
            Some(anchor) if !anchor.holds("head") => Err("the anchor's own signature does not hold"),
            Some(anchor) if anchor.key != statement.key => {
                Err("another key than the anchor's signed the proof")
            }
            Some(anchor) if anchor.store != statement.store => {
                Err("the proof is of another store than the anchor")
            }
            _ => Ok(said.at),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Opening {
    audit_export: u32,
    store: String,
    #[serde(rename = "at")]
    _at: String,
    key: Option<String>,
    start: Option<Signed>,
    /// Only records from before this moment were asked for.
    until: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Closing {
    audit_export_end: u64,
    head: Option<Signed>,
}

#[derive(Deserialize)]
struct Link {
    number: u64,
    previous: String,
}

/// What an export comes to. [`Verdict::name`] is as the box names its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Whole,
    /// It holds as far as it goes, and nobody signed its end: who wrote it, nobody can say.
    Unsigned,
    Broken {
        number: u64,
        why: &'static str,
    },
    StartForged,
    HeadForged,
    Cut {
        last: u64,
    },
    Rewritten {
        number: u64,
    },
    Truncated {
        number: u64,
        head: u64,
    },
    OtherKey,
    AnchorForged,
    AnchorForeign,
    AnchorTooOld {
        first: u64,
    },
    /// It is whole, and was asked for up to some moment or taken before the anchor was.
    EndsBeforeAnchor {
        number: u64,
    },
}

impl Verdict {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Unsigned => "unsigned",
            Self::Broken { .. } => "broken",
            Self::StartForged => "start-forged",
            Self::HeadForged => "head-forged",
            Self::Cut { .. } => "cut",
            Self::Rewritten { .. } => "rewritten",
            Self::Truncated { .. } => "truncated",
            Self::OtherKey => "other-key",
            Self::AnchorForged => "anchor-forged",
            Self::AnchorForeign => "anchor-foreign",
            Self::AnchorTooOld { .. } => "anchor-too-old",
            Self::EndsBeforeAnchor { .. } => "ends-before-anchor",
        }
    }
}

/// What was found in an export.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) verdict: Verdict,
    pub(crate) store: String,
    pub(crate) records: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) hash: String,
}

/// Verifies an export to its end.
///
/// # Errors
/// It cannot be read, or is none.
pub(crate) fn verify(mut export: impl BufRead, anchor: Option<&Signed>) -> io::Result<Found> {
    let none = || io::Error::other("this is no export of an audit: its first line would say so");
    let opening: Opening =
        serde_json::from_slice(&line(&mut export)?.ok_or_else(none)?).map_err(|_| none())?;
    if opening.audit_export != 1 {
        return Err(io::Error::other("this export is of a later version: use a newer authenteonctl"));
    }
    let mut found = Found {
        verdict: Verdict::Whole,
        store: opening.store.clone(),
        records: 0,
        first: 0,
        last: 0,
        hash: NONE.to_owned(),
    };
    let mut at_anchor = None;
    let mut closing = None;
    while let Some(bytes) = line(&mut export)? {
        if let Ok(end) = serde_json::from_slice::<Closing>(&bytes) {
            closing = Some(end);
            break;
        }
        let number = found.last + 1;
        let link = serde_json::from_slice::<Link>(&bytes);
        let Ok(Link { number: is, previous }) = link else {
            return Ok(Found {
                verdict: Verdict::Broken { number, why: "the record cannot be read" },
                ..found
            });
        };
        if found.records == 0 {
            found.first = is;
            found.hash.clone_from(&previous);
            let start = opening.start.as_ref().filter(|start| start.number + 1 == is);
            let begins = match start {
                Some(start) => start.holds("start") && start.hash == previous && start.store == opening.store,
                None => is != 1 || previous == NONE,
            };
            if !begins {
                return Ok(Found { verdict: Verdict::StartForged, ..found });
            }
            if anchor.is_some_and(|anchor| anchor.number + 1 == is) {
                at_anchor = Some(previous.clone());
            }
        } else if is != number {
            return Ok(Found { verdict: Verdict::Broken { number, why: "the record is missing" }, ..found });
        } else if previous != found.hash {
            let why = "the record before it was altered";
            return Ok(Found { verdict: Verdict::Broken { number, why }, ..found });
        }
        found.hash = hex(&Sha256::digest(&bytes));
        (found.last, found.records) = (is, found.records + 1);
        if anchor.is_some_and(|anchor| anchor.number == is) {
            at_anchor = Some(found.hash.clone());
        }
    }
    found.verdict = judge(&found, &opening, closing, at_anchor.as_deref(), anchor);
    Ok(found)
}

fn judge(
    found: &Found,
    opening: &Opening,
    closing: Option<Closing>,
    at_anchor: Option<&str>,
    anchor: Option<&Signed>,
) -> Verdict {
    let Some(Closing { audit_export_end: count, head }) = closing else {
        return Verdict::Cut { last: found.last };
    };
    if count != found.records {
        return Verdict::Cut { last: found.last };
    }
    let signed = |head: &Signed| {
        head.holds("head")
            && head.store == found.store
            && (head.number, &head.hash) == (found.last, &found.hash)
    };
    if head.as_ref().is_some_and(|head| !signed(head)) {
        return Verdict::HeadForged;
    }
    // What somebody signed nothing of may be of anybody. Where there is nothing, there is nothing to sign.
    let unsigned = if head.is_none() && found.records > 0 { Verdict::Unsigned } else { Verdict::Whole };
    let Some(anchor) = anchor else { return unsigned };
    if !anchor.holds("head") {
        return Verdict::AnchorForged;
    }
    if anchor.store != found.store {
        return Verdict::AnchorForeign;
    }
    let keys =
        [opening.key.as_ref(), head.as_ref().map(|head| &head.key), opening.start.as_ref().map(|s| &s.key)];
    // Nobody but the box has the key of the anchor.
    let other_key = keys.into_iter().flatten().any(|key| *key != anchor.key);
    match (at_anchor, &head) {
        (Some(hash), _) if hash != anchor.hash => Verdict::Rewritten { number: anchor.number },
        (None, Some(head)) if anchor.number > found.last && !other_key => {
            // Moments in UTC with digits to the last that is not zero are in the order of their text, but for the Z.
            let moment = |signed: &Signed| signed.at.trim_end_matches('Z').to_owned();
            if opening.until.is_some() || moment(head) < moment(anchor) {
                Verdict::EndsBeforeAnchor { number: anchor.number }
            } else {
                Verdict::Truncated { number: anchor.number, head: found.last }
            }
        }
        (None, _) if anchor.number > found.last => {
            Verdict::Truncated { number: anchor.number, head: found.last }
        }
        _ if other_key => Verdict::OtherKey,
        (Some(_), _) if anchor.number == found.last => Verdict::Whole,
        (Some(_), _) => unsigned,
        (None, _) => Verdict::AnchorTooOld { first: found.first },
    }
}

/// The next line without its end; `None` behind the last one. A line without an end was cut.
fn line(export: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    io::Read::take(&mut *export, LONGEST).read_until(b'\n', &mut bytes)?;
    match bytes.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(bytes)),
        Some(_) if bytes.len() as u64 + 1 == LONGEST => Err(io::Error::other("a line is too long")),
        Some(_) => Ok(None),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
