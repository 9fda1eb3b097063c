//! What a client asks, once it has proved that it knows the secret, and what it is answered.
//!
//! Invariant: nobody gets a [`Request`] out of a packet whose Message-Authenticator does not hold; every answer carries one,
//! and every Proxy-State of its request, in their order (RFC 2865, section 5.33).

use std::fmt;

use zeroize::Zeroizing;

use super::{
    packet::{Attribute, Code, Malformed, Packet, kind},
    seal::{Secret, Unproved},
};

/// The vendor whose attributes are those of MS-CHAP (RFC 2548).
const MICROSOFT: [u8; 4] = 311_u32.to_be_bytes();

/// Why a packet is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// It is none.
    #[error("no packet of RADIUS: {0}")]
    Malformed(#[from] Malformed),
    /// It proves nothing.
    #[error(transparent)]
    Unproved(#[from] Unproved),
    /// Accounting, or something else that is not ours.
    #[error("only Access-Request and Status-Server are answered")]
    Kind,
}

/// What somebody brings to be let in.
#[derive(Clone, PartialEq, Eq)]
pub enum Offer {
    /// What was typed for a password (PAP).
    Password(Zeroizing<Vec<u8>>),
    /// Nothing.
    Nothing,
    /// A password that only who knows it could check (CHAP, MS-CHAP).
    Challenge,
    /// A conversation (EAP), of 802.1X for example.
    Conversation,
}

impl fmt::Debug for Offer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Password(_) => "Password",
            Self::Nothing => "Nothing",
            Self::Challenge => "Challenge",
            Self::Conversation => "Conversation",
        })
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Whether there is anybody.
    Status,
    /// Whether somebody may come in.
    Access {
        /// Who, as it was typed; absent when no name came, or none that is text.
        user: Option<String>,
        /// What he brings.
        offer: Offer,
    },
}

/// A request whose client knows the secret.
#[derive(Clone, Debug)]
pub struct Request {
    packet: Packet,
    secret: Secret,
    /// What it asks.
    pub asked: Asked,
}

impl Request {
    /// Takes a packet for a request of whoever has this secret.
    ///
    /// # Errors
    /// [`Ignored`].
    pub fn new(packet: Packet, secret: &Secret) -> Result<Self, Ignored> {
        if !matches!(packet.code, Code::AccessRequest | Code::StatusServer) {
            return Err(Ignored::Kind);
        }
        secret.check(&packet)?;
        let asked = if packet.code == Code::StatusServer { Asked::Status } else { access(&packet, secret)? };
        Ok(Self { packet, secret: secret.clone(), asked })
    }

    /// Its bytes, without what followed its end.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.packet.write()
    }

    /// The bytes of its answer, with a word for people.
    #[must_use]
    pub fn answer(&self, accepted: bool, word: Option<&str>) -> Vec<u8> {
        let code = if accepted { Code::AccessAccept } else { Code::AccessReject };
        // Those of the request fit into an answer, which is no longer; the word comes last, where it may be left out.
        let states = self.packet.all(kind::PROXY_STATE).map(|state| Attribute::new(kind::PROXY_STATE, state));
        let word = word.map(|word| Attribute::new(kind::REPLY_MESSAGE, word.as_bytes()));
        self.secret.answer(&self.packet, code, states.chain(word).collect())
    }
}

