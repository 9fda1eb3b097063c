//! What the secret of a client proves and hides: MD5, as RADIUS has it and nobody would choose it today.
//!
//! HMAC-MD5 over the whole packet, the Message-Authenticator, is the part that holds: without it on every packet, answers
//! can be forged (Blast-RADIUS, CVE-2024-3596). Invariant: a packet is proved by it before anything else of it is looked at,
//! and no packet leaves without it, as its first attribute.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::packet::{Attribute, Code, HEADER, Packet, kind};

/// Bytes of a digest.
const DIGEST: usize = 16;
/// Bytes that a secret has at least (RFC 2865, section 3).
const SHORTEST: usize = 16;
/// Bytes of a hidden password at most.
const LONGEST_PASSWORD: usize = 128;

/// What a client and the box share.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// A text that is not good as a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret has at least {SHORTEST} characters: make one with `openssl rand -hex 24`")]
pub struct TooShort;

impl Secret {
    /// The secret of everybody who comes over TLS, which proves and hides there (RFC 6614, section 2.3).
    #[must_use]
    pub fn of_tls() -> Self {
        Self(Zeroizing::new(b"radsec".to_vec()))
    }
}

impl TryFrom<&str> for Secret {
    type Error = TooShort;

    fn try_from(text: &str) -> Result<Self, TooShort> {
        let bytes = Zeroizing::new(text.as_bytes().to_vec());
        if bytes.len() < SHORTEST { Err(TooShort) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret")
    }
}

/// Why a packet proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproved {
    /// It has no Message-Authenticator, or several.
    #[error("it has no Message-Authenticator")]
    Missing,
    /// It has another one than the secret gives.
    #[error("its Message-Authenticator is wrong: is it the same secret on both sides?")]
    Wrong,
}

impl Secret {
    fn mac(&self) -> Option<Hmac<Md5>> {
        // A key of any length does.
        Hmac::<Md5>::new_from_slice(&self.0).ok()
    }

    /// Checks the Message-Authenticator of a request.
    ///
    /// # Errors
    /// [`Unproved`].
    pub fn check(&self, packet: &Packet) -> Result<(), Unproved> {
        let Ok(Some(sent)) = packet.only(kind::MESSAGE_AUTHENTICATOR) else { return Err(Unproved::Missing) };
        let mut zeroed = packet.clone();
        for attribute in &mut zeroed.attributes {
            if attribute.kind() == kind::MESSAGE_AUTHENTICATOR {
                *attribute = Attribute::new(kind::MESSAGE_AUTHENTICATOR, &[0; DIGEST]);
            }
        }
        let mut mac = self.mac().ok_or(Unproved::Wrong)?;
        mac.update(&zeroed.write());
        // In constant time, and only when it has the right length.
        mac.verify_slice(sent).map_err(|_| Unproved::Wrong)
    }

    /// The bytes of an answer to a request: with its Message-Authenticator first, and the authenticator of an answer.
    #[must_use]
    pub fn answer(&self, request: &Packet, code: Code, attributes: Vec<Attribute>) -> Vec<u8> {
        let first = Attribute::new(kind::MESSAGE_AUTHENTICATOR, &[0; DIGEST]);
        let attributes = [first].into_iter().chain(attributes).collect();
        let (identifier, authenticator) = (request.identifier, request.authenticator);
        let mut bytes = Packet { code, identifier, authenticator, attributes }.write();
        if let Some(mut mac) = self.mac() {
            mac.update(&bytes);
            bytes[HEADER + 2..HEADER + 2 + DIGEST].copy_from_slice(&mac.finalize().into_bytes());
        }
        let digest = Md5::new().chain_update(&bytes).chain_update(self.0.as_slice()).finalize();
        bytes[4..HEADER].copy_from_slice(&digest);
        bytes
    }

