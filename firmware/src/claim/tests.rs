//! A claim from the first code to the administrator, on a clock that the tests hold; and a power cut
//! between any two of its steps.

use std::{
    path::PathBuf,
    sync::{Barrier, atomic::AtomicUsize},
    thread,
};

use authenteon_hal::clock::VirtualClock;
use rcgen::KeyPair;
use tempfile::TempDir;

use super::{
    gate::{FAILURES, LOCKED, SHOWN_LIVES},
    *,
};
use crate::credential::{csr::tests::request, first_boot};

/// What a person reads.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<String>>);

impl Console for Screen {
    fn show(&self, text: &str) -> io::Result<()> {
        self.0.lock().unwrap().push_str(text);
        Ok(())
    }
}

impl Screen {
    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    /// Every code that was ever shown.
    fn codes(&self) -> Vec<String> {
        let text = self.text();
        let codes = text.lines().filter_map(|line| line.trim().strip_prefix("code"));
        codes.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    }

    fn code(&self) -> String {
        self.codes().pop().unwrap()
    }
}

/// A box after its first start.
struct TheBox {
    root: TempDir,
    clock: Arc<VirtualClock>,
    screen: Screen,
    claim: Claim,
}

impl TheBox {
    fn new() -> Self {
        Self::with(None)
    }

    /// One that finds this `provision.toml`.
    fn with(provision: Option<&str>) -> Self {
        let root = tempfile::tempdir().unwrap();
        if let Some(text) = provision {
            fs::write(root.path().join("provision.toml"), text).unwrap();
        }
        let clock = Arc::new(VirtualClock::new());
        let (screen, claim) = start(root.path(), &clock);
        Self { root, clock, screen, claim }
    }

    /// A power cut and another start. Time in which there is no current is no time.
    fn start_again(&mut self) {
        (self.screen, self.claim) = start(self.root.path(), &self.clock);
    }

    fn pki(&self) -> PathBuf {
        self.root.path().join("pki")
    }

    fn wait(&self, time: Duration) {
        self.clock.sleep(time);
        self.claim.tick();
    }

    fn attempt(&self, code: &str, key: &KeyPair) -> Result<Claimed, ClaimError> {
        // Nobody asks twice within ten seconds here, so that the rate is not in the way.
        self.clock.sleep(Duration::from_secs(10));
        self.claim.attempt(code, &request(key), |_| {})
    }

    /// The certificate registered as the administrator's, if any.
    fn registered(&self) -> Vec<String> {
        let clients = Clients::load(&self.pki()).unwrap();
        clients.all().iter().filter(|c| c.name == NAME).map(|c| c.sha256.clone()).collect()
    }
}

fn start(root: &Path, clock: &Arc<VirtualClock>) -> (Screen, Claim) {
    let pki = root.join("pki");
    let (device, _) = first_boot::prepare(&pki, &["localhost".to_owned()]).unwrap();
    let screen = Screen::default();
    let clock: Arc<dyn Clock> = clock.clone();
    let provision = root.join("provision.toml");
    let claim = Claim::open(&pki, device, Some(&provision), clock, Box::new(screen.clone())).unwrap();
    if claim.unprovisioned() {
        claim.announce(Box::new(|| vec!["192.168.1.5:3411".parse().unwrap()]));
    }
    (screen, claim)
}

fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn wrong() -> String {
    Code::random(aws_lc_rs::default_provider().secure_random).unwrap().to_string()
}

fn digest(certificate: &str) -> String {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    crate::request::hex(&Sha256::digest(&der))
}

