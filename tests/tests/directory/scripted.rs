//! What no real server says: it stalls, it lies, it never ends. A reading of it is an error in bounded time and memory.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use authenteon::directory::{DirectoryError, Kind, Method, Settings};
use authenteon_tests::servers::{
    authority::Authority,
    scripted::{Answer, element, entry, message, start, success},
};

use crate::office::{made, settings};

const UUID: &[u8] = b"123e4567-e89b-42d3-a456-426614174000";

fn person(number: &[u8], name: &[u8]) -> Vec<u8> {
    let mark: &[u8] = b"20261129120000.000001Z#000000#000#000000";
    entry(
        number,
        "uid=ann,o=acme",
        &[("entryUUID", &[UUID]), ("uid", &[b"ann"]), ("cn", &[name]), ("entryCSN", &[mark])],
    )
}

/// A server that lets the account in, says what it is, and then answers as written.
fn served(answers: Vec<Answer>) -> (tempfile::TempDir, Settings) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority").unwrap();
    let identity = authority.server(&["127.0.0.1"], false).unwrap();
    let bind: Answer = Box::new(|number| success(number, 0x61));
    let root: Answer = Box::new(|number| {
        [entry(number, "", &[("namingContexts", &[b"o=acme"])]), success(number, 0x65)].concat()
    });
    let script = [bind, root].into_iter().chain(answers).collect();
    let address: SocketAddr = start(&identity, script).unwrap();
    let settings = Settings {
        base: Some("o=acme".into()),
        port: Some(address.port()),
        method: Method::Sweep,
        patience: Duration::from_secs(2),
        ..settings(Kind::Ldap, "127.0.0.1", &authority.file, "cn=reader,o=acme", "secret")
    };
    (folder, settings)
}

async fn read(answers: Vec<Answer>) -> Result<authenteon::directory::Reading, DirectoryError> {
    let (_folder, settings) = served(answers);
    made(settings).read(None).await
}

/// The same, with patience for what takes a busy machine long to send.
async fn read_slowly(answers: Vec<Answer>) -> Result<authenteon::directory::Reading, DirectoryError> {
    let (_folder, settings) = served(answers);
    made(Settings { patience: Duration::from_secs(60), ..settings }).read(None).await
}

fn whole(name: &'static [u8]) -> Answer {
    Box::new(move |number| [person(number, name), success(number, 0x65)].concat())
}

#[tokio::test]
async fn directory_a_scripted_server_can_be_read() {
    let reading = read(vec![whole(b"Ann"), whole(b"Ann")]).await.unwrap();
    assert_eq!((reading.whole, reading.entries.len()), (true, 1));
    assert_eq!(reading.entries[0].name.as_deref(), Some("Ann"));
}

#[tokio::test]
async fn directory_a_server_that_stalls_after_ten_entries_is_given_up() {
    let began = Instant::now();
    let ten: Answer = Box::new(|number| (0..10).flat_map(|_| person(number, b"Ann")).collect());
    assert_eq!(read(vec![ten]).await, Err(DirectoryError::Stalled(2)));
    assert!(began.elapsed() < Duration::from_secs(8));
    // Nor is one waited for that says nothing at all.
    assert_eq!(read(Vec::new()).await, Err(DirectoryError::Stalled(2)));
}

#[tokio::test]
async fn directory_an_attribute_of_five_megabytes_makes_its_entry_unusable() {
    let long: Answer =
        Box::new(|number| [person(number, &vec![b'x'; 5_000_000]), success(number, 0x65)].concat());
    let reading = read_slowly(vec![whole(b"Ann"), long]).await.unwrap();
    assert!(reading.entries.is_empty());
    let [(Some(_), why)] = reading.unusable.as_slice() else { panic!("{:?}", reading.unusable) };
    assert!(why.contains("cn") && why.contains("16384"), "{why}");
}

#[tokio::test]
async fn directory_answers_without_bounds_are_errors() {
    let endless: Answer = Box::new(|_| [&[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff][..], &[0; 64]].concat());
    assert!(matches!(read(vec![endless]).await, Err(DirectoryError::Protocol(_))));
    let many: Answer =
        Box::new(|number| (0..14).flat_map(|_| person(number, &vec![b'x'; 5_000_000])).collect());
    assert!(matches!(read_slowly(vec![many]).await, Err(DirectoryError::Protocol(_))));
}

/// What a server says to a request.
type Plain = fn(&[u8]) -> Vec<u8>;

#[tokio::test]
async fn directory_what_is_no_ldap_is_an_error_and_ends_nothing_else() {
    let answers: Vec<Plain> = vec![
        |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        |_| element(0x30, b""),
        |number| message(number, 0x64, b"\x04"),
        |number| message(number, 0x7f, b""),
        |number| success(number, 0x61),
        |number| message(number, 0x65, &element(4, b"no code")),
        |number| message(&number.repeat(5), 0x65, b""),
        // An entry with a name that is no text, and one with a set of sets.
        |number| message(number, 0x64, &[element(4, b"\xff\xfe"), element(0x30, b"")].concat()),
        |number| {
            let attribute = element(0x30, &[element(4, b"cn"), element(0x31, &element(0x31, b""))].concat());
            message(number, 0x64, &[element(4, b"cn=a"), element(0x30, &attribute)].concat())
        },
        // Controls that are none.
        |number| {
            element(
                0x30,
                &[element(2, number), success(number, 0x65)[13..].to_vec(), element(0xa0, b"\x01")].concat(),
            )
        },
        |number| {
            [person(number, b"Ann"), element(0x30, &[element(2, &[0]), element(0x78, b"")].concat())].concat()
        },
    ];
    for (which, answer) in answers.into_iter().enumerate() {
        let refused = read(vec![Box::new(answer)]).await.unwrap_err();
        assert!(matches!(refused, DirectoryError::Protocol(_)), "{which}: {refused:?}");
    }
    let notice: Answer = Box::new(|_| {
        let outcome = [vec![0x0a, 1, 52], element(4, b""), element(4, b"")].concat();
        message(&[0], 0x78, &[outcome, element(0x8a, b"1.3.6.1.4.1.1466.20036")].concat())
    });
    assert!(matches!(read(vec![notice]).await, Err(DirectoryError::Partial(_))));
}

#[tokio::test]
async fn directory_an_account_without_a_base_or_with_a_foreign_method_is_refused_before_anything_is_asked() {
    let (_folder, settings) = served(Vec::new());
    let refused = |settings: Settings| {
        authenteon::directory::source(settings, std::sync::Arc::new(authenteon::clock::SystemClock))
            .err()
            .unwrap()
    };
    for (wrong, word) in [
        (Settings { base: None, ..settings.clone() }, "base"),
        (Settings { filter: Some("(cn=".into()), ..settings.clone() }, "filter"),
        (Settings { method: Method::Dirsync, ..settings.clone() }, "DirSync"),
        (Settings { kind: Kind::Edirectory, method: Method::Syncrepl, ..settings.clone() }, "sweep"),
        (Settings { kind: Kind::ActiveDirectory, method: Method::Sweep, ..settings }, "dirsync"),
    ] {
        let DirectoryError::Configuration(why) = refused(wrong) else { panic!() };
        assert!(why.contains(word), "{why}");
    }
}
