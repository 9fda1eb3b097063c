//! Accounts: signing in, in every way that fails, and what an account leaves behind.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::*;
use crate::{
    audit::Record,
    clock::{Clock, FLOOR},
    policy::Policy,
    store::{MemoryStore, Store},
};

const OWN: &str = "correct horse battery staple";

/// Seconds after the floor.
#[derive(Default)]
struct Set(AtomicU64);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        after(FLOOR, Duration::from_secs(self.0.load(Ordering::Relaxed)))
    }
}

struct Bench {
    store: Arc<MemoryStore>,
    clock: Arc<Set>,
    services: Services,
}

impl Bench {
    fn new() -> Self {
        let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(Set::default()));
        let services = open(&store, &clock);
        Self { store, clock, services }
    }

    fn restart(&mut self) {
        self.services = open(&self.store, &self.clock);
    }

    fn pass(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds, Ordering::Relaxed);
    }

    /// The code of the moment.
    fn code(&self, secret: &str) -> String {
        let bits = secret.bytes().fold(String::new(), |bits, symbol| {
            let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|s| *s == symbol).unwrap();
            bits + &format!("{value:05b}")
        });
        let mut bytes = [0; totp::SECRET];
        for (byte, bits) in bytes.iter_mut().zip(bits.as_bytes().chunks(8)) {
            *byte = u8::from_str_radix(std::str::from_utf8(bits).unwrap(), 2).unwrap();
        }
        totp::digits(&bytes, self.clock.now().millis() / 30_000)
    }

    fn sign_in(&self, password: &str, code: &str) -> Result<SignedIn, AccountError> {
        self.services.sign_in(None, "ada", &Password::typed(password.into()), code)
    }

    /// An account that is set up, and the secret of its codes.
    fn ada(&self) -> String {
        let (_, first) = self.services.add_account(&boss(), &name("ada"), Role::Officer).unwrap();
        self.set_up(&first).unwrap()
    }

    fn set_up(&self, first: &str) -> Result<String, AccountError> {
        let (first, own) = (Password::typed(first.to_owned()), Password::chosen(OWN.into()).unwrap());
        Ok(self.services.set_up(None, "ada", &first, &own)?.secret.to_string())
    }
}

fn open(store: &Arc<MemoryStore>, clock: &Arc<Set>) -> Services {
    let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(store);
    Services::open(store, Policy::default(), Arc::<Set>::clone(clock)).unwrap()
}

fn boss() -> Caller {
    Caller::new(ClientId::of_certificate(&[9; 32]), Role::Administrator, "boss".into())
}

fn name(text: &str) -> ClientName {
    ClientName::try_from(text.to_owned()).unwrap()
}

fn refused<T>(outcome: Result<T, AccountError>) -> AccountError {
    outcome.err().unwrap()
}

#[test]
fn an_account_is_set_up_once_and_signs_in_with_a_password_and_a_fresh_code() {
    let mut bench = Bench::new();
    let (account, first) = bench.services.add_account(&boss(), &name("ada"), Role::Officer).unwrap();
    assert!(!account.ready);
    // However it was typed, and again while no code was right yet.
    bench.set_up(&first.to_lowercase().replace('-', " ")).unwrap();
    let secret = bench.set_up(&first).unwrap();
    assert!(!bench.services.accounts()[0].ready, "until a code was right");
    let code = bench.code(&secret);
    let signed = bench.sign_in(OWN, &code).unwrap();
    assert!(bench.services.accounts()[0].ready);
    let Some(Bearer::Session(caller)) = bench.services.bearer(&signed.token) else { panic!("nobody") };
    assert_eq!(
        (caller.name.as_str(), caller.role, caller.id.as_str()),
        ("ada", Role::Officer, "account:ada")
    );
    // The first password is worth nothing any more, nor is the code, after a restart neither; nor is the session then.
    assert_eq!(refused(bench.set_up(&first)), AccountError::Refused);
    assert_eq!(refused(bench.sign_in(OWN, &code)), AccountError::Refused);
    bench.restart();
    assert!(bench.services.bearer(&signed.token).is_none());
    assert_eq!(refused(bench.sign_in(OWN, &code)), AccountError::Refused);
    bench.pass(30);
    let code = bench.code(&secret);
    assert_eq!(refused(bench.sign_in("another horse altogether", &code)), AccountError::Refused);
    let signed = bench.sign_in(OWN, &code).unwrap();
    assert!(bench.services.sign_out(&signed.token));
    assert!(bench.services.bearer(&signed.token).is_none());
}