#[test]
fn the_code_on_the_screen_claims_the_box_once() {
    let boxed = TheBox::new();
    assert!(boxed.claim.unprovisioned());
    let (code, key) = (boxed.screen.code(), key());
    let mut published = None;
    let claimed = boxed.claim.attempt(&code.to_lowercase(), &request(&key), |c| published = Some(c)).unwrap();
    assert!(!boxed.claim.unprovisioned());
    assert_eq!(published.unwrap(), Clients::load(&boxed.pki()).unwrap());
    assert_eq!(boxed.registered(), [digest(&claimed.certificate)]);
    assert_eq!(claimed.authority, fs::read_to_string(boxed.pki().join("ca.pem")).unwrap());
    assert!(boxed.screen.text().contains(&digest(&claimed.authority)), "{}", boxed.screen.text());
    assert!(boxed.screen.text().ends_with("worth nothing any more\n"));

    assert!(matches!(boxed.attempt(&code, &self::key()), Err(ClaimError::Claimed)));
    assert!(matches!(boxed.attempt(&wrong(), &self::key()), Err(ClaimError::Claimed)));
    assert!(matches!(boxed.attempt(&wrong(), &key), Err(ClaimError::Claimed)));
}

#[test]
fn the_certificate_is_of_the_key_and_nothing_else_of_the_request_is_in_it() {
    use x509_parser::prelude::FromDer;
    let boxed = TheBox::new();
    let key = key();
    let claimed = boxed.attempt(&boxed.screen.code(), &key).unwrap();
    let der = CertificateDer::from_pem_slice(claimed.certificate.as_bytes()).unwrap();
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&der).unwrap();
    assert_eq!(certificate.public_key().subject_public_key.as_ref(), key.public_key_raw());
    assert_eq!(certificate.subject().to_string(), "CN=administrator (administrator)");
    assert!(!certificate.is_ca());
    assert!(certificate.subject_alternative_name().unwrap().is_none());
}

#[test]
fn two_claims_at_the_same_moment_make_one_administrator() {
    let boxed = TheBox::new();
    let code = boxed.screen.code();
    let (start, won) = (Barrier::new(4), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let request = request(&key());
                start.wait();
                match boxed.claim.attempt(&code, &request, |_| {}) {
                    Ok(_) => won.fetch_add(1, Ordering::SeqCst),
                    Err(ClaimError::Claimed) => 0,
                    Err(other) => panic!("{other}"),
                };
            });
        }
    });
    assert_eq!((won.into_inner(), boxed.registered().len()), (1, 1));
}

#[test]
fn a_code_is_replaced_after_five_wrong_ones_and_the_old_one_is_worth_nothing() {
    let boxed = TheBox::new();
    let old = boxed.screen.code();
    for left in (1..FAILURES).rev() {
        let why = boxed.attempt(&wrong(), &key()).unwrap_err();
        assert!(matches!(why, ClaimError::Wrong { left: l } if l == left), "{why}");
        assert!(why.to_string().contains(&left.to_string()), "{why}");
    }
    assert!(matches!(boxed.attempt(&wrong(), &key()), Err(ClaimError::Replaced)));
    assert_eq!(boxed.screen.codes().len(), 2);
    assert_ne!(boxed.screen.code(), old);
    assert!(matches!(boxed.attempt(&old, &key()), Err(ClaimError::Wrong { left: 4 })));
    boxed.attempt(&boxed.screen.code(), &key()).unwrap();
}

#[test]
fn a_code_is_replaced_after_half_an_hour() {
    let boxed = TheBox::new();
    let old = boxed.screen.code();
    boxed.wait(SHOWN_LIVES - Duration::from_secs(1));
    assert_eq!(boxed.screen.codes().len(), 1);
    boxed.wait(Duration::from_secs(1));
    assert_eq!(boxed.screen.codes().len(), 2);
    assert!(matches!(boxed.attempt(&old, &key()), Err(ClaimError::Wrong { .. })));
    boxed.attempt(&boxed.screen.code(), &key()).unwrap();
    boxed.wait(SHOWN_LIVES * 2);
    assert_eq!(boxed.screen.codes().len(), 2, "a claimed box shows none");
}

