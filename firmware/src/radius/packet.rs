//! A packet of RADIUS (RFC 2865, section 3): twenty bytes and attributes, read and written.
//!
//! Invariant: a packet that was read has attributes that fill it to its end, and is written as it was read. What it
//! says is believed by nobody before its Message-Authenticator was checked.

/// Bytes before the attributes.
pub(super) const HEADER: usize = 20;
/// Bytes of the longest packet.
pub(super) const LONGEST: usize = 4096;
/// Bytes of an attribute's value.
const LONGEST_VALUE: usize = 253;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// May somebody come in?
    AccessRequest,
    /// He may.
    AccessAccept,
    /// He may not.
    AccessReject,
    /// Is there anybody (RFC 5997)?
    StatusServer,
    /// Something that is not for us.
    Other(u8),
}

impl Code {
    fn number(self) -> u8 {
        match self {
            Self::AccessRequest => 1,
            Self::AccessAccept => 2,
            Self::AccessReject => 3,
            Self::StatusServer => 12,
            Self::Other(number) => number,
        }
    }

    fn of(number: u8) -> Self {
        let known = [Self::AccessRequest, Self::AccessAccept, Self::AccessReject, Self::StatusServer];
        known.into_iter().find(|code| code.number() == number).unwrap_or(Self::Other(number))
    }
}

/// What an attribute is about: those that are looked at.
pub(super) mod kind {
    /// Who wants to come in.
    pub(in crate::radius) const USER_NAME: u8 = 1;
    /// What he typed, hidden.
    pub(in crate::radius) const USER_PASSWORD: u8 = 2;
    /// The answer to a challenge of PPP.
    pub(in crate::radius) const CHAP_PASSWORD: u8 = 3;
    /// A word for people.
    pub(in crate::radius) const REPLY_MESSAGE: u8 = 18;
    /// Attributes of somebody's own.
    pub(in crate::radius) const VENDOR_SPECIFIC: u8 = 26;
    /// What a proxy wants back.
    pub(in crate::radius) const PROXY_STATE: u8 = 33;
    /// A part of EAP.
    pub(in crate::radius) const EAP_MESSAGE: u8 = 79;
    /// The digest of the packet, keyed with the secret.
    pub(in crate::radius) const MESSAGE_AUTHENTICATOR: u8 = 80;
}

/// One attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    kind: u8,
    value: Vec<u8>,
}

impl Attribute {
    /// One with this value; of one that is too long, the beginning.
    #[must_use]
    pub fn new(kind: u8, value: &[u8]) -> Self {
        Self { kind, value: value[..value.len().min(LONGEST_VALUE)].to_vec() }
    }

    /// What it is about.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// What it says.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    fn length(&self) -> usize {
        2 + self.value.len()
    }
}

/// Bytes that are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is not all there.
    #[error("it is shorter than it says")]
    Cut,
    /// It says that it is shorter or longer than any packet.
    #[error("a packet has {HEADER} to {LONGEST} bytes")]
    Length,
    /// Its attributes do not end where it does.
    #[error("an attribute ends outside of the packet")]
    Attribute,
}

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it is.
    pub code: Code,
    /// By which a client knows the answer.
    pub identifier: u8,
    /// Random in a request, a digest in an answer.
    pub authenticator: [u8; 16],
    /// What it says, in its order.
    pub attributes: Vec<Attribute>,
}

impl Packet {
    /// How long the packet is that begins so.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn length(start: &[u8]) -> Result<usize, Malformed> {
        let &[_, _, high, low, ..] = start else { return Err(Malformed::Cut) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if (HEADER..=LONGEST).contains(&length) { Ok(length) } else { Err(Malformed::Length) }
    }

