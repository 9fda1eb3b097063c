//! `account`: people who sign in with a password and a code; `login` and `logout`.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use authenteon_box::{BoxError, Client};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{confirm, understand};
use crate::args::{AccountCommand, Login};
use crate::error::CtlError;
use crate::keys::replace_private;
use crate::outcome::Outcome;

/// Bytes of all answers, and more.
const LONGEST: u64 = 16 << 10;

#[derive(Deserialize)]
struct Account {
    name: String,
    role: String,
    by: String,
    ready: bool,
}

#[derive(Deserialize)]
struct Accounts {
    accounts: Vec<Account>,
}

/// Runs one of the commands.
pub(crate) async fn run(
    command: AccountCommand,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let told = |name: &str, answer: Value| {
        let password = answer["password"].as_str().unwrap_or_default();
        let text = format!(
            "{password}\nThis first password of {name} is shown once and good for 72 hours. Its holder types: authenteonctl \
             login {name} --first\n"
        );
        Outcome::done(text, answer)
    };
    match command {
        AccountCommand::Add { name, role } => {
            let body = json!({"name": name, "role": role.name()});
            Ok(told(&name, connect().await?.post("/v1/accounts", &body).await?))
        }
        AccountCommand::List => {
            let answer = connect().await?.get("/v1/accounts").await?;
            let all: Accounts = understand(&answer)?;
            let line = |a: &Account| {
                let state = if a.ready { "ready" } else { "not set up yet" };
                format!("{:<24} {:<14} {state}, by {}\n", a.name, a.role, a.by)
            };
            Ok(Outcome::done(all.accounts.iter().map(line).collect::<String>(), answer))
        }
        AccountCommand::Reset { name, yes } => {
            confirm(&format!("Take password and codes of {name} away"), yes)?;
            let path = format!("/v1/accounts/{name}/reset");
            Ok(told(&name, connect().await?.post(&path, &json!({})).await?))
        }
        AccountCommand::Remove { name, yes } => {
            confirm(&format!("Remove the account {name}"), yes)?;
            connect().await?.delete(&format!("/v1/accounts/{name}")).await?;
            Ok(Outcome::done(format!("removed {name}"), json!({"removed": name})))
        }
    }
}

#[derive(Deserialize)]
struct Secret {
    secret: String,
    otpauth: String,
}

#[derive(Deserialize)]
struct Session {
    token: String,
    role: String,
    idle_seconds: u64,
}

/// Signs in, and keeps the session's token in a file.
pub(crate) async fn login(
    asked: Login,
    token_file: Option<PathBuf>,
    connect: impl AsyncFn() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let file = token_file.ok_or(CtlError::Missing(
        "--token-file FILE is missing: where the session's token is kept, for this command and those after it",
    ))?;
    let mut answers = Answers::open(asked.answers_file.as_deref())?;
    let name = &asked.account;
    let password = if asked.first {
        let first = answers.secret("First password, from an administrator: ")?;
        let password = answers.chosen()?;
        let body = json!({"account": name, "first_password": first, "password": password});
        let answer = connect().await?.post("/v1/sessions/setup", &body).await?;
        let secret: Secret = understand(&answer)?;
        // To the person, not to standard output: it is no answer to be kept.
        let told = format!(
            "Put this into your authenticator app; it is shown once:\n  {}\n  {}\n",
            secret.secret, secret.otpauth
        );
        io::stderr()
            .lock()
            .write_all(told.as_bytes())
            .map_err(|error| CtlError::System(error.to_string()))?;
        password
    } else {
        answers.secret("Password: ")?
    };
    let code = answers.line("Code of your app: ")?;
    let body = json!({"account": name, "password": password, "code": code.trim()});
    let answer = connect().await?.post("/v1/sessions", &body).await?;
    let session: Session = understand(&answer)?;
    replace_private(&file, session.token.as_bytes())?;
    let minutes = session.idle_seconds / 60;
    let text = format!(
        "signed in as {} {name}; the session ends {minutes} minutes after its last use\nits token is in {}: use it with \
         --token-file, or AUTHENTEONCTL_TOKEN_FILE\n",
        session.role,
        file.display(),
    );
    Ok(Outcome::done(text, json!({"account": name, "role": session.role, "token_file": file})))
}

/// Ends the session, and removes its token.
pub(crate) async fn logout(
    token_file: Option<PathBuf>,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let file =
        token_file.ok_or(CtlError::Missing("--token-file FILE is missing: the session that is to end"))?;
    match connect().await?.delete("/v1/sessions/self").await {
        // It is over already.
        Err(BoxError::Problem(problem)) if problem.status == 401 => {}
        done => done?,
    }
    std::fs::remove_file(&file)
        .map_err(|error| CtlError::File { path: file.clone(), reason: error.to_string() })?;
    Ok(Outcome::done("signed out", json!({"signed_out": true})))
}

/// What a person types, or the lines of a file.
struct Answers(Option<Vec<String>>);

impl Answers {
    fn open(file: Option<&Path>) -> Result<Self, CtlError> {
        let stdin = io::stdin();
        let mut text = String::new();
        match file {
            Some(path) if path != Path::new("-") => {
                let bad =
                    |error: io::Error| CtlError::File { path: path.to_path_buf(), reason: error.to_string() };
                let file = std::fs::File::open(path).map_err(bad)?;
                file.take(LONGEST).read_to_string(&mut text).map_err(bad)?;
            }
            None if stdin.is_terminal() => return Ok(Self(None)),
            // One at a time: the code may be known only when the secret was shown.
            _ => return Ok(Self(Some(Vec::new()))),
        }
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.reverse();
        Ok(Self(Some(lines)))
    }

    /// One that is not shown while it is typed.
    fn secret(&mut self, question: &str) -> Result<String, CtlError> {
        let failed = |error: io::Error| CtlError::System(error.to_string());
        if self.0.is_none() {
            io::stderr().lock().write_all(question.as_bytes()).map_err(failed)?;
            return rpassword::read_password().map_err(failed);
        }
        self.line(question)
    }

    /// One that is to be: asked for twice at a terminal.
    fn chosen(&mut self) -> Result<String, CtlError> {
        let password = self.secret("Password to be (12 characters or more): ")?;
        if self.0.is_none() && self.secret("The same again: ")? != password {
            return Err(CtlError::Usage("the two are not the same: nothing was changed".to_owned()));
        }
        Ok(password)
    }

    fn line(&mut self, question: &str) -> Result<String, CtlError> {
        let failed = |error: io::Error| CtlError::System(error.to_string());
        if let Some(line) = self.0.as_mut().and_then(Vec::pop) {
            return Ok(line);
        }
        if self.0.is_none() {
            io::stderr().lock().write_all(question.as_bytes()).map_err(failed)?;
        }
        let mut line = String::new();
        io::stdin().lock().take(LONGEST).read_line(&mut line).map_err(failed)?;
        match line.trim_end_matches(['\r', '\n']) {
            "" => Err(CtlError::Missing("no answer: type it, or give a file of lines")),
            line => Ok(line.to_owned()),
        }
    }
}
