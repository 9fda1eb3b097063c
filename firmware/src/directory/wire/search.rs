//! Asking a server what it holds: in pages, and no entry without the answer's end.
//!
//! Invariant: an answer that is given is whole. Where a server stops short, for whatever reason, there is an error.

use std::{collections::HashMap, time::Duration};

use ldap3::{
    LdapResult, ResultEntry, Scope,
    asn1::{PL, StructureTag},
    controls::RawControl,
};
use tokio::time::timeout;

use super::{
    ber::{self, Reader, tag},
    connection::Connection,
    refusal::{self, code},
};
use crate::directory::{DirectoryError, person::LONGEST_VALUE};

/// Entries of one page: Active Directory gives no more.
const PAGE: i64 = 1000;
/// Where a server wants smaller ones.
const SMALL_PAGE: i64 = 100;
/// An answer, however many entries it has, takes at most this many times the patience for one of them.
const PATIENCE_FOR_ALL: u32 = 8;
/// Entries that one question may find, in all its pages.
const MOST: usize = 2_000_000;
/// What they may take in memory.
const MOST_OCTETS: usize = 512 << 20;
/// What a value takes beside its octets.
const AROUND_A_VALUE: usize = 48;
const PAGED: &str = "1.2.840.113556.1.4.319";

/// What is asked.
#[derive(Clone, Debug)]
pub(in crate::directory) struct Question<'a> {
    pub(in crate::directory) base: &'a str,
    pub(in crate::directory) scope: Scope,
    pub(in crate::directory) filter: &'a str,
    pub(in crate::directory) attributes: &'a [&'a str],
    pub(in crate::directory) controls: Vec<RawControl>,
    /// What the account may not do where it is refused; completes "the account may not …".
    pub(in crate::directory) doing: &'a str,
}

/// An entry as it came.
#[derive(Clone, Debug, Default)]
pub(in crate::directory) struct Found {
    pub(in crate::directory) dn: String,
    /// By the attribute's name in small letters.
    attributes: HashMap<String, Vec<Vec<u8>>>,
    pub(in crate::directory) controls: Vec<RawControl>,
}

/// All of one answer.
#[derive(Debug, Default)]
pub(in crate::directory) struct Answer {
    pub(in crate::directory) found: Vec<Found>,
    /// Values of intermediate messages.
    pub(in crate::directory) said: Vec<Vec<u8>>,
    /// Where else it says something might be.
    pub(in crate::directory) references: Vec<String>,
    pub(in crate::directory) result: Outcome,
    /// What the entries take in memory.
    pub(in crate::directory) octets: usize,
}

/// How an answer ended.
#[derive(Debug, Default)]
pub(in crate::directory) struct Outcome {
    pub(in crate::directory) code: u32,
    pub(in crate::directory) controls: Vec<RawControl>,
    whole: Option<LdapResult>,
}

impl Outcome {
    /// The error that it is, if it is one.
    pub(in crate::directory) fn refusal(&self, question: &Question<'_>) -> Option<DirectoryError> {
        let result = self.whole.as_ref()?;
        (self.code != code::SUCCESS).then(|| refusal::of_search(result, question.doing, question.base))
    }

    /// The value of the control of this name.
    pub(in crate::directory) fn control(&self, name: &str) -> Option<&[u8]> {
        self.controls.iter().find(|control| control.ctype == name)?.val.as_deref()
    }
}

