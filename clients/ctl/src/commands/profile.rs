//! `profile add|list|show|use|remove`: boxes by name. No box is asked.

use serde_json::{Value, json};

use super::confirm;
use crate::args::{Connection, ProfileCommand};
use crate::error::CtlError;
use crate::outcome::Outcome;
use crate::profile::{Profile, ProfileName, Profiles, fingerprint};

/// Runs one of the commands.
pub(crate) fn run(command: ProfileCommand, connection: &Connection) -> Result<Outcome, CtlError> {
    let mut profiles = Profiles::load()?;
    match command {
        ProfileCommand::Add { name } => add(profiles, name, connection),
        ProfileCommand::List => {
            let mut text = String::new();
            let mut all = Vec::new();
            for (name, profile) in profiles.iter() {
                let current = profiles.current() == Some(name);
                let mark = if current { '*' } else { ' ' };
                text.push_str(&format!("{mark} {:<24} {}\n", name.to_string(), profile.server));
                all.push(json!({"name": name, "current": current, "server": profile.server}));
            }
            if all.is_empty() {
                text.push_str("no profiles yet: claim and station join make one, and profile add\n");
            }
            Ok(Outcome::done(text, json!({"profiles": all})))
        }
        ProfileCommand::Show { name } => {
            let name = name.or_else(|| profiles.current().cloned());
            let name = name.ok_or(CtlError::Missing("no profile is in use: say which one"))?;
            let profile = profiles.named(&name)?;
            Ok(Outcome::done(describe(&name, &profile), whole(&name, &profile)))
        }
        ProfileCommand::Use { name } => {
            profiles.take(&name)?;
            Ok(Outcome::done(format!("{name} is in use"), json!({"current": name})))
        }
        ProfileCommand::Remove { name, yes } => {
            profiles.know(&name)?;
            confirm(&format!("Remove the profile {name} with its key"), yes)?;
            profiles.remove(&name)?;
            let text = format!(
                "removed {name}; its certificate is good until an administrator takes it back: \
                 authenteonctl station remove"
            );
            Ok(Outcome::done(text, json!({"removed": name})))
        }
    }
}

/// Makes a profile of what the command line says of a box; the files stay where they are.
fn add(mut profiles: Profiles, name: ProfileName, given: &Connection) -> Result<Outcome, CtlError> {
    profiles.folder_of(&name)?;
    let server =
        given.server.clone().ok_or(CtlError::Missing("--server URL is missing: where the box listens"))?;
    let cacert = given.cacert.as_deref();
    let cacert =
        cacert.ok_or(CtlError::Missing("--cacert FILE is missing: the certificate of the box's own CA"))?;
    if given.cert.is_some() != given.key.is_some() {
        return Err(CtlError::Missing("--cert and --key go together"));
    }
    let there = |path: &std::path::Path| {
        path.canonicalize()
            .map_err(|error| CtlError::Config { path: path.to_owned(), reason: error.to_string() })
    };
    let profile = Profile {
        server,
        ca_sha256: fingerprint(cacert)?,
        cacert: there(cacert)?,
        cert: given.cert.as_deref().map(there).transpose()?,
        key: given.key.as_deref().map(there).transpose()?,
        device_id: None,
    };
    profiles.add(name.clone(), profile)?;
    let profile = profiles.named(&name)?;
    Ok(Outcome::done(describe(&name, &profile), whole(&name, &profile)))
}

fn whole(name: &ProfileName, profile: &Profile) -> Value {
    let mut whole = json!(profile);
    whole["name"] = json!(name);
    whole
}

fn describe(name: &ProfileName, profile: &Profile) -> String {
    let mut text = format!(
        "name       {name}\nserver     {}\nauthority  {}\nSHA-256    {}\n",
        profile.server,
        profile.cacert.display(),
        profile.ca_sha256
    );
    for (what, path) in [("cert", &profile.cert), ("key", &profile.key)] {
        if let Some(path) = path {
            text.push_str(&format!("{what:<10} {}\n", path.display()));
        }
    }
    if let Some(device) = &profile.device_id {
        text.push_str(&format!("device     {device}\n"));
    }
    text
}
