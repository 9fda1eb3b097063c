//! `pki` and `client`.

use std::{fs, path::Path};

use super::{ClientCommand, PkiCommand, exit::Failure};
use crate::{
    credential::{
        authority::Authority,
        clients::{Client, Clients},
        stations::ClientName,
        write_private, write_public,
    },
    request::Role,
};

#[expect(clippy::print_stdout, reason = "the answer of a command goes to standard output")]
pub(super) fn pki(command: PkiCommand) -> Result<bool, Failure> {
    match command {
        PkiCommand::Init { dir, names } => {
            Authority::init(&dir, &names)?;
            println!(
                "made an authority in {} and a server certificate for {}",
                dir.display(),
                names.join(", ")
            );
        }
        PkiCommand::Server { dir, names } => {
            Authority::open(&dir)?.issue_server(&names)?;
            println!("issued a server certificate for {}; restart the daemon to use it", names.join(", "));
        }
    }
    Ok(true)
}

#[expect(clippy::print_stdout, reason = "the answer of a command goes to standard output")]
pub(super) fn client(command: ClientCommand) -> Result<bool, Failure> {
    match command {
        ClientCommand::Add { dir, name, role, out } => {
            add(&dir, &name, role, &out)?;
            println!("wrote {0}/{name}.pem and {0}/{name}.key; send the daemon SIGHUP", out.display());
        }
        ClientCommand::List { dir, json } => {
            let clients = Clients::load(&dir)?;
            if json {
                println!("{}", serde_json::json!(clients.all()));
            } else {
                for client in clients.all() {
                    println!("{:<24} {:<13} {}", client.name, client.role.to_string(), client.sha256);
                }
            }
        }
        ClientCommand::Remove { dir, name } => {
            let mut clients = Clients::load(&dir)?;
            clients.remove(&name)?;
            clients.save(&dir)?;
            println!("removed {name}; send the daemon SIGHUP");
        }
    }
    Ok(true)
}

/// Issues a certificate, writes it and its key to `out`, and registers it.
pub(crate) fn add(dir: &Path, name: &str, role: Role, out: &Path) -> Result<(), Failure> {
    // It names its files too.
    let name = ClientName::try_from(name.to_owned())
        .map_err(|why| Failure { code: super::USAGE, why: why.to_string() })?;
    let name = name.as_str();
    let mut clients = Clients::load(dir)?;
    let issued = Authority::open(dir)?.issue_client(name, role)?;
    clients.add(Client::new(name, role, &issued.fingerprint, Some(issued.expires)))?;
    let failed = |why| Failure::io(&why);
    fs::create_dir_all(out).map_err(failed)?;
    write_private(&out.join(format!("{name}.key")), &issued.key).map_err(failed)?;
    write_public(&out.join(format!("{name}.pem")), &issued.certificate).map_err(failed)?;
    // Registered last: what is registered can be used.
    clients.save(dir)?;
    Ok(())
}
