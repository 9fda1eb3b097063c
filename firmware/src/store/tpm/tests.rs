//! The TPM in a file of its own: every test has one in software, and is skipped where none can be had.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use authenteon_tests::swtpm::{Swtpm, SwtpmError};
use base64::{Engine, engine::general_purpose::STANDARD};
use tempfile::TempDir;
use tss_esapi::{
    Context,
    constants::response_code::{Tss2ResponseCode, Tss2ResponseCodeKind as Kind},
    handles::{ObjectHandle, PcrHandle},
    interface_types::{
        algorithm::HashingAlgorithm, resource_handles::Hierarchy, session_handles::AuthSession,
    },
    structures::{Auth, Digest, DigestValues, Private, Public},
    tcti_ldr::TctiNameConf,
    traits::UnMarshall,
};

use super::{chip, *};
use crate::store::{
    AtRest, Change, DiskStore, KeyError, Master, Opened, Opening, Passphrase, Store, StoreError, Table,
};

const SECRET: [u8; KEY] = *b"thirty-two bytes that are secret";

/// A TPM and where it keeps its state.
struct Machine {
    swtpm: Swtpm,
    state: TempDir,
}

impl Machine {
    fn tpm(&self, pcrs: &[u8]) -> Tpm {
        Tpm { tcti: self.swtpm.tcti(), pcrs: pcrs.to_vec() }
    }

    /// The same TPM after a restart of the machine.
    fn restart(self) -> Self {
        drop(self.swtpm);
        Self { swtpm: Swtpm::start(self.state.path()).unwrap(), state: self.state }
    }

    fn context(&self) -> Context {
        Context::new(self.swtpm.tcti().parse::<TctiNameConf>().unwrap()).unwrap()
    }

    /// Measures something into a register.
    fn extend(&self, pcr: PcrHandle) {
        let mut values = DigestValues::new();
        values.set(HashingAlgorithm::Sha256, Digest::try_from([7; 32].as_slice()).unwrap());
        let mut context = self.context();
        context.execute_with_session(Some(AuthSession::Password), |c| c.pcr_extend(pcr, values)).unwrap();
    }
}

/// A machine of its own for a test; none where `swtpm` is not installed.
fn machine() -> Option<Machine> {
    let state = tempfile::tempdir().unwrap();
    match Swtpm::start(state.path()) {
        Ok(swtpm) => Some(Machine { swtpm, state }),
        Err(why @ SwtpmError::NotInstalled) => {
            println!("skipped: {why}");
            None
        }
        Err(why) => panic!("{why}"),
    }
}

#[test]
fn a_key_comes_back_from_its_tpm_after_restarts_and_from_no_other() {
    let (Some(ours), Some(other)) = (machine(), machine()) else { return };
    let sealed = ours.tpm(&[]).seal(&SECRET).unwrap();
    assert_eq!(*ours.tpm(&[]).unseal(&sealed).unwrap(), SECRET);
    assert_eq!(other.tpm(&[]).unseal(&sealed).err(), Some(TpmError::Another));
    let ours = ours.restart();
    // It keeps nothing between uses: many of them do not fill it.
    for _ in 0..8 {
        assert_eq!(*ours.tpm(&[]).unseal(&sealed).unwrap(), SECRET);
    }
}

#[test]
fn a_tpm_that_was_cleared_does_not_know_the_key_any_more() {
    let Some(machine) = machine() else { return };
    let sealed = machine.tpm(&[]).seal(&SECRET).unwrap();
    let mut context = machine.context();
    let lockout = tss_esapi::handles::AuthHandle::Lockout;
    context.execute_with_session(Some(AuthSession::Password), |c| c.clear(lockout)).unwrap();
    drop(context);
    assert_eq!(machine.tpm(&[]).unseal(&sealed).err(), Some(TpmError::Another));
}