#[test]
fn a_code_that_is_too_old_is_worth_nothing_though_nobody_looked_at_the_clock() {
    let boxed = TheBox::new();
    let old = boxed.screen.code();
    boxed.clock.sleep(SHOWN_LIVES);
    assert!(matches!(boxed.attempt(&old, &key()), Err(ClaimError::Wrong { .. })));
    assert_eq!(boxed.screen.codes().len(), 2);
}

#[test]
fn a_request_that_cannot_be_used_leaves_the_code_good() {
    let boxed = TheBox::new();
    let code = boxed.screen.code();
    let why = boxed.claim.attempt(&code, "no request", |_| panic!("published")).unwrap_err();
    assert!(matches!(why, ClaimError::Csr(CsrError::Syntax)));
    assert!(boxed.claim.unprovisioned() && boxed.registered().is_empty());
    boxed.attempt(&code, &key()).unwrap();
}

#[test]
fn the_eleventh_attempt_of_a_minute_waits_whoever_makes_it() {
    let boxed = TheBox::new();
    for _ in 0..10 {
        assert!(boxed.claim.attempt(&wrong(), "", |_| {}).is_err());
    }
    let code = boxed.screen.code();
    let why = boxed.claim.attempt(&code, &request(&key()), |_| {}).unwrap_err();
    assert!(matches!(why, ClaimError::TooMany(_)), "{why}");
    assert_eq!(boxed.screen.codes().len(), 3, "ten wrong codes used two up");
    boxed.clock.sleep(Duration::from_secs(60));
    boxed.attempt(&code, &key()).unwrap();
}

/// A `provision.toml` with this code.
fn chosen(code: &str) -> String {
    format!("version = 1\ncode-sha256 = \"{}\"\n", crate::request::hex(&Sha256::digest(code)))
}

#[test]
fn a_chosen_code_claims_the_box_and_none_is_shown() {
    let boxed = TheBox::with(Some(&chosen("a long text of mine")));
    assert!(boxed.screen.text().contains("chosen in provision.toml"), "{}", boxed.screen.text());
    boxed.wait(SHOWN_LIVES * 10);
    assert_eq!(boxed.screen.text().matches("===").count(), 2, "shown once: {}", boxed.screen.text());
    for left in (1..FAILURES).rev() {
        let why = boxed.attempt("guess", &key()).unwrap_err();
        assert!(matches!(why, ClaimError::Wrong { left: l } if l == left), "{why}");
    }
    assert!(matches!(boxed.attempt("guess", &key()), Err(ClaimError::Locked(LOCKED))));
    assert!(matches!(boxed.attempt("a long text of mine", &key()), Err(ClaimError::Locked(_))));
    boxed.wait(LOCKED);
    boxed.attempt("a long text of mine", &key()).unwrap();
    assert!(!boxed.screen.text().contains("a long text"), "{}", boxed.screen.text());
}

#[test]
fn a_bad_provision_is_told_on_the_screen_and_a_code_is_shown_instead() {
    let bad = "version = 1\ncode-sha256 = \"\\u001b[2J\"\n\"\\u001b[31m\" = 1\n";
    let boxed = TheBox::with(Some(bad));
    let text = boxed.screen.text();
    assert!(text.contains("provision.toml is not used") && !text.contains('\u{1b}'), "{text:?}");
    boxed.attempt(&boxed.screen.code(), &key()).unwrap();
}

#[test]
fn a_claimed_box_does_not_look_at_provision_toml() {
    let mut boxed = TheBox::new();
    boxed.attempt(&boxed.screen.code(), &key()).unwrap();
    fs::write(boxed.root.path().join("provision.toml"), chosen("of a thief")).unwrap();
    boxed.start_again();
    assert!(!boxed.claim.unprovisioned());
    assert!(matches!(boxed.attempt("of a thief", &key()), Err(ClaimError::Claimed)));
    assert_eq!(boxed.screen.text(), "");
}