#[test]
fn wrong_attempts_make_everybody_wait_whether_there_is_an_account_or_not_and_a_restart_shortens_nothing() {
    let mut bench = Bench::new();
    let secret = bench.ada();
    let code = bench.code(&secret);
    let from = Some("::ffff:192.0.2.7".parse().unwrap());
    let wrong = Password::typed("a wrong password".into());
    assert_eq!(refused(bench.services.sign_in(from, "ada", &wrong, &code)), AccountError::Refused);
    let audit: Record = serde_json::from_slice(&bench.store.last(Table::Audit).unwrap().unwrap().1).unwrap();
    assert_eq!((audit.by.name.as_str(), audit.by.from), ("ada", Some([192, 0, 2, 7].into())));
    bench.sign_in(OWN, &code).unwrap();
    bench.pass(60);
    let code = bench.code(&secret);
    for name in ["ada", "nobody"] {
        for _ in 0..5 {
            assert_eq!(refused(bench.services.sign_in(None, name, &wrong, &code)), AccountError::Refused);
        }
        assert!(matches!(refused(bench.services.sign_in(None, name, &wrong, &code)), AccountError::Wait(_)));
    }
    assert!(matches!(refused(bench.sign_in(OWN, &code)), AccountError::Wait(_)), "the right one waits too");
    bench.restart();
    assert!(matches!(refused(bench.sign_in(OWN, &code)), AccountError::Wait(_)));
    // An administrator can end it.
    let first = bench.services.reset_account(&boss(), "ada").unwrap();
    let secret = bench.set_up(&first).unwrap();
    assert!(bench.sign_in(OWN, &bench.code(&secret)).is_ok());
}

#[test]
fn an_account_that_is_removed_or_reset_has_no_session_and_a_later_one_of_its_name_is_another() {
    let bench = Bench::new();
    let secret = bench.ada();
    let signed = bench.sign_in(OWN, &bench.code(&secret)).unwrap();
    bench.services.reset_account(&boss(), "ada").unwrap();
    assert!(bench.services.bearer(&signed.token).is_none());
    bench.pass(60);
    assert_eq!(refused(bench.sign_in(OWN, &bench.code(&secret))), AccountError::Refused);
    bench.services.remove_account(&boss(), "ada", true).unwrap();
    assert_eq!(bench.services.remove_account(&boss(), "ada", true), Err(AccountError::Unknown));
    let secret = bench.ada();
    let signed = bench.sign_in(OWN, &bench.code(&secret)).unwrap();
    bench.services.remove_account(&boss(), "ada", true).unwrap();
    assert!(bench.services.bearer(&signed.token).is_none());
    assert_eq!(bench.services.accounts(), []);
}

#[test]
fn nothing_that_is_kept_tells_a_password_or_a_token() {
    let bench = Bench::new();
    let (_, first) = bench.services.add_account(&boss(), &name("ada"), Role::Officer).unwrap();
    let secret = bench.set_up(&first).unwrap();
    let signed = bench.sign_in(OWN, &bench.code(&secret)).unwrap();
    let day = Duration::from_secs(86_400);
    let (_, token) =
        bench.services.make_token(&boss(), &name("nightly"), Role::Backup, Vec::new(), day).unwrap();
    for table in Table::ALL {
        for (key, value) in bench.store.scan(table, None, 100).unwrap() {
            let text = String::from_utf8_lossy(&key) + String::from_utf8_lossy(&value);
            for told in [first.as_str(), &first.replace('-', ""), OWN, &signed.token, &token] {
                assert!(!text.contains(told), "{table:?}: {text}");
            }
        }
    }
}

