//! Bundles that must be refused, and that nothing is written for.

use std::sync::atomic::Ordering;

use authenteon::update::protocol::Kind;
use authenteon_image::bundle::{Content, Signer, write};
use proptest::prelude::*;

use crate::support::{BOARD, BUILD, Box_, Ca, bundle, bundle_for, images, long, parts};

/// The bundle is refused for this reason and not a byte of any slot has changed.
fn refused(the_box: &Box_, bundle: &[u8]) -> Kind {
    let before = the_box.everything();
    let why = the_box.install(bundle).unwrap_err();
    assert!(the_box.everything() == before, "{why:?}: something was written");
    why.kind
}

#[test]
fn a_bundle_that_ends_early_is_refused_wherever_it_ends() {
    let ca = Ca::new("ours");
    let (the_box, whole) = (Box_::new(&ca), bundle(&ca, "1.1.0"));
    let mut lengths: Vec<usize> = vec![0, 1, 7, 8, 9, 4095, 4096, 4097];
    lengths.extend((1..40).map(|i| whole.len() * i / 40));
    lengths.extend((1..30).map(|i| whole.len() - i));
    for length in lengths {
        let kind = refused(&the_box, &whole[..length]);
        assert!(matches!(kind, Kind::Damaged | Kind::Signature), "{length}: {kind:?}");
    }
}

#[test]
fn a_bundle_that_nobody_we_trust_signed_is_refused() {
    let (ours, theirs) = (Ca::new("ours"), Ca::new("theirs"));
    let the_box = Box_::new(&ours);
    assert_eq!(refused(&the_box, &bundle(&theirs, "1.1.0")), Kind::Signature);
    // The same names, with other keys.
    assert_eq!(refused(&the_box, &bundle(&Ca::new("ours"), "1.1.0")), Kind::Signature);
    // A certificate of ours, with a signature that is not its key's.
    let parts = parts("1.1.0");
    let forged = {
        let mut chain = ours.certificate.clone();
        chain.push_str(&theirs.certificate);
        assert!(Signer::from_pem(theirs.key.as_bytes(), chain.as_bytes()).is_err(), "not the key's");
        let mut signature = ours.signer().sign(parts.manifest.as_bytes()).unwrap();
        let last = signature.len() - 1;
        signature[last] ^= 1;
        signature
    };
    assert_eq!(refused(&the_box, &parts.join(&forged)), Kind::Signature);
}

#[test]
fn a_bundle_without_a_signature_is_refused() {
    let the_box = Box_::new(&Ca::new("ours"));
    let parts = parts("1.1.0");
    assert_eq!(refused(&the_box, &parts.join(b"")), Kind::Damaged);
    assert_eq!(refused(&the_box, &parts.join(parts.manifest.as_bytes())), Kind::Signature);
    assert_eq!(refused(&the_box, &parts.join(&[0x30, 0x80, 0, 0])), Kind::Signature);
}

#[test]
fn a_manifest_changed_after_signing_is_refused() {
    let ca = Ca::new("ours");
    let (the_box, parts) = (Box_::new(&ca), parts("1.1.0"));
    let mut signature = ca.signer().sign(parts.manifest.as_bytes()).unwrap();
    let at = signature.windows(13).position(|w| w == b"version=1.1.0").unwrap();
    signature[at + 8] = b'9';
    assert_eq!(refused(&the_box, &parts.join(&signature)), Kind::Signature);
}

#[test]
fn a_flipped_byte_is_noticed_in_every_block_of_payload_and_tree_and_all_over_the_signature() {
    let ca = Ca::new("ours");
    let (the_box, whole) = (Box_::new(&ca), bundle(&ca, "1.1.0"));
    let parts = parts("1.1.0");
    let (payload, tree) = (parts.payload.len(), parts.payload.len() + parts.tree.len());
    let mut places: Vec<usize> = (0..tree).step_by(4096).flat_map(|b| [b, b + 17, b + 4095]).collect();
    places.extend((tree..whole.len()).step_by(41));
    let mut damaged = whole;
    for at in places {
        damaged[at] ^= 0x40;
        let kind = refused(&the_box, &damaged);
        let expected =
            if at < tree { kind == Kind::Damaged } else { matches!(kind, Kind::Damaged | Kind::Signature) };
        assert!(expected, "byte {at} of {payload} + tree to {tree}: {kind:?}");
        damaged[at] ^= 0x40;
    }
    the_box.install(&damaged).unwrap();
}