    /// Reads one. What follows its end is padding.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = bytes.get(..Self::length(bytes)?).ok_or(Malformed::Cut)?;
        let (head, mut rest) = bytes.split_first_chunk::<HEADER>().ok_or(Malformed::Cut)?;
        let mut authenticator = [0; 16];
        authenticator.copy_from_slice(&head[4..]);
        let mut attributes = Vec::new();
        while let [kind, length, ..] = *rest {
            let value = rest.get(2..usize::from(length)).ok_or(Malformed::Attribute)?;
            attributes.push(Attribute { kind, value: value.to_vec() });
            rest = &rest[usize::from(length)..];
        }
        if !rest.is_empty() {
            return Err(Malformed::Attribute);
        }
        Ok(Self { code: Code::of(head[0]), identifier: head[1], authenticator, attributes })
    }

    /// Its bytes. What does not fit into a packet any more is left out, from the end.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = vec![self.code.number(), self.identifier, 0, 0];
        bytes.extend_from_slice(&self.authenticator);
        for attribute in &self.attributes {
            if bytes.len() + attribute.length() > LONGEST {
                break;
            }
            // It has at most 255 bytes, as every way to one sees to.
            bytes.extend([attribute.kind, attribute.length() as u8]);
            bytes.extend_from_slice(&attribute.value);
        }
        let length = bytes.len() as u16;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    /// The values of all attributes of a kind, in their order.
    pub fn all(&self, kind: u8) -> impl Iterator<Item = &[u8]> {
        self.attributes.iter().filter(move |attribute| attribute.kind == kind).map(Attribute::value)
    }

    /// The value of the only attribute of a kind; `Err` when there are several.
    ///
    /// # Errors
    /// [`Malformed::Attribute`].
    pub fn only(&self, kind: u8) -> Result<Option<&[u8]>, Malformed> {
        let mut all = self.all(kind);
        let first = all.next();
        if all.next().is_some() { Err(Malformed::Attribute) } else { Ok(first) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_read_is_written_as_it_was_whatever_it_is(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            // Else hardly any would be as long as it says.
            let length = bytes.len();
            if (4..256).contains(&length) {
                bytes[2] = 0;
                bytes[3] = length as u8;
            }
            if let Ok(packet) = Packet::read(&bytes) {
                prop_assert_eq!(packet.write(), &bytes[..Packet::length(&bytes).unwrap()]);
            }
        }

        #[test]
        fn what_is_written_is_read_as_it_was(
            (number, identifier, authenticator) in (any::<u8>(), any::<u8>(), any::<[u8; 16]>()),
            attributes in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..300)), 0..12),
        ) {
            let attributes = attributes.iter().map(|(kind, value)| Attribute::new(*kind, value)).collect();
            let packet = Packet { code: Code::of(number), identifier, authenticator, attributes };
            prop_assert_eq!(Packet::read(&packet.write()), Ok(packet));
        }
    }

    fn header(length: u16) -> Vec<u8> {
        let mut bytes = vec![1, 7, 0, 0];
        bytes[2..].copy_from_slice(&length.to_be_bytes());
        bytes.extend([9; 16]);
        bytes
    }

    #[test]
    fn what_is_no_packet_is_told_apart() {
        for (bytes, expected) in [
            (vec![], Malformed::Cut),
            (vec![1, 7, 0], Malformed::Cut),
            (header(19), Malformed::Length),
            (header(4097), Malformed::Length),
            (header(21), Malformed::Cut),
            ([header(21), vec![1]].concat(), Malformed::Attribute),
            ([header(22), vec![1, 0]].concat(), Malformed::Attribute),
            ([header(22), vec![1, 1]].concat(), Malformed::Attribute),
            ([header(23), vec![1, 4, 0]].concat(), Malformed::Attribute),
            ([header(24), vec![1, 3, 0, 1]].concat(), Malformed::Attribute),
        ] {
            assert_eq!(Packet::read(&bytes), Err(expected), "{bytes:?}");
        }
        assert!(Packet::read(&header(20)).unwrap().attributes.is_empty());
        let padded = [header(23), vec![1, 3, b'a', 0, 0, 0]].concat();
        assert_eq!(Packet::read(&padded).unwrap().only(kind::USER_NAME), Ok(Some(&b"a"[..])));
    }

    #[test]
    fn of_what_may_be_there_once_two_are_an_error() {
        let twice = [header(26), vec![1, 3, b'a', 1, 3, b'b']].concat();
        let packet = Packet::read(&twice).unwrap();
        assert_eq!(packet.only(kind::USER_NAME), Err(Malformed::Attribute));
        assert_eq!(packet.all(kind::USER_NAME).count(), 2);
        assert_eq!(packet.only(kind::USER_PASSWORD), Ok(None));
    }

    #[test]
    fn a_packet_is_never_longer_than_one_may_be() {
        let attributes = vec![Attribute::new(kind::PROXY_STATE, &[7; 400]); 20];
        let packet = Packet { code: Code::AccessAccept, identifier: 1, authenticator: [0; 16], attributes };
        let read = Packet::read(&packet.write()).unwrap();
        assert_eq!((read.attributes.len(), read.attributes[0].value().len()), (15, 253));
    }
}