impl Found {
    /// All values of an attribute.
    pub(in crate::directory) fn all(&self, attribute: &str) -> &[Vec<u8>] {
        self.attributes.get(&attribute.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The first value.
    pub(in crate::directory) fn octets(&self, attribute: &str) -> Option<&[u8]> {
        self.all(attribute).first().map(Vec::as_slice)
    }

    /// The first value, which is text; one that is none is not there.
    pub(in crate::directory) fn text(&self, attribute: &str) -> Option<&str> {
        std::str::from_utf8(self.octets(attribute)?).ok()
    }

    /// A whole number.
    pub(in crate::directory) fn number(&self, attribute: &str) -> Option<i64> {
        self.text(attribute)?.parse().ok()
    }

    /// Whether it says TRUE.
    pub(in crate::directory) fn is_true(&self, attribute: &str) -> bool {
        self.text(attribute).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// The attribute of this name with a range (`member;range=0-1499`): the last index, none when it was the rest, and its values.
    pub(in crate::directory) fn range(&self, attribute: &str) -> Option<(Option<usize>, &[Vec<u8>])> {
        let prefix = format!("{};range=", attribute.to_ascii_lowercase());
        self.attributes.iter().find_map(|(name, values)| {
            let (_, last) = name.strip_prefix(&prefix)?.split_once('-')?;
            Some((last.parse().ok(), values.as_slice()))
        })
    }

    /// The longest value of all, and its attribute.
    pub(in crate::directory) fn longest(&self) -> Option<(&str, usize)> {
        let lengths = self
            .attributes
            .iter()
            .flat_map(|(name, values)| values.iter().map(move |value| (name.as_str(), value.len())));
        lengths.max_by_key(|(_, length)| *length)
    }

    /// For tests of what reads entries.
    #[cfg(test)]
    pub(in crate::directory) fn of(dn: &str, attributes: &[(&str, &[&[u8]])]) -> Self {
        let attributes = attributes
            .iter()
            .map(|(name, values)| {
                (name.to_ascii_lowercase(), values.iter().map(|value| value.to_vec()).collect())
            })
            .collect();
        Self { dn: dn.into(), attributes, controls: Vec::new() }
    }
}

impl Connection {
    /// One question, one answer, whatever its code.
    pub(in crate::directory) async fn ask(
        &mut self,
        question: &Question<'_>,
    ) -> Result<Answer, DirectoryError> {
        let limit = self.patience.saturating_mul(PATIENCE_FOR_ALL).max(Duration::from_secs(1));
        let patience = self.patience.as_secs();
        match timeout(limit, self.ask_within(question)).await {
            Ok(answer) => answer,
            Err(_) => Err(DirectoryError::Stalled(patience * u64::from(PATIENCE_FOR_ALL))),
        }
    }

    async fn ask_within(&mut self, question: &Question<'_>) -> Result<Answer, DirectoryError> {
        let (base, filter) = (question.base, question.filter);
        self.ldap.with_controls(question.controls.clone()).with_timeout(self.patience);
        let attributes = question.attributes.to_vec();
        let begun = self.ldap.streaming_search(base, question.scope, filter, attributes).await;
        let mut stream = match begun {
            Ok(stream) => stream,
            Err(why) => return Err(self.lost(why)),
        };
        let mut answer = Answer::default();
        loop {
            match stream.next().await {
                Ok(Some(entry)) => answer.take(entry)?,
                Ok(None) => break,
                Err(why) => {
                    drop(stream);
                    return Err(self.lost(why));
                }
            }
        }
        let result = stream.finish().await;
        let controls = result.ctrls.iter().map(|control| control.1.clone()).collect();
        answer.result = Outcome { code: result.rc, controls, whole: Some(result) };
        Ok(answer)
    }

    /// The one entry at this place, as far as it can be read.
    pub(in crate::directory) async fn entry(
        &mut self,
        question: &Question<'_>,
    ) -> Result<Option<Found>, DirectoryError> {
        let mut answer = self.ask(question).await?;
        match answer.result.code {
            code::NO_SUCH_OBJECT => Ok(None),
            _ => answer.result.refusal(question).map_or_else(|| Ok(answer.found.pop()), Err),
        }
    }

    /// Everything that is found, page by page. References are told apart by who asks.
    pub(in crate::directory) async fn all(
        &mut self,
        question: &Question<'_>,
    ) -> Result<Answer, DirectoryError> {
        let (mut whole, mut cookie, mut size) = (Answer::default(), Vec::new(), PAGE);
        loop {
            let mut question = question.clone();
            question.controls.push(page(size, &cookie));
            let answer = self.ask(&question).await?;
            // A server with a smaller limit says so at the first page, in words of its own.
            let limited =
                matches!(answer.result.code, code::SIZE_LIMIT | code::ADMIN_LIMIT | code::UNWILLING);
            if limited && size > SMALL_PAGE && cookie.is_empty() {
                size = SMALL_PAGE;
                continue;
            }
            if let Some(refusal) = answer.result.refusal(&question) {
                return Err(refusal);
            }
            whole.found.extend(answer.found);
            whole.references.extend(answer.references);
            whole.octets += answer.octets;
            if whole.found.len() > MOST || whole.octets > MOST_OCTETS {
                return Err(DirectoryError::Partial(format!(
                    "more than {MOST} entries or {} MiB of them",
                    MOST_OCTETS >> 20
                )));
            }
            let next = answer.result.control(PAGED).map(next_page).transpose()?.unwrap_or_default();
            whole.result = answer.result;
            if next.is_empty() {
                return Ok(whole);
            }
            cookie = next;
        }
    }
}

impl Answer {
    fn take(&mut self, entry: ResultEntry) -> Result<(), DirectoryError> {
        if entry.is_ref() {
            self.references.extend(ldap3::parse_refs(entry.0));
            return Ok(());
        }
        if self.found.len() + self.said.len() > MOST {
            return Err(DirectoryError::Partial(format!("more than {MOST} entries")));
        }
        let intermediate = entry.is_intermediate();
        let mut parts = constructed(entry.0.payload);
        if intermediate {
            let value = parts.into_iter().find(|part| part.id == 1);
            self.said.extend(value.map(|value| primitive(value.payload)));
            return Ok(());
        }
        let attributes = parts.pop().map(|part| constructed(part.payload)).unwrap_or_default();
        let dn = parts.pop().map(|part| primitive(part.payload)).unwrap_or_default();
        let attributes = attributes.into_iter().map(|attribute| {
            let mut pair = constructed(attribute.payload);
            let values = pair.pop().map(|part| constructed(part.payload)).unwrap_or_default();
            let name = pair.pop().map(|part| primitive(part.payload)).unwrap_or_default();
            let name = String::from_utf8_lossy(&name).to_ascii_lowercase();
            (name, values.into_iter().map(|value| kept(primitive(value.payload))).collect())
        });
        let attributes: HashMap<String, Vec<Vec<u8>>> = attributes.collect();
        let octets = |(name, values): (&String, &Vec<Vec<u8>>)| {
            name.len() + values.iter().map(|value| value.len() + AROUND_A_VALUE).sum::<usize>()
        };
        self.octets += dn.len() + attributes.iter().map(octets).sum::<usize>();
        self.found.push(Found {
            dn: String::from_utf8_lossy(&dn).into_owned(),
            attributes,
            controls: entry.1.into_iter().map(|control| control.1).collect(),
        });
        Ok(())
    }
}

/// As much of a value as shows that it is too long.
fn kept(mut value: Vec<u8>) -> Vec<u8> {
    if value.len() > LONGEST_VALUE {
        value.truncate(LONGEST_VALUE + 1);
        value.shrink_to_fit();
    }
    value
}

// The guard has seen that these are what they are taken for.
fn constructed(payload: PL) -> Vec<StructureTag> {
    if let PL::C(parts) = payload { parts } else { Vec::new() }
}

fn primitive(payload: PL) -> Vec<u8> {
    if let PL::P(octets) = payload { octets } else { Vec::new() }
}

/// RFC 2696, critical: a server that knows no pages is not asked for everything at once.
fn page(size: i64, cookie: &[u8]) -> RawControl {
    let value = ber::sequence(&[ber::of_integer(size), ber::element(tag::OCTETS, cookie)]);
    RawControl { ctype: PAGED.into(), crit: true, val: Some(value) }
}

fn next_page(value: &[u8]) -> Result<Vec<u8>, DirectoryError> {
    let read = || {
        let mut inside = Reader::new(Reader::new(value).required(tag::SEQUENCE)?);
        inside.required(tag::INTEGER)?;
        Ok::<_, ber::Malformed>(inside.required(tag::OCTETS)?.to_vec())
    };
    read().map_err(|_| DirectoryError::Protocol("the control of its pages is malformed".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_says_whether_more_is_to_come() {
        let some = Found::of("cn=all", &[("member;range=0-1499", &[b"a", b"b"])]);
        assert_eq!(some.range("member").map(|(last, values)| (last, values.len())), Some((Some(1499), 2)));
        let rest = Found::of("cn=all", &[("member;range=1500-*", &[b"c"])]);
        assert_eq!(rest.range("member").map(|(last, values)| (last, values.len())), Some((None, 1)));
        assert_eq!(Found::of("cn=all", &[("member", &[b"c"])]).range("member"), None);
    }

    #[test]
    fn a_page_s_cookie_is_read_or_refused() {
        let control = page(1000, b"next");
        assert_eq!(next_page(&control.val.unwrap()), Ok(b"next".to_vec()));
        assert!(next_page(b"\x30\x03\x02\x01").is_err());
    }

    #[test]
    fn attributes_are_found_in_any_case() {
        let found =
            Found::of("cn=ann", &[("objectGUID", &[b"1"]), ("isDeleted", &[b"TRUE"]), ("n", &[b"-7"])]);
        assert_eq!(found.octets("objectguid"), Some(&b"1"[..]));
        assert!(found.is_true("ISDELETED"));
        assert_eq!(found.number("n"), Some(-7));
    }
}