#[test]
fn an_older_version_or_another_board_is_refused() {
    let ca = Ca::new("ours");
    let the_box = Box_::new(&ca);
    assert_eq!(refused(&the_box, &bundle(&ca, "0.9.9")), Kind::Older);
    assert_eq!(refused(&the_box, &bundle_for(&ca, "1.1.0", "rpi4")), Kind::Board);
    assert_eq!(the_box.install(&bundle(&ca, "1.0.0")).unwrap().pending.unwrap().version.to_string(), "1.0.0");
}

#[test]
fn images_that_do_not_fit_or_are_none_are_refused_before_anything_is_written() {
    let ca = Ca::new("ours");
    let the_box = Box_::new(&ca);
    let (root, boot) = images("1.1.0");
    for (root, boot) in [(vec![1; 300 << 10], boot), (root.clone(), vec![1; 65 << 10]), (root, vec![1; 511])]
    {
        let content = Content { board: BOARD, version: "1.1.0", root: &root, boot: &boot };
        assert_eq!(refused(&the_box, &write(&content, &ca.signer()).unwrap()), Kind::TooLarge);
    }
}

#[test]
fn signers_with_p256_p384_and_rsa_keys_are_accepted() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_RSA_SHA256]
    {
        let ca = Ca::with("ours", algorithm, (2020, 2040));
        assert!(Box_::new(&ca).install(&bundle(&ca, "1.1.0")).is_ok(), "{algorithm:?}");
    }
}

#[test]
fn a_certificate_expires_only_by_a_clock_that_was_set() {
    // Valid in 2027 alone; the box was built in 2026, and its clock begins in 1970.
    let ca = Ca::with("ours", &rcgen::PKCS_ECDSA_P256_SHA256, (2027, 2028));
    let the_box = Box_::new(&ca);
    let bundle = bundle(&ca, "1.1.0");
    the_box.install(&bundle).unwrap();
    the_box.machine.synchronised.store(1, Ordering::SeqCst);
    assert_eq!(
        the_box.install(&bundle).unwrap_err().kind,
        Kind::Signature,
        "not valid yet at the clock floor"
    );
    the_box.machine.now.store(BUILD + 365 * 86_400, Ordering::SeqCst);
    the_box.install(&bundle).unwrap();
    the_box.machine.now.store(BUILD + 3 * 365 * 86_400, Ordering::SeqCst);
    assert_eq!(the_box.install(&bundle).unwrap_err().kind, Kind::Signature, "expired");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if long() { 2000 } else { 64 }))]

    #[test]
    fn no_change_anywhere_in_the_signature_gets_another_bundle_in(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        use std::sync::OnceLock;
        static MADE: OnceLock<(Ca, Vec<u8>, usize)> = OnceLock::new();
        let (ca, whole, begin) = MADE.get_or_init(|| {
            let ca = Ca::new("ours");
            let parts = parts("1.1.0");
            let signature = ca.signer().sign(parts.manifest.as_bytes()).unwrap();
            let whole = parts.join(&signature);
            (ca, whole, parts.payload.len() + parts.tree.len())
        });
        let mut changed = whole.clone();
        for (at, to) in &changes {
            let at = begin + at.index(whole.len() - begin);
            changed[at] = *to;
        }
        let the_box = Box_::new(ca);
        match the_box.install(&changed) {
            Ok(status) => {
                // Only what the signature does not bind may differ, and the outcome must not.
                prop_assert_eq!(status.pending.unwrap().version.to_string(), "1.1.0");
                prop_assert!(the_box.holds("b", "1.1.0"));
            }
            Err(_) => prop_assert!(the_box.holds("a", "1.0.0")),
        }
    }
}
