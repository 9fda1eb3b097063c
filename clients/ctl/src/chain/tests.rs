//! Exports as a box writes them, whole and tampered with.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;

use super::*;

struct Box_ {
    pair: Ed25519KeyPair,
}

const STORE: &str = "11111111-2222-4333-8444-555555555555";

impl Box_ {
    fn new() -> Self {
        Self { pair: Ed25519KeyPair::generate().unwrap() }
    }

    fn sign(&self, purpose: &str, number: u64, hash: &str) -> Signed {
        self.sign_at("2026-11-23T08:30:00Z", purpose, number, hash)
    }

    fn sign_at(&self, at: &str, purpose: &str, number: u64, hash: &str) -> Signed {
        let text = format!("authenteon audit 1\n{purpose}\n{STORE}\n{number}\n{hash}\n{at}\n-\n");
        Signed {
            purpose: purpose.to_owned(),
            store: STORE.to_owned(),
            number,
            hash: hash.to_owned(),
            at: at.to_owned(),
            subject: None,
            key: BASE64_STANDARD.encode(self.pair.public_key().as_ref()),
            signature: BASE64_STANDARD.encode(self.pair.sign(text.as_bytes()).as_ref()),
        }
    }

    /// The lines of an export of so many records from `first` on, and the hash of each record.
    fn export(&self, first: u64, count: u64, start: bool) -> (Vec<String>, Vec<String>) {
        let mut previous = if first == 1 { NONE.to_owned() } else { hex(&[9; 32]) };
        let start = start.then(|| self.sign("start", first - 1, &previous));
        let key = BASE64_STANDARD.encode(self.pair.public_key().as_ref());
        let mut lines = vec![
            json!({"audit-export": 1, "store": STORE, "at": "now", "key": key, "start": start}).to_string(),
        ];
        let mut hashes = Vec::new();
        for number in first..first + count {
            lines.push(json!({"number": number, "previous": previous, "what": {"event": "x"}}).to_string());
            previous = hex(&Sha256::digest(lines.last().unwrap().as_bytes()));
            hashes.push(previous.clone());
        }
        let head = self.sign("head", first + count - 1, &previous);
        lines.push(json!({"audit-export-end": count, "head": head}).to_string());
        (lines, hashes)
    }
}

fn of(lines: &[String], anchor: Option<&Signed>) -> Verdict {
    verify(format!("{}\n", lines.join("\n")).as_bytes(), anchor).unwrap().verdict
}

#[test]
fn an_export_is_whole_from_its_start_and_with_an_anchor_of_any_record_in_it() {
    let maker = Box_::new();
    let (lines, hashes) = maker.export(1, 5, false);
    assert_eq!(of(&lines, None), Verdict::Whole);
    for number in 1..=5 {
        let anchor = maker.sign("head", number, &hashes[number as usize - 1]);
        assert_eq!(of(&lines, Some(&anchor)), Verdict::Whole, "{number}");
    }
    let (lines, _) = maker.export(8, 3, true);
    assert_eq!(of(&lines, None), Verdict::Whole);
    let before = maker.sign("head", 7, &hex(&[9; 32]));
    assert_eq!(of(&lines, Some(&before)), Verdict::Whole);
    assert_eq!(of(&lines, Some(&maker.sign("head", 6, "x"))), Verdict::AnchorTooOld { first: 8 });
}

#[test]
fn a_line_that_was_changed_taken_out_or_cut_off_is_found() {
    let maker = Box_::new();
    let (lines, _) = maker.export(1, 5, false);
    let mut changed = lines.clone();
    changed[2] = changed[2].replace("\"x\"", "\"y\"");
    let why = "the record before it was altered";
    assert_eq!(of(&changed, None), Verdict::Broken { number: 3, why });
    let mut last = lines.clone();
    last[5] = last[5].replace("\"x\"", "\"y\"");
    assert_eq!(of(&last, None), Verdict::HeadForged);
    let mut less = lines.clone();
    less.remove(3);
    assert_eq!(of(&less, None), Verdict::Broken { number: 3, why: "the record is missing" });
    assert_eq!(of(&lines[..4], None), Verdict::Cut { last: 3 });
    let mut short = lines.clone();
    short.remove(5);
    assert_eq!(of(&short, None), Verdict::Cut { last: 4 });
    // In the middle of its last line.
    let text = lines.join("\n");
    let cut = verify(&text.as_bytes()[..text.len() - 9], None).unwrap().verdict;
    assert_eq!(cut, Verdict::Cut { last: 5 });
    let mut start = maker.export(8, 3, true).0;
    start[0] = maker.export(8, 3, true).0[0].replace(&hex(&[9; 32]), &hex(&[8; 32]));
    assert_eq!(of(&start, None), Verdict::StartForged);
}

#[test]
fn a_chain_made_anew_is_whole_in_itself_and_found_by_an_anchor() {
    let (maker, forger) = (Box_::new(), Box_::new());
    let (_, hashes) = maker.export(1, 5, false);
    let anchor = maker.sign("head", 3, &hashes[2]);
    // By who has the key of the box: only the anchor tells.
    let mut anew = maker.export(1, 5, false).0;
    anew.truncate(1);
    let mut previous = NONE.to_owned();
    for number in 1..=5_u64 {
        anew.push(json!({"number": number, "previous": previous, "what": {"event": "z"}}).to_string());
        previous = hex(&Sha256::digest(anew.last().unwrap().as_bytes()));
    }
    let head = maker.sign("head", 5, &previous);
    anew.push(json!({"audit-export-end": 5, "head": head}).to_string());
    assert_eq!(of(&anew, None), Verdict::Whole);
    assert_eq!(of(&anew, Some(&anchor)), Verdict::Rewritten { number: 3 });
    // By who has not.
    let (other, hashes) = forger.export(1, 5, false);
    assert_eq!(of(&other, Some(&maker.sign("head", 3, &hashes[2]))), Verdict::OtherKey);
    let (short, _) = maker.export(1, 2, false);
    assert_eq!(of(&short, Some(&anchor)), Verdict::Truncated { number: 3, head: 2 });
}

