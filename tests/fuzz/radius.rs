//! Packets of RADIUS, as they come and proved by the secret, so that what is in them is looked at.

use std::{thread, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

use crate::{service::ask_radius, targets::Target};

/// What the daemon shares with its only client.
pub(crate) const SECRET: &str = "a secret of the fuzzer and the box";

pub(crate) const TARGETS: [Target; 1] =
    [Target { name: "radius", what: "packets of RADIUS", corpus, feed: packet }];

/// A packet with these attributes behind its Message-Authenticator; none when it would be too long.
fn proved(code: u8, identifier: u8, authenticator: [u8; 16], attributes: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(20 + 18 + attributes.len()).ok().filter(|length| *length <= 4096)?;
    let head = [&[code, identifier][..], &length.to_be_bytes(), &authenticator].concat();
    let mut packet = [&head[..], &[80, 18], &[0; 16], attributes].concat();
    let mut mac = Hmac::<Md5>::new_from_slice(SECRET.as_bytes()).ok()?;
    mac.update(&packet);
    packet[22..38].copy_from_slice(&mac.finalize().into_bytes());
    Some(packet)
}

fn corpus() -> Vec<Vec<u8>> {
    let name = [&[1, 38][..], b"00000000-0000-4000-8000-000000000000"].concat();
    let password = [&[2, 18][..], &[7; 16]].concat();
    let state = [33, 6, 1, 2, 3, 4];
    let eap = [79, 6, 2, 0, 0, 4];
    let microsoft = [26, 12, 0, 0, 1, 55, 11, 6, 1, 2, 3, 4];
    let chap = [&[3, 19][..], &[1; 17]].concat();
    let sealed = [
        [&name[..], &password, &state].concat(),
        [&name[..], &eap].concat(),
        [&state[..], &name, &microsoft, &state].concat(),
        [&name[..], &chap].concat(),
        Vec::new(),
    ];
    let mut corpus: Vec<Vec<u8>> =
        sealed.iter().map(|attributes| [&[0, 1, 9][..], attributes].concat()).collect();
    corpus.push([&[0, 12, 9][..], &state].concat());
    // It listens a moment after the API does.
    let status = proved(12, 6, [4; 16], &state).unwrap_or_default();
    for _ in 0..250 {
        if ask_radius(&status) {
            break;
        }
        thread::sleep(Duration::from_millis(8));
    }
    // As it goes over the wire, of which nothing is secret.
    corpus.extend(proved(12, 5, [3; 16], &state).map(|packet| [vec![1], packet].concat()));
    corpus
}

/// A packet, as it is or proved. Valid is what is answered.
fn packet(input: &[u8]) -> bool {
    use std::sync::atomic::{AtomicU64, Ordering};
    static SENT: AtomicU64 = AtomicU64::new(0);
    match input {
        [0, code, identifier, attributes @ ..] => {
            // Each is a new one: what came before is not looked at again.
            let number = SENT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            let mut authenticator = [0; 16];
            authenticator[..8].copy_from_slice(&number);
            authenticator[8..].copy_from_slice(&u64::from(std::process::id()).to_be_bytes());
            proved(*code, *identifier, authenticator, attributes).is_some_and(|packet| ask_radius(&packet))
        }
        [1, packet @ ..] => ask_radius(packet),
        _ => false,
    }
}