fn access(packet: &Packet, secret: &Secret) -> Result<Asked, Malformed> {
    let user =
        packet.only(kind::USER_NAME)?.and_then(|name| std::str::from_utf8(name).ok()).map(str::to_owned);
    let hidden = packet.only(kind::USER_PASSWORD)?;
    let microsoft = packet.all(kind::VENDOR_SPECIFIC).any(|value| value.starts_with(&MICROSOFT));
    let offer = if packet.all(kind::EAP_MESSAGE).next().is_some() {
        Offer::Conversation
    } else if let Some(hidden) = hidden {
        Offer::Password(secret.password(packet, hidden).ok_or(Malformed::Attribute)?)
    } else if microsoft || packet.all(kind::CHAP_PASSWORD).next().is_some() {
        Offer::Challenge
    } else {
        Offer::Nothing
    };
    Ok(Asked::Access { user, offer })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::try_from("0123456789abcdef").unwrap()
    }

    /// A packet with these attributes, proved.
    fn proved(code: Code, attributes: &[(u8, &[u8])]) -> Packet {
        let attributes = attributes.iter().map(|(kind, value)| Attribute::new(*kind, value)).collect();
        let blank = Packet { code, identifier: 9, authenticator: [4; 16], attributes: vec![] };
        let bytes = secret().answer(&blank, code, attributes);
        // What proves an answer proves a request, once the request's authenticator stands in it.
        Packet { authenticator: blank.authenticator, ..Packet::read(&bytes).unwrap() }
    }

    fn asked(attributes: &[(u8, &[u8])]) -> Result<Asked, Ignored> {
        Request::new(proved(Code::AccessRequest, attributes), &secret()).map(|request| request.asked)
    }

    #[test]
    fn what_is_brought_is_told_apart() {
        let offer = |more: &[(u8, &[u8])]| match asked(&[&[(kind::USER_NAME, &b"ada"[..])], more].concat()) {
            Ok(Asked::Access { user, offer }) => {
                assert_eq!(user.as_deref(), Some("ada"));
                offer
            }
            other => unreachable!("{other:?}"),
        };
        assert!(matches!(offer(&[(kind::USER_PASSWORD, &[1; 16])]), Offer::Password(_)));
        assert_eq!(offer(&[]), Offer::Nothing);
        assert_eq!(offer(&[(kind::CHAP_PASSWORD, &[1; 17])]), Offer::Challenge);
        assert_eq!(offer(&[(kind::VENDOR_SPECIFIC, &[0, 0, 1, 55, 11, 4, 1, 2])]), Offer::Challenge);
        assert_eq!(offer(&[(kind::VENDOR_SPECIFIC, &[0, 0, 0, 9, 1, 4, 1, 2])]), Offer::Nothing);
        let both = [(kind::EAP_MESSAGE, &[2, 0, 0, 4][..]), (kind::USER_PASSWORD, &[1; 16])];
        assert_eq!(offer(&both), Offer::Conversation);
    }

    #[test]
    fn a_name_that_is_no_text_is_none() {
        let nobody = Ok(Asked::Access { user: None, offer: Offer::Nothing });
        assert_eq!(asked(&[]), nobody);
        assert_eq!(asked(&[(kind::USER_NAME, &[0xFF, 0xFE])]), nobody);
    }

    #[test]
    fn what_cannot_be_believed_or_read_is_not_answered() {
        for (attributes, expected) in [
            (&[(kind::USER_NAME, &b"a"[..]), (kind::USER_NAME, b"b")][..], Malformed::Attribute),
            (&[(kind::USER_PASSWORD, &[1; 15][..])], Malformed::Attribute),
            (&[(kind::USER_PASSWORD, &[1; 144])], Malformed::Attribute),
        ] {
            assert_eq!(asked(attributes), Err(Ignored::Malformed(expected)));
        }
        let bare =
            Packet { code: Code::AccessRequest, identifier: 1, authenticator: [0; 16], attributes: vec![] };
        let ignored = |packet| Request::new(packet, &secret()).map(|_| ()).unwrap_err();
        assert_eq!(ignored(bare.clone()), Ignored::Unproved(Unproved::Missing));
        assert_eq!(ignored(Packet { code: Code::Other(4), ..bare }), Ignored::Kind);
        let of_another = proved(Code::AccessRequest, &[]);
        let other = Secret::try_from("another secret of ours").unwrap();
        assert_eq!(Request::new(of_another, &other).unwrap_err(), Ignored::Unproved(Unproved::Wrong));
        assert_eq!(ignored(proved(Code::AccessAccept, &[])), Ignored::Kind, "answers are not requests");
    }

    #[test]
    fn an_answer_has_the_states_of_proxies_in_their_order_and_its_word_where_there_is_room() {
        let request = proved(Code::AccessRequest, &[(kind::PROXY_STATE, b"1"), (kind::PROXY_STATE, b"0")]);
        let request = Request::new(request, &secret()).unwrap();
        let answer = Packet::read(&request.answer(true, Some("welcome"))).unwrap();
        assert_eq!(answer.code, Code::AccessAccept);
        assert_eq!(answer.attributes[0].kind(), kind::MESSAGE_AUTHENTICATOR);
        assert_eq!(answer.all(kind::PROXY_STATE).collect::<Vec<_>>(), [&b"1"[..], b"0"]);
        assert_eq!(answer.only(kind::REPLY_MESSAGE), Ok(Some(&b"welcome"[..])));
        let many: Vec<(u8, &[u8])> = (0..15).map(|_| (kind::PROXY_STATE, &[7; 253][..])).collect();
        let request = Request::new(proved(Code::AccessRequest, &many), &secret()).unwrap();
        let answer = Packet::read(&request.answer(false, Some(&"no".repeat(120)))).unwrap();
        assert_eq!((answer.code, answer.all(kind::PROXY_STATE).count()), (Code::AccessReject, 15));
        assert_eq!(answer.all(kind::REPLY_MESSAGE).count(), 0);
    }

    #[test]
    fn whoever_asks_whether_there_is_anybody_has_to_prove_himself_too() {
        let status = Request::new(proved(Code::StatusServer, &[]), &secret()).unwrap();
        assert_eq!(status.asked, Asked::Status);
        let bare =
            Packet { code: Code::StatusServer, identifier: 1, authenticator: [0; 16], attributes: vec![] };
        assert!(Request::new(bare, &secret()).is_err());
    }
}