#[test]
fn a_key_that_is_bound_to_pcrs_does_not_come_back_once_they_changed_and_does_after_a_right_start() {
    let Some(machine) = machine() else { return };
    let (bound, free) =
        (machine.tpm(&[7, 11]).seal(&SECRET).unwrap(), machine.tpm(&[]).seal(&SECRET).unwrap());
    // Which ones is kept with the key, whatever the configuration says later.
    assert_eq!(*machine.tpm(&[]).unseal(&bound).unwrap(), SECRET);
    machine.extend(PcrHandle::Pcr12);
    assert_eq!(*machine.tpm(&[]).unseal(&bound).unwrap(), SECRET);
    machine.extend(PcrHandle::Pcr11);
    assert_eq!(machine.tpm(&[]).unseal(&bound).err(), Some(TpmError::PcrsChanged(vec![7, 11])));
    let unbound = Sealed { pcrs: Vec::new(), ..bound.clone() };
    assert_eq!(machine.tpm(&[]).unseal(&unbound).err(), Some(TpmError::Damaged));
    assert_eq!(*machine.tpm(&[]).unseal(&free).unwrap(), SECRET);
    let machine = machine.restart();
    assert_eq!(*machine.tpm(&[]).unseal(&bound).unwrap(), SECRET);
}

#[test]
fn a_damaged_blob_is_told_from_another_tpm() {
    let Some(machine) = machine() else { return };
    let (tpm, sealed) = (machine.tpm(&[]), machine.tpm(&[]).seal(&SECRET).unwrap());
    let flipped = |text: &str, at: usize| {
        let mut bytes = STANDARD.decode(text).unwrap();
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 1;
        STANDARD.encode(bytes)
    };
    let mut damaged: Vec<_> = [0, 10, 40, 1000]
        .into_iter()
        .map(|at| Sealed { private: flipped(&sealed.private, at), ..sealed.clone() })
        .collect();
    // Its type, its attributes, its policy, and its name.
    damaged
        .extend([1, 7, 20, 1000].map(|at| Sealed { public: flipped(&sealed.public, at), ..sealed.clone() }));
    damaged.push(Sealed { private: String::new(), ..sealed.clone() });
    damaged.push(Sealed { private: "no base64".to_owned(), ..sealed.clone() });
    damaged.push(Sealed { public: STANDARD.encode([0; 300]), ..sealed.clone() });
    damaged.push(Sealed { parent: "no base64".to_owned(), ..sealed.clone() });
    for damaged in damaged {
        assert_eq!(tpm.unseal(&damaged).err(), Some(TpmError::Damaged), "{damaged:?}");
    }
    assert_eq!(*tpm.unseal(&sealed).unwrap(), SECRET);
}

#[test]
fn the_empty_password_of_what_is_sealed_opens_nothing() {
    let Some(machine) = machine() else { return };
    let sealed = machine.tpm(&[]).seal(&SECRET).unwrap();
    let public = Public::unmarshall(&STANDARD.decode(&sealed.public).unwrap()).unwrap();
    let private = Private::try_from(STANDARD.decode(&sealed.private).unwrap()).unwrap();
    let mut context = machine.context();
    context.set_sessions((Some(AuthSession::Password), None, None));
    let parent = context
        .create_primary(Hierarchy::Owner, chip::storage_key().unwrap(), None, None, None, None)
        .unwrap()
        .key_handle;
    let object = ObjectHandle::from(context.load(parent, private, public).unwrap());
    let refused = |why: tss_esapi::Error| match why {
        tss_esapi::Error::Tss2Error(code) => code.kind(),
        tss_esapi::Error::WrapperError(_) => None,
    };
    assert_eq!(context.unseal(object).map_err(refused).err(), Some(Some(Kind::AuthUnavailable)));
    // Nor does it give it another one.
    let changed = context.object_change_auth(object, parent.into(), Auth::default());
    assert_eq!(changed.map_err(refused).err(), Some(Some(Kind::AuthType)));
}