#[test]
fn a_token_is_good_until_it_ends_or_is_revoked_after_a_restart_too() {
    let mut bench = Bench::new();
    let day = Duration::from_secs(86_400);
    let scopes = vec!["/v1/system/backup".to_owned()];
    let made = bench.services.make_token(&boss(), &name("nightly"), Role::Backup, scopes.clone(), day);
    let (_, token) = made.unwrap();
    let again = bench.services.make_token(&boss(), &name("nightly"), Role::Backup, Vec::new(), day);
    assert!(again.is_err());
    bench.restart();
    let Some(Bearer::Token(caller, found)) = bench.services.bearer(&token) else { panic!("nobody") };
    assert_eq!((caller.role, found), (Role::Backup, scopes));
    assert!(bench.services.bearer(&format!("{}x", *token)).is_none());
    bench.services.revoke_token(&boss(), "nightly").unwrap();
    assert!(bench.services.bearer(&token).is_none());
    assert!(bench.services.revoke_token(&boss(), "nightly").is_err());
    let (_, token) =
        bench.services.make_token(&boss(), &name("nightly"), Role::Backup, Vec::new(), day).unwrap();
    bench.pass(86_400);
    assert!(bench.services.bearer(&token).is_none());
    assert_eq!(bench.services.tokens(), []);
}

#[test]
fn a_wrong_attempt_writes_as_much_for_nobody_as_for_an_account() {
    let bench = Bench::new();
    let secret = bench.ada();
    bench.sign_in(OWN, &bench.code(&secret)).unwrap();
    let written = || bench.store.get(Table::Cursors, NOBODY).unwrap().map_or(0, |value| value.len());
    let wrong = Password::typed("a wrong password".into());
    assert!(bench.services.sign_in(None, "ada", &wrong, "000000").is_err());
    assert_eq!(written(), 0);
    let audit = bench.store.last(Table::Audit).unwrap().unwrap().1;
    let account = bench.store.get(Table::Accounts, b"ada").unwrap().unwrap();
    for name in ["bob", "no name of any account"] {
        assert!(bench.services.sign_in(None, name, &wrong, "000000").is_err());
        assert!(
            written().abs_diff(audit.len() + account.len()) < 64,
            "{} {}",
            written(),
            audit.len() + account.len()
        );
    }
    assert_eq!(bench.store.last(Table::Audit).unwrap().unwrap().1, audit, "nor does it fill the audit");
}

#[test]
fn a_name_that_no_account_can_have_is_remembered_in_no_length() {
    let bench = Bench::new();
    let wrong = Password::typed("a wrong password".into());
    for n in 0..5 {
        let long = format!("{n}{}", "x".repeat(10_000));
        assert_eq!(refused(bench.services.sign_in(None, &long, &wrong, "000000")), AccountError::Refused);
    }
    // They are one and the same, and wait together.
    assert!(matches!(refused(bench.services.sign_in(None, "a b", &wrong, "000000")), AccountError::Wait(_)));
}

#[test]
fn the_last_account_of_an_administrator_stays_unless_somebody_administers_by_a_certificate() {
    let bench = Bench::new();
    let services = &bench.services;
    let made = |account: &str| services.add_account(&boss(), &name(account), Role::Administrator).unwrap().1;
    let first = made("ada");
    made("bob");
    // Nobody has ever signed in as Bob.
    let last = Err(AccountError::LastAdministrator);
    assert_eq!(services.remove_account(&boss(), "ada", false), last);
    let secret = bench.set_up(&first).unwrap();
    bench.sign_in(OWN, &bench.code(&secret)).unwrap();
    assert_eq!(services.remove_account(&boss(), "bob", false), Ok(()));
    assert_eq!(services.remove_account(&boss(), "ada", false), last);
    assert_eq!(services.remove_account(&boss(), "ada", true), Ok(()));
}
