//! What a box makes of itself when it starts for the first time: its name, its authority and its server's
//! certificate; and the care for that certificate at every later start.
//!
//! Invariant: a power cut at any point leaves no authority or a whole one. All is made in a folder beside,
//! written through to the disk, and renamed: the rename is the moment. What an earlier start left
//! unfinished is thrown away, since nobody has seen it. The server's certificate is two files, so a cut can
//! part them; it is the authority's to make, and a pair that does not fit is made anew at the start.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rcgen::{CertificateParams, KeyPair, PublicKeyData, SanType};
use rustix::rand::{GetRandomFlags, getrandom};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use uuid::Uuid;
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    prelude::{FromDer, ParsedExtension},
};

use super::authority::{Authority, AuthorityError, device, name_of};
use crate::clock::{Clock, SystemClock};

/// A server's certificate with less life left is made anew.
const RENEW: Duration = Duration::from_secs(30 * 86_400);

/// Blocks until the kernel has gathered enough randomness for keys: for ever, if it never does.
///
/// A board that just started may have none, and keys made then can be guessed. With no flags `getrandom`
/// waits until the pool was filled once, and never again. aws-lc, which makes the keys, asks in the same
/// way (`wrapper_getrandom` in its `rand_extra/urandom.c` blocks when the pool is not ready); this call
/// does not rest on that.
///
/// # Errors
/// What the system says.
pub fn wait_for_entropy() -> io::Result<()> {
    let mut byte = [0_u8; 1];
    loop {
        match getrandom(&mut byte, GetRandomFlags::empty()) {
            Ok(1) => return Ok(()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(why) => return Err(why.into()),
        }
    }
}

/// Opens the authority in `folder`, after making it if there is none, with a server's certificate that is
/// good for `names`. Gives the box's name; true when the authority was made now.
///
/// # Errors
/// [`AuthorityError`].
pub fn prepare(folder: &Path, names: &[String]) -> Result<(Uuid, bool), AuthorityError> {
    let made = !folder.join("ca.pem").exists();
    if made {
        make(folder, names)?;
    } else {
        keep(folder, names)?;
    }
    Ok((device(folder)?, made))
}

/// Issues the server's certificate anew when it is not good for `names` any more, or not for long; true when it did.
///
/// # Errors
/// [`AuthorityError`].
pub fn keep(folder: &Path, names: &[String]) -> Result<bool, AuthorityError> {
    // Before the certificate, which has it among its names.
    device(folder)?;
    if server_is_good(folder, names) {
        return Ok(false);
    }
    Authority::open(folder)?.issue_server(names)?;
    Ok(true)
}

fn make(folder: &Path, names: &[String]) -> Result<(), AuthorityError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |why| AuthorityError::File { path, why }
    };
    wait_for_entropy().map_err(failed(Path::new("getrandom")))?;
    // Links and trailing slashes have no name of their own to put another beside.
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let name = folder.file_name().ok_or_else(|| AuthorityError::InTheWay(folder.to_owned()))?;
    let mut beside = name.to_owned();
    beside.push(".unfinished");
    let beside = parent.join(beside);
    match fs::remove_dir_all(&beside) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(failed(&beside)(why)),
        _ => {}
    }
    Authority::init(&beside, names)?;
    File::open(&beside).and_then(|made| made.sync_all()).map_err(failed(&beside))?;
    fs::rename(&beside, folder).map_err(|why| match why.kind() {
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            AuthorityError::InTheWay(folder.to_owned())
        }
        _ => failed(folder)(why),
    })?;
    File::open(&parent).and_then(|parent| parent.sync_all()).map_err(failed(&parent))
}

/// Whether the server's certificate is the authority's, fits its key, names the box and lives on.
fn server_is_good(folder: &Path, names: &[String]) -> bool {
    let read = |name: &str| CertificateDer::from_pem_file(folder.join(name)).ok();
    let issuer = read("server-ca.pem").or_else(|| read("ca.pem"));
    let (Some(authority), Some(server)) = (issuer, read("server.pem")) else { return false };
    let Ok(device) = device(folder) else { return false };
    let names = [names, &[name_of(device)]].concat();
    let (Ok((_, authority)), Ok((_, server))) =
        (X509Certificate::from_der(&authority), X509Certificate::from_der(&server))
    else {
        return false;
    };
    let key = fs::read_to_string(folder.join("server.key")).ok().and_then(|pem| KeyPair::from_pem(&pem).ok());
    let fits = key.is_some_and(|key| key.subject_public_key_info() == server.public_key().raw);
    let seconds = (SystemClock.now().millis() / 1000).saturating_add(RENEW.as_secs());
    let lives = i64::try_from(seconds).is_ok_and(|then| then < server.validity().not_after.timestamp());
    fits && lives
        && server.verify_signature(Some(authority.public_key())).is_ok()
        && wanted(&names).is_some_and(|wanted| wanted.iter().all(|name| named(&server).contains(name)))
}

