//! What a server says, looked at before anybody else reads it.
//!
//! `ldap3` takes what it is given for LDAP: it ends the thread, which here ends the daemon, where a message is malformed or not
//! the kind that was asked for, and it waits for messages of any length. So whatever comes from a server passes here first.
//! Invariant: what passes is a whole, well-formed LDAPMessage (RFC 4511) of a kind that answers what is asked, not longer
//! than [`LONGEST_MESSAGE`], in an answer not longer than [`LONGEST_ANSWER`].

use super::ber::{self, Malformed, Reader, tag};

/// Octets of one message: a group of a hundred thousand members is one, where a server gives all of them at once.
pub(super) const LONGEST_MESSAGE: usize = 16 << 20;
/// Octets of one answer to one request: a page, or a synchronisation, of which only identifiers are asked for.
const LONGEST_ANSWER: usize = 64 << 20;

/// Values of one answer: each is some fifty octets more in memory.
const MOST_VALUES: usize = 2_000_000;

const BIND_RESPONSE: u8 = 0x61;
const ENTRY: u8 = 0x64;
const DONE: u8 = 0x65;
const REFERENCE: u8 = 0x73;
const EXTENDED: u8 = 0x78;
const INTERMEDIATE: u8 = 0x79;
const CONTROLS: u8 = 0xa0;
const REFERRAL: u8 = 0xa3;
const SASL: u8 = 0x87;
const NAME: u8 = 0x80;
const VALUE: u8 = 0x81;

/// Why a message does not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("it is no LDAP")]
    Malformed(#[from] Malformed),
    #[error("a message of {0} octets; the most that is read is {LONGEST_MESSAGE}")]
    Message(usize),
    #[error("an answer of more than {LONGEST_ANSWER} octets or {MOST_VALUES} values")]
    Answer,
    #[error("it answers something else than what was asked")]
    Unasked,
    #[error("it says that it closes the connection")]
    Notice,
}

/// What is known of a conversation: it begins with a bind, and goes on with searches.
#[derive(Debug, Default)]
pub(super) struct Guard {
    bound: bool,
    answer: usize,
    values: usize,
}

impl Guard {
    /// How long the message is that `bytes` begin with, once that can be told.
    pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, Refused> {
        if bytes.first().is_some_and(|first| *first != tag::SEQUENCE) {
            return Err(Malformed.into());
        }
        match ber::header(bytes)? {
            Some((before, content)) if content > LONGEST_MESSAGE => Err(Refused::Message(before + content)),
            Some((before, content)) => Ok(Some(before + content)),
            None => Ok(None),
        }
    }

    /// Looks at one whole message.
    pub(super) fn admit(&mut self, message: &[u8]) -> Result<(), Refused> {
        let Message { kind, id, values } = well_formed(message)?;
        if kind == EXTENDED && id == 0 {
            return Err(Refused::Notice);
        }
        match (self.bound, kind) {
            (false, BIND_RESPONSE) => self.bound = true,
            (true, ENTRY | REFERENCE | INTERMEDIATE | DONE) => {}
            _ => return Err(Refused::Unasked),
        }
        self.answer += message.len();
        self.values += values;
        if self.answer > LONGEST_ANSWER || self.values > MOST_VALUES {
            return Err(Refused::Answer);
        }
        if kind == DONE {
            (self.answer, self.values) = (0, 0);
        }
        Ok(())
    }
}

/// What a message is.
struct Message {
    kind: u8,
    id: i64,
    /// Of an entry's attributes.
    values: usize,
}

fn well_formed(message: &[u8]) -> Result<Message, Malformed> {
    let mut outer = Reader::new(message);
    let mut message = Reader::new(outer.required(tag::SEQUENCE)?);
    outer.end()?;
    let id = message.required(tag::INTEGER)?;
    let id = if id.len() > 4 { return Err(Malformed) } else { ber::integer(id)? };
    if id < 0 {
        return Err(Malformed);
    }
    let (kind, content) = message.any()?;
    let content = Reader::new(content);
    let mut values = 0;
    match kind {
        BIND_RESPONSE | DONE => result(content, &[SASL])?,
        EXTENDED => result(content, &[0x8a, 0x8b])?,
        ENTRY => values = entry(content)?,
        REFERENCE => texts(content)?,
        INTERMEDIATE => intermediate(content)?,
        _ => return Err(Malformed),
    }
    // Active Directory puts the name of a notice of disconnection where controls go; it ends the connection anyway.
    if kind != EXTENDED || id != 0 {
        if let Some(all) = message.optional(CONTROLS)? {
            controls(Reader::new(all))?;
        }
        message.end()?;
    }
    Ok(Message { kind, id, values })
}

fn text(octets: &[u8]) -> Result<(), Malformed> {
    std::str::from_utf8(octets).map(|_| ()).map_err(|_| Malformed)
}

fn texts(mut all: Reader<'_>) -> Result<(), Malformed> {
    while !all.is_empty() {
        text(all.required(tag::OCTETS)?)?;
    }
    Ok(())
}

fn result(mut content: Reader<'_>, more: &[u8]) -> Result<(), Malformed> {
    let code = content.required(tag::ENUMERATED)?;
    if code.is_empty() || code.len() > 4 {
        return Err(Malformed);
    }
    text(content.required(tag::OCTETS)?)?;
    text(content.required(tag::OCTETS)?)?;
    if let Some(referral) = content.optional(REFERRAL)? {
        texts(Reader::new(referral))?;
    }
    for one in more {
        if let Some(octets) = content.optional(*one)?
            && *one == 0x8a
        {
            text(octets)?;
        }
    }
    content.end()
}