    /// The password that a request hides (RFC 2865, section 5.2); `None` when nothing can be hidden so.
    #[must_use]
    pub fn password(&self, request: &Packet, hidden: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (blocks, rest) = hidden.as_chunks::<DIGEST>();
        if blocks.is_empty() || !rest.is_empty() || hidden.len() > LONGEST_PASSWORD {
            return None;
        }
        let mut password = Zeroizing::new(Vec::with_capacity(hidden.len()));
        let mut before = request.authenticator;
        for block in blocks {
            let pad = Md5::new().chain_update(self.0.as_slice()).chain_update(before).finalize();
            password.extend(block.iter().zip(pad.iter()).map(|(hidden, pad)| hidden ^ pad));
            before = *block;
        }
        let length = password.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        password.truncate(length);
        Some(password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::try_from("0123456789abcdef").unwrap()
    }

    /// The request of RFC 5997, section 6.1, with its secret.
    fn status_of_the_rfc() -> (Packet, Secret) {
        let bytes = [
            0x0c, 0xda, 0x00, 0x26, 0x8a, 0x54, 0xf4, 0x68, 0x6f, 0xb3, 0x94, 0xc5, 0x28, 0x66, 0xe3, 0x02,
            0x18, 0x5d, 0x06, 0x23, 0x50, 0x12, 0x5a, 0x66, 0x5e, 0x2e, 0x1e, 0x84, 0x11, 0xf3, 0xe2, 0x43,
            0x82, 0x20, 0x97, 0xc8, 0x4f, 0xa3,
        ];
        (Packet::read(&bytes).unwrap(), Secret(Zeroizing::new(b"xyzzy5461".to_vec())))
    }

    #[test]
    fn the_packet_of_the_rfc_is_proved_and_a_changed_one_is_not() {
        let (packet, secret) = status_of_the_rfc();
        assert_eq!(packet.code, Code::StatusServer);
        assert_eq!(secret.check(&packet), Ok(()));
        assert_eq!(self::secret().check(&packet), Err(Unproved::Wrong));
        let changed = [
            Packet { identifier: 0, ..packet.clone() },
            Packet { code: Code::AccessRequest, ..packet.clone() },
            Packet { authenticator: [0; 16], ..packet.clone() },
        ];
        assert!(changed.iter().all(|packet| secret.check(packet) == Err(Unproved::Wrong)));
        let mut more = packet;
        more.attributes.push(Attribute::new(kind::USER_NAME, b"ada"));
        assert_eq!(secret.check(&more), Err(Unproved::Wrong));
    }

    #[test]
    fn without_one_or_with_two_or_with_half_of_one_nothing_is_proved() {
        let (packet, secret) = status_of_the_rfc();
        let with = |attributes| secret.check(&Packet { attributes, ..packet.clone() });
        assert_eq!(with(vec![]), Err(Unproved::Missing));
        assert_eq!(
            with([packet.attributes.clone(), packet.attributes.clone()].concat()),
            Err(Unproved::Missing)
        );
        for length in [0, 1, 15, 17] {
            assert_eq!(
                with(vec![Attribute::new(kind::MESSAGE_AUTHENTICATOR, &vec![0; length])]),
                Err(Unproved::Wrong)
            );
        }
    }

    /// The answer of RFC 2865, section 7.1: its authenticator alone, since it is older than the other one.
    #[test]
    fn an_answer_has_the_authenticator_of_the_rfc_over_all_that_is_in_it() {
        let request =
            Packet { code: Code::AccessRequest, identifier: 3, authenticator: [5; 16], attributes: vec![] };
        let bytes = secret().answer(
            &request,
            Code::AccessAccept,
            vec![Attribute::new(kind::REPLY_MESSAGE, b"hello")],
        );
        let answer = Packet::read(&bytes).unwrap();
        assert_eq!((answer.code, answer.identifier), (Code::AccessAccept, 3));
        assert_eq!(answer.attributes[0].kind(), kind::MESSAGE_AUTHENTICATOR);
        assert_eq!(answer.attributes[1].value(), b"hello");
        // Whoever sent the request checks with its authenticator in the place of the answer's.
        let asked = Packet { authenticator: request.authenticator, ..answer.clone() };
        assert_eq!(secret().check(&asked), Ok(()));
        let mut open = asked.write();
        open.extend_from_slice(b"0123456789abcdef");
        assert_eq!(answer.authenticator, <[u8; 16]>::from(Md5::digest(&open)));
    }

    /// The request of RFC 2865, section 7.1: user nemo, password arctangent.
    #[test]
    fn the_password_of_the_rfc_is_read() {
        let authenticator =
            [0x0f, 0x40, 0x3f, 0x94, 0x73, 0x97, 0x80, 0x57, 0xbd, 0x83, 0xd5, 0xcb, 0x98, 0xf4, 0x22, 0x7a];
        let hidden =
            [0x0d, 0xbe, 0x70, 0x8d, 0x93, 0xd4, 0x13, 0xce, 0x31, 0x96, 0xe4, 0x3f, 0x78, 0x2a, 0x0a, 0xee];
        let request = Packet { code: Code::AccessRequest, identifier: 0, authenticator, attributes: vec![] };
        let secret = Secret(Zeroizing::new(b"xyzzy5461".to_vec()));
        assert_eq!(secret.password(&request, &hidden).unwrap().as_slice(), b"arctangent");
        for length in [0, 1, 15, 17, 31, 129, 144] {
            assert_eq!(secret.password(&request, &vec![7; length]), None, "{length}");
        }
        assert!(secret.password(&request, &[7; 128]).is_some());
    }

    #[test]
    fn a_secret_that_could_be_guessed_is_none_and_none_is_shown() {
        assert_eq!(Secret::try_from("testing123").err(), Some(TooShort));
        assert_eq!(format!("{:?}", secret()), "Secret");
    }
}