/// Names as a certificate has them: text in lower case, or the bytes of an address.
fn wanted(names: &[String]) -> Option<Vec<Vec<u8>>> {
    let params = CertificateParams::new(names.to_vec()).ok()?;
    let name = |san: &SanType| match san {
        SanType::DnsName(name) => Some(name.as_str().to_ascii_lowercase().into_bytes()),
        SanType::IpAddress(std::net::IpAddr::V4(address)) => Some(address.octets().to_vec()),
        SanType::IpAddress(std::net::IpAddr::V6(address)) => Some(address.octets().to_vec()),
        _ => None,
    };
    params.subject_alt_names.iter().map(name).collect()
}

fn named(server: &X509Certificate<'_>) -> Vec<Vec<u8>> {
    let names = server.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    names
        .flatten()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into_bytes()),
            GeneralName::IPAddress(bytes) => Some(bytes.to_vec()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(more: &[&str]) -> Vec<String> {
        ["localhost", "127.0.0.1"].iter().chain(more).map(|name| (*name).to_owned()).collect()
    }

    fn files(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_first_start_makes_everything_and_later_ones_keep_it() {
        let root = tempfile::tempdir().unwrap();
        let pki = root.path().join("pki");
        let (device, made) = prepare(&pki, &names(&[])).unwrap();
        assert!(made);
        assert_eq!(files(root.path()), ["pki"], "nothing is left beside");
        assert_eq!(
            files(&pki),
            [
                "ca.key",
                "ca.pem",
                "device-id",
                "server-ca.key",
                "server-ca.pem",
                "server.key",
                "server.pem",
                "station-ca.key",
                "station-ca.pem",
            ]
        );
        let before = ["ca.pem", "server.pem"].map(|name| fs::read(pki.join(name)).unwrap());
        assert_eq!(prepare(&pki, &names(&[])).unwrap(), (device, false));
        assert_eq!(["ca.pem", "server.pem"].map(|name| fs::read(pki.join(name)).unwrap()), before);
    }

    #[test]
    fn what_a_power_cut_left_at_any_point_is_made_whole() {
        // The order in which the files are made; a cut leaves the first of them, the last one cut short.
        let order = [
            "ca.key",
            "ca.pem",
            "station-ca.key",
            "station-ca.pem",
            "server-ca.key",
            "server-ca.pem",
            "device-id",
            "server.key",
            "server.pem",
        ];
        for cut in 0..=order.len() {
            let root = tempfile::tempdir().unwrap();
            let (pki, unfinished) = (root.path().join("pki"), root.path().join("pki.unfinished"));
            prepare(&unfinished, &names(&[])).unwrap();
            for name in &order[cut..] {
                fs::remove_file(unfinished.join(name)).unwrap();
            }
            if let Some(last) = cut.checked_sub(1) {
                fs::write(unfinished.join(order[last]), "-----BEGIN").unwrap();
            }
            assert!(prepare(&pki, &names(&[])).unwrap().1, "cut after {cut}");
            assert_eq!(files(root.path()), ["pki"]);
            assert!(server_is_good(&pki, &names(&[])));
        }
    }

    #[test]
    fn an_empty_folder_is_filled_and_one_with_something_else_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let pki = root.path().join("pki");
        fs::create_dir(&pki).unwrap();
        assert!(prepare(&pki, &names(&[])).unwrap().1);

        let other = root.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("ca.key"), "of somebody").unwrap();
        assert!(matches!(prepare(&other, &names(&[])), Err(AuthorityError::InTheWay(_))));
        assert_eq!(files(&other), ["ca.key"]);
    }

    #[test]
    fn a_server_s_certificate_that_does_not_do_is_made_anew_and_the_authority_stays() {
        let root = tempfile::tempdir().unwrap();
        let pki = root.path().join("pki");
        prepare(&pki, &names(&[])).unwrap();
        let authority = fs::read(pki.join("ca.pem")).unwrap();
        let check = |names: &[String]| {
            assert!(!server_is_good(&pki, names));
            assert!(!prepare(&pki, names).unwrap().1);
            assert!(server_is_good(&pki, names));
            assert_eq!(fs::read(pki.join("ca.pem")).unwrap(), authority);
        };
        check(&names(&["192.168.1.5", "2001:db8::5", "Box.example"]));
        assert!(!keep(&pki, &names(&[])).unwrap() && keep(&pki, &names(&["192.168.1.9"])).unwrap());
        // The box has another id, by which nobody would know it.
        fs::write(pki.join("device-id"), Uuid::new_v4().to_string()).unwrap();
        check(&names(&[]));
        // A cut between the key and its certificate.
        fs::write(pki.join("server.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
        check(&names(&[]));
        for name in ["server.key", "server.pem"] {
            fs::write(pki.join(name), "").unwrap();
            check(&names(&[]));
            fs::remove_file(pki.join(name)).unwrap();
            check(&names(&[]));
        }
        // Somebody else's.
        let other = root.path().join("other");
        prepare(&other, &names(&[])).unwrap();
        for name in ["server.key", "server.pem"] {
            fs::copy(other.join(name), pki.join(name)).unwrap();
        }
        check(&names(&[]));
    }

    #[test]
    fn the_pool_of_this_machine_is_ready() {
        wait_for_entropy().unwrap();
    }
}