#[test]
fn cut_before_anything_is_kept_the_box_shows_another_code() {
    let mut boxed = TheBox::new();
    let old = boxed.screen.code();
    boxed.start_again();
    assert_ne!(boxed.screen.code(), old);
    assert!(matches!(boxed.attempt(&old, &key()), Err(ClaimError::Wrong { .. })));
    boxed.attempt(&boxed.screen.code(), &key()).unwrap();
}

#[test]
fn cut_between_the_registration_and_the_record_the_box_is_unclaimed_and_the_next_claim_replaces_it() {
    let mut boxed = TheBox::new();
    let lost = boxed.attempt(&boxed.screen.code(), &key()).unwrap();
    // The record is the last thing that reaches the disk.
    fs::remove_file(boxed.pki().join("claimed.toml")).unwrap();
    boxed.start_again();
    assert!(boxed.claim.unprovisioned());
    assert_eq!(boxed.registered(), [digest(&lost.certificate)]);
    let claimed = boxed.attempt(&boxed.screen.code(), &key()).unwrap();
    assert_eq!(boxed.registered(), [digest(&claimed.certificate)], "and the lost one is nobody's");
}

#[test]
fn cut_before_the_answer_is_heard_the_same_key_and_code_get_the_same_certificate_again() {
    let mut boxed = TheBox::new();
    let (code, mine) = (boxed.screen.code(), key());
    let first = boxed.attempt(&code, &mine).unwrap();
    for _ in 0..2 {
        boxed.start_again();
        assert!(!boxed.claim.unprovisioned());
        assert_eq!(boxed.attempt(&code, &mine).unwrap(), first);
        assert_eq!(boxed.attempt(&code.replace('-', ""), &mine).unwrap(), first);
    }
    assert!(matches!(boxed.attempt(&code, &key()), Err(ClaimError::Claimed)));
    assert_eq!(boxed.registered(), [digest(&first.certificate)]);
}

#[test]
fn cut_while_a_file_is_written_what_is_left_of_it_is_in_nobody_s_way() {
    let mut boxed = TheBox::new();
    for name in ["clients.new", "claimed.new"] {
        fs::write(boxed.pki().join(name), "[[client]]\nna").unwrap();
    }
    boxed.start_again();
    boxed.attempt(&boxed.screen.code(), &key()).unwrap();
    boxed.start_again();
    assert!(!boxed.claim.unprovisioned());
}

#[test]
fn a_record_that_cannot_be_written_leaves_the_box_unclaimed_and_the_code_good() {
    let boxed = TheBox::new();
    let (code, in_the_way) = (boxed.screen.code(), boxed.pki().join("claimed.new"));
    fs::create_dir(&in_the_way).unwrap();
    let why = boxed.claim.attempt(&code, &request(&key()), |_| panic!("published")).unwrap_err();
    assert!(matches!(why, ClaimError::Record(_)), "{why}");
    assert!(boxed.claim.unprovisioned());
    fs::remove_dir(&in_the_way).unwrap();
    boxed.attempt(&code, &key()).unwrap();
    assert_eq!(boxed.registered().len(), 1);
}

#[test]
fn a_new_address_is_told_without_the_code() {
    let boxed = TheBox::new();
    let code = boxed.screen.code();
    let plugged_in = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&plugged_in);
    boxed.claim.announce(Box::new(move || {
        let there = seen.load(Ordering::SeqCst);
        if there { vec!["10.0.0.7:3411".parse().unwrap()] } else { Vec::new() }
    }));
    boxed.claim.tick();
    let before = boxed.screen.text();
    assert!(before.contains("connect the network"), "{before}");
    plugged_in.store(true, Ordering::SeqCst);
    boxed.claim.tick();
    boxed.claim.tick();
    let told = boxed.screen.text()[before.len()..].to_owned();
    assert_eq!(told.matches("https://10.0.0.7:3411").count(), 2, "once in a list, once to type: {told}");
    assert!(!told.contains(&code));
    boxed.attempt(&code, &key()).unwrap();
}