#[test]
fn pcrs_that_the_tpm_does_not_measure_are_refused_before_anything_rests_on_them() {
    let Some(machine) = machine() else { return };
    let all: Vec<u8> = (0..PCRS).collect();
    let sealed = machine.tpm(&all).seal(&SECRET).unwrap();
    assert_eq!(*machine.tpm(&[]).unseal(&sealed).unwrap(), SECRET);
    assert_eq!(machine.tpm(&[7, 24]).seal(&SECRET).err(), Some(TpmError::NoPcrs(vec![7, 24])));
}

#[test]
fn an_owner_with_a_password_and_a_tpm_that_is_not_there_are_named() {
    let nowhere = Tpm { tcti: "device:/nowhere/tpm".to_owned(), pcrs: Vec::new() };
    let why = nowhere.seal(&SECRET).err().unwrap();
    assert!(matches!(why, TpmError::Absent { .. }) && why.to_string().contains("/nowhere/tpm"), "{why}");
    let nonsense = Tpm { tcti: "teapot".to_owned(), pcrs: Vec::new() };
    assert_eq!(nonsense.seal(&SECRET).err(), Some(TpmError::Tcti("teapot".to_owned())));
    let Some(machine) = machine() else { return };
    let mut context = machine.context();
    let (owner, password) =
        (tss_esapi::handles::AuthHandle::Owner, Auth::try_from(b"secret".to_vec()).unwrap());
    let changed = context.execute_with_session(Some(AuthSession::Password), |context| {
        context.hierarchy_change_auth(owner, password)
    });
    changed.unwrap();
    drop(context);
    assert_eq!(machine.tpm(&[]).seal(&SECRET).err(), Some(TpmError::Owned));
}

#[test]
fn a_lockout_of_the_tpm_is_named() {
    let lockout = tss_esapi::Error::Tss2Error(Tss2ResponseCode::from(0x921));
    assert_eq!(chip::told(lockout), TpmError::Lockout);
    let other = chip::told(tss_esapi::Error::Tss2Error(Tss2ResponseCode::from(0x100)));
    assert!(other.to_string().contains("TPM2_Startup") && other.to_string().contains("0x100"), "{other}");
}

/// Passes on what a program and a TPM say to each other, and keeps it: the bus.
fn tap(machine: &Machine) -> (Tpm, Arc<Mutex<Vec<u8>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (commands, control) = loop {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        if let Ok(next) = TcpListener::bind((Ipv4Addr::LOCALHOST, port.saturating_add(1))) {
            break (first, next);
        }
    };
    let port = commands.local_addr().unwrap().port();
    for (listener, to) in [(commands, machine.swtpm.port()), (control, machine.swtpm.port() + 1)] {
        let heard = Arc::clone(&heard);
        thread::spawn(move || {
            while let Ok((program, _)) = listener.accept() {
                let tpm = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).unwrap();
                let ways = [(program.try_clone().unwrap(), tpm.try_clone().unwrap()), (tpm, program)];
                for (from, to) in ways {
                    let heard = Arc::clone(&heard);
                    thread::spawn(move || pass_on(from, to, &heard));
                }
            }
        });
    }
    (Tpm { tcti: format!("swtpm:host=127.0.0.1,port={port}"), pcrs: Vec::new() }, heard)
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, heard: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        heard.lock().unwrap().extend(&bytes[..length]);
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn the_key_crosses_the_bus_neither_way_in_clear() {
    let Some(machine) = machine() else { return };
    let (tpm, heard) = tap(&machine);
    let sealed = tpm.seal(&SECRET).unwrap();
    assert_eq!(*tpm.unseal(&sealed).unwrap(), SECRET);
    let heard = heard.lock().unwrap();
    let crossed = |what: &[u8]| heard.windows(what.len()).any(|bytes| bytes == what);
    // What need not be secret is heard.
    assert!(crossed(&STANDARD.decode(&sealed.public).unwrap()));
    assert!(!crossed(&SECRET[..8]) && !crossed(&SECRET[24..]));
}