#[test]
fn an_anchor_that_is_none_or_of_another_box_is_said_to_be() {
    let maker = Box_::new();
    let (lines, hashes) = maker.export(1, 5, false);
    let anchor = maker.sign("head", 3, &hashes[2]);
    let forged = Signed { number: 4, ..anchor.clone() };
    assert_eq!(of(&lines, Some(&forged)), Verdict::AnchorForged);
    let start = maker.sign("start", 3, &hashes[2]);
    assert_eq!(of(&lines, Some(&start)), Verdict::AnchorForged);
    let mut foreign = lines;
    for line in &mut foreign {
        *line = line.replace(STORE, "99999999-2222-4333-8444-555555555555");
    }
    foreign[6] = json!({"audit-export-end": 5, "head": null}).to_string();
    assert_eq!(of(&foreign, Some(&anchor)), Verdict::AnchorForeign);
    let no_export = verify(&b"{\"version\":1}\n"[..], None).unwrap_err().to_string();
    assert!(no_export.contains("no export"), "{no_export}");
}

#[test]
fn a_proof_of_an_erasure_holds_for_its_record_and_its_person_only() {
    let maker = Box_::new();
    let who = "11111111-aaaa-4bbb-8ccc-555555555555";
    let record =
        json!({"number": 4, "at": "then", "what": {"event": "subject-deleted", "subject": who}}).to_string();
    let mut statement = maker.sign("erasure", 4, &hex(&Sha256::digest(record.as_bytes())));
    statement.subject = Some(who.to_owned());
    let Signed { store, number, hash, at, .. } = &statement;
    let text = format!("authenteon audit 1\nerasure\n{store}\n{number}\n{hash}\n{at}\n{who}\n");
    statement.signature = BASE64_STANDARD.encode(maker.pair.sign(text.as_bytes()).as_ref());
    let proof = Proof { record, statement };
    let anchor = maker.sign("head", 1, "x");
    assert_eq!(proof.check(None), Ok("then".to_owned()));
    assert_eq!(proof.check(Some(&anchor)), Ok("then".to_owned()));
    assert!(proof.check(Some(&Box_::new().sign("head", 1, "x"))).unwrap_err().contains("another key"));
    let mut other = proof.clone();
    other.statement.subject = Some("22222222-aaaa-4bbb-8ccc-555555555555".to_owned());
    assert!(other.check(None).unwrap_err().contains("signature"));
    let mut other = proof.clone();
    other.record = other.record.replace("then", "now");
    assert!(other.check(None).unwrap_err().contains("another one"));
    // Signed for something else.
    let head = Proof { statement: anchor, ..proof };
    assert!(head.check(None).is_err());
}

#[test]
fn an_export_with_any_bit_of_a_record_flipped_or_any_line_exchanged_is_not_whole() {
    let maker = Box_::new();
    let (lines, _) = maker.export(1, 3, false);
    let text = format!("{}\n", lines.join("\n"));
    let records = lines[0].len() + 1..text.len() - lines[4].len() - 1;
    for at in records {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let whole = verify(bytes.as_slice(), None).is_ok_and(|found| found.verdict == Verdict::Whole);
            assert!(!whole, "byte {at}, bit {bit}");
        }
    }
    for (one, other) in [(1, 2), (2, 3), (1, 3), (3, 4)] {
        let mut lines = lines.clone();
        lines.swap(one, other);
        assert_ne!(of(&lines, None), Verdict::Whole, "{one} {other}");
    }
}

#[test]
fn an_export_that_nobody_signed_is_not_called_whole_unless_an_anchor_of_its_end_says_so() {
    let maker = Box_::new();
    let (mut lines, hashes) = maker.export(1, 3, false);
    lines[4] = json!({"audit-export-end": 3, "head": null}).to_string();
    assert_eq!(of(&lines, None), Verdict::Unsigned);
    let anchored = |number: u64| maker.sign("head", number, &hashes[number as usize - 1]);
    assert_eq!(of(&lines, Some(&anchored(2))), Verdict::Unsigned, "what is behind the anchor");
    assert_eq!(of(&lines, Some(&anchored(3))), Verdict::Whole);
    assert_eq!(of(&lines, Some(&maker.sign("head", 4, "x"))), Verdict::Truncated { number: 4, head: 3 });
}

#[test]
fn an_export_up_to_a_moment_or_from_before_the_anchor_ends_before_it_and_nothing_is_missing() {
    let maker = Box_::new();
    let (lines, _) = maker.export(1, 3, false);
    let later = maker.sign_at("2026-11-24T08:30:00Z", "head", 9, "x");
    assert_eq!(of(&lines, Some(&later)), Verdict::EndsBeforeAnchor { number: 9 });
    // Taken when the anchor was, or after it: the rest should be there.
    let then = maker.sign("head", 9, "x");
    assert_eq!(of(&lines, Some(&then)), Verdict::Truncated { number: 9, head: 3 });
    let mut bounded = lines;
    bounded[0] = bounded[0].replacen('{', r#"{"until":"2026-11-01T00:00:00Z","#, 1);
    assert_eq!(of(&bounded, Some(&then)), Verdict::EndsBeforeAnchor { number: 9 });
    // That it was asked for so is for the box to say.
    let forger = Box_::new().sign("head", 9, "x");
    assert_eq!(of(&bounded, Some(&forger)), Verdict::Truncated { number: 9, head: 3 });
}
