//! `unlock`, and `at-rest show|key-file|tpm|passphrase`: who can read what the box stores when its disk is taken.

use std::path::Path;

use authenteon_box::Client;
use serde::Deserialize;
use serde_json::json;

use super::understand;
use crate::args::AtRestCommand;
use crate::error::CtlError;
use crate::outcome::Outcome;
use crate::passphrase;

const PATH: &str = "/v1/system/at-rest";

#[derive(Deserialize)]
struct State {
    mode: String,
    snapshot: bool,
}

/// Gives the passphrase to a box that waits for it.
pub(crate) async fn unlock(
    file: Option<&Path>,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let passphrase = passphrase::given(file, "Passphrase: ")?;
    let answer = connect().await?.post("/v1/system/unlock", &json!({"passphrase": passphrase})).await?;
    Ok(Outcome::done("unlocked\n".to_owned(), answer))
}

/// Runs one of the commands.
pub(crate) async fn run(
    command: AtRestCommand,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let body = match &command {
        AtRestCommand::Show => None,
        AtRestCommand::KeyFile { current } => {
            Some(json!({"mode": "key-file", "current": present(current.as_deref())?}))
        }
        AtRestCommand::Tpm { current } => {
            Some(json!({"mode": "tpm", "current": present(current.as_deref())?}))
        }
        AtRestCommand::Passphrase { new, current } => {
            let current = present(current.as_deref())?;
            let new = passphrase::chosen(new.as_deref(), "New passphrase (12 characters or more): ")?;
            Some(json!({"mode": "passphrase", "passphrase": new, "current": current}))
        }
    };
    let mut client = connect().await?;
    let answer = match body {
        None => client.get(PATH).await?,
        Some(body) => client.put(PATH, &body).await?,
    };
    let text = describe(&understand(&answer)?);
    Ok(Outcome::done(text, answer))
}

fn describe(state: &State) -> String {
    let mut text = match state.mode.as_str() {
        "passphrase" => {
            "encrypted with a passphrase; after every start: authenteonctl unlock\n\
                         Nobody can read what is stored without it: keep it where the box is not.\n"
        }
        "key-file" => {
            "encrypted, with the key in a file: whoever takes the box with its disk has the key too\n"
        }
        "tpm" => {
            "encrypted, with the key sealed by the machine's TPM: the box starts by itself, and its disk is worth \
             nothing elsewhere\nNobody can read what is stored when the TPM is broken or cleared, or the machine starts \
             otherwise than its PCRs say: change to a key file or a passphrase before.\n"
        }
        _ => "not encrypted: the store keeps the format of the version before until the update is kept\n",
    }
    .to_owned();
    if state.snapshot {
        text.push_str(
            "What was stored before the encryption still lies beside in clear: until somebody is deleted, a \
             passphrase is chosen, or thirty days have gone.\n",
        );
    }
    text
}

/// The present passphrase, where there is one.
fn present(file: Option<&Path>) -> Result<Option<String>, CtlError> {
    file.map(|file| passphrase::given(Some(file), "")).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_encrypted_says_why_and_a_copy_in_clear_is_named() {
        let text = describe(&State { mode: "key-file".to_owned(), snapshot: true });
        assert!(text.contains("has the key too") && text.contains("in clear"), "{text}");
        let text = describe(&State { mode: "tpm".to_owned(), snapshot: false });
        assert!(text.contains("TPM") && !text.contains("in clear"), "{text}");
        let text = describe(&State { mode: "not-encrypted".to_owned(), snapshot: false });
        assert!(text.contains("not encrypted") && !text.contains("in clear"), "{text}");
    }
}