/// How many values it has.
fn entry(mut content: Reader<'_>) -> Result<usize, Malformed> {
    text(content.required(tag::OCTETS)?)?;
    let mut attributes = Reader::new(content.required(tag::SEQUENCE)?);
    content.end()?;
    let mut count = 0;
    while !attributes.is_empty() {
        let mut attribute = Reader::new(attributes.required(tag::SEQUENCE)?);
        text(attribute.required(tag::OCTETS)?)?;
        let mut values = Reader::new(attribute.required(tag::SET)?);
        attribute.end()?;
        while !values.is_empty() {
            values.required(tag::OCTETS)?;
            count += 1;
        }
    }
    Ok(count)
}

fn intermediate(mut content: Reader<'_>) -> Result<(), Malformed> {
    if let Some(name) = content.optional(NAME)? {
        text(name)?;
    }
    content.optional(VALUE)?;
    content.end()
}

fn controls(mut all: Reader<'_>) -> Result<(), Malformed> {
    while !all.is_empty() {
        let mut control = Reader::new(all.required(tag::SEQUENCE)?);
        text(control.required(tag::OCTETS)?)?;
        if let Some(critical) = control.optional(tag::BOOLEAN)?
            && critical.len() != 1
        {
            return Err(Malformed);
        }
        control.optional(tag::OCTETS)?;
        control.end()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(id: i64, kind: u8, content: &[u8]) -> Vec<u8> {
        ber::sequence(&[ber::of_integer(id), ber::element(kind, content)])
    }

    fn outcome(kind: u8) -> Vec<u8> {
        let content = [vec![0x0a, 1, 0], ber::element(4, b""), ber::element(4, b"")].concat();
        message(1, kind, &content)
    }

    fn somebody() -> Vec<u8> {
        let values = ber::element(tag::SET, &ber::element(4, b"Ann"));
        let attribute = ber::element(tag::SEQUENCE, &[ber::element(4, b"cn"), values].concat());
        let content = [ber::element(4, b"cn=ann"), ber::element(tag::SEQUENCE, &attribute)].concat();
        message(2, ENTRY, &content)
    }

    fn bound() -> Guard {
        let mut guard = Guard::default();
        guard.admit(&outcome(BIND_RESPONSE)).unwrap();
        guard
    }

    #[test]
    fn a_conversation_is_a_bind_and_then_searches() {
        let mut guard = Guard::default();
        assert_eq!(guard.admit(&outcome(DONE)), Err(Refused::Unasked));
        let mut guard = bound();
        assert_eq!(guard.admit(&somebody()), Ok(()));
        assert_eq!(guard.admit(&outcome(DONE)), Ok(()));
        assert_eq!(guard.admit(&outcome(BIND_RESPONSE)), Err(Refused::Unasked));
        let notice = message(0, EXTENDED, &outcome(EXTENDED)[7..]);
        assert_eq!(guard.admit(&notice), Err(Refused::Notice));
        // What follows is looked at, whatever number the message has.
        let unnumbered = |more: &[u8]| {
            let person = somebody();
            let entry = &person[5..];
            ber::sequence(&[ber::of_integer(0), entry.to_vec(), more.to_vec()])
        };
        assert_eq!(bound().admit(&unnumbered(b"")), Ok(()), "the entry is one");
        let controls = ber::element(CONTROLS, &ber::element(4, b""));
        assert_eq!(bound().admit(&unnumbered(&controls)), Err(Refused::Malformed(Malformed)));
    }

    #[test]
    fn what_is_too_long_is_refused_by_its_first_octets() {
        assert_eq!(
            Guard::length(&[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]),
            Err(Refused::Message(0x7fff_ffff + 6))
        );
        assert_eq!(Guard::length(&[0x30, 0x84, 0x00]), Ok(None));
        assert_eq!(Guard::length(b"HTTP/1.1"), Err(Refused::Malformed(Malformed)));
        let values = ber::element(tag::SET, &ber::element(4, &vec![0; 10 << 20]));
        let attribute = ber::element(tag::SEQUENCE, &[ber::element(4, b"photo"), values].concat());
        let long =
            message(2, ENTRY, &[ber::element(4, b""), ber::element(tag::SEQUENCE, &attribute)].concat());
        let mut guard = bound();
        let passed = (0..10).take_while(|_| guard.admit(&long) == Ok(())).count();
        assert_eq!(passed, 6, "64 MiB of one answer");
    }

    /// Everything that ldap3 does with an entry, an outcome and controls; it panics where it is not content.
    fn as_ldap3_reads(message: &[u8]) {
        let Ok(Some(_)) = Guard::length(message) else { return };
        let (_, parsed) = ldap3::asn1::parse_tag(message).unwrap();
        let parts = parsed.expect_constructed().unwrap();
        if parts[1].id == 4 {
            ldap3::SearchEntry::construct(ldap3::ResultEntry::new(parts[1].clone()));
        }
    }

    proptest! {
        #[test]
        fn a_message_with_other_octets_is_refused_or_harmless(at in 0usize..64, to: u8, cut in 0usize..64) {
            for mut bytes in [somebody(), outcome(DONE)] {
                let (at, length) = (at % bytes.len(), bytes.len());
                bytes[at] = to;
                bytes.truncate(length - cut % 3);
                if bound().admit(&bytes).is_ok() {
                    as_ldap3_reads(&bytes);
                }
            }
        }
    }
}