fn opening(folder: &TempDir, tpm: Tpm) -> Opening {
    Opening::new(folder.path()).with_tpm(tpm)
}

fn ready(opening: &Opening) -> DiskStore {
    match opening.open(&mut |_, _| {}).unwrap() {
        Opened::Ready(store) => *store,
        Opened::Earlier(_) | Opened::Locked(_) => panic!("not this version's, or locked"),
    }
}

fn has_the_value(store: &dyn Store) -> bool {
    store.get(Table::Subjects, b"k").unwrap().as_deref() == Some(b"value".as_slice())
}

#[test]
fn a_store_goes_from_a_file_to_the_tpm_to_a_passphrase_and_back_and_its_values_stay_readable() {
    const WORDS: &str = "correct horse battery staple";
    let passphrase = || Master::Passphrase(Passphrase::new(WORDS.to_owned()).unwrap());
    let Some(machine) = machine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let opening = opening(&folder, machine.tpm(&[]));
    let store = ready(&opening);
    let put = Change::Put { table: Table::Subjects, key: b"k".to_vec(), value: b"value".to_vec() };
    store.commit(&[put]).unwrap();
    let key_file = folder.path().join("keys/master");
    assert!(key_file.exists());

    store.change_master(None, &Master::Tpm).unwrap();
    assert_eq!(store.at_rest(), AtRest::Tpm);
    let copy = folder.path().join("keys/master.copy");
    assert!(!key_file.exists() && !copy.exists() && has_the_value(&store));
    drop(store);
    let store = ready(&opening);
    assert!(store.at_rest() == AtRest::Tpm && has_the_value(&store));

    store.change_master(None, &passphrase()).unwrap();
    drop(store);
    let Opened::Locked(locked) = opening.open(&mut |_, _| {}).unwrap() else { panic!("not locked") };
    let store = locked.unlock(WORDS).unwrap();
    assert!(has_the_value(store.as_ref()));
    assert_eq!(store.change_master(None, &Master::Tpm), Err(KeyError::Missing));
    store.change_master(Some(WORDS), &Master::Tpm).unwrap();
    assert!(!key_file.exists());

    store.change_master(None, &Master::File).unwrap();
    assert_eq!(store.at_rest(), AtRest::KeyFile);
    drop(store);
    // Now it needs no TPM.
    drop(machine);
    let store = ready(&opening);
    assert!(key_file.exists() && has_the_value(&store));
    let why = store.change_master(None, &Master::Tpm).unwrap_err();
    assert!(matches!(why, KeyError::Store(StoreError::Tpm(TpmError::Absent { .. }))), "{why}");
    drop(store);
    assert!(has_the_value(&ready(&opening)), "the key before is good");
}

#[test]
fn a_store_on_another_machine_or_started_otherwise_says_so_and_loses_nothing() {
    let (Some(ours), Some(other)) = (machine(), machine()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = ready(&opening(&folder, ours.tpm(&[7])));
    store.change_master(None, &Master::Tpm).unwrap();
    drop(store);
    let why = |tpm: Tpm| opening(&folder, tpm).open(&mut |_, _| {}).err().unwrap();
    assert_eq!(why(other.tpm(&[7])), StoreError::Tpm(TpmError::Another));
    ours.extend(PcrHandle::Pcr7);
    assert_eq!(why(ours.tpm(&[])), StoreError::Tpm(TpmError::PcrsChanged(vec![7])));
    let ours = ours.restart();
    let store = ready(&opening(&folder, ours.tpm(&[])));
    // Sealed anew, it is bound to what the configuration says now.
    store.change_master(None, &Master::Tpm).unwrap();
    drop(store);
    ours.extend(PcrHandle::Pcr7);
    assert_eq!(ready(&opening(&folder, ours.tpm(&[]))).at_rest(), AtRest::Tpm);
}
