//! Clients that are not ours and share nothing with the daemon's own stack drive the API: curl over HTTP/1.1 and
//! HTTP/2, aioquic over HTTP/3, and a client in Python that was generated from the API's description.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::{Client, Daemon, enrolled, fixture, sample, text, verification};

/// The repository's root.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What curl prints, with the protocol's version at the end.
fn curl(daemon: &Daemon, protocol: &str, who: &str, path: &str, body: Option<&Value>) -> Option<String> {
    let pki = daemon.pki();
    let file = |name: &str| pki.join(name).to_str().unwrap().to_owned();
    let body_file = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", protocol, "--max-time", "60", "--cacert", &file("ca.pem")])
        .args(["--cert", &file(&format!("{who}.pem")), "--key", &file(&format!("{who}.key"))])
        .args(["--write-out", "\n%{http_version} %{http_code}", "--tlsv1.3"]);
    if let Some(body) = body {
        std::fs::write(body_file.path(), body.to_string()).unwrap();
        command
            .args(["--header", "content-type: application/json"])
            .args(["--data-binary", &format!("@{}", body_file.path().display())]);
    }
    let done = command.arg(format!("https://{}{path}", daemon.address)).output().ok()?;
    assert!(done.status.success(), "{}", text(&done.stderr));
    Some(text(&done.stdout))
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_drives_the_api_over_http1_and_http2() {
    let daemon = Daemon::start();
    let officer = Client::named(&daemon, "officer");
    // Not the same print twice, which would be a replay.
    for (protocol, version, finger) in [("--http1.1", "1.1", "125"), ("--http2", "2", "126")] {
        let person = enrolled(&officer, finger).await;
        let Some(said) = curl(&daemon, protocol, "station", "/v1/health/ready", None) else {
            println!("skipped: there is no curl");
            return;
        };
        assert!(said.ends_with(&format!("\n{version} 200")), "{said}");
        let said = curl(&daemon, protocol, "officer", "/v1/subjects", Some(&json!({ "name": version })));
        assert!(said.unwrap().ends_with(&format!("\n{version} 201")));
        let asked = verification(&person, sample(&fixture(&format!("{finger}_4"))));
        let said = curl(&daemon, protocol, "station", "/v1/verify", Some(&asked)).unwrap();
        let (answer, status) = said.rsplit_once('\n').unwrap();
        assert_eq!(status, format!("{version} 200"), "{said}");
        let answer: Value = serde_json::from_str(answer).unwrap();
        assert_eq!(answer["decision"], "accept", "{answer}");
    }
}

/// The Python of the tests; why there is none, otherwise.
fn python() -> Result<PathBuf, String> {
    let made = Command::new(root().join("tests/python/venv")).stdin(Stdio::null()).output();
    let made = made.map_err(|why| why.to_string())?;
    if made.status.success() {
        return Ok(PathBuf::from(text(&made.stdout).trim()));
    }
    let said = text(&made.stderr);
    Err(said.lines().last().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn aioquic_drives_the_api_over_http3_and_gets_no_early_data() {
    let python = match tokio::task::spawn_blocking(python).await.unwrap() {
        Ok(python) => python,
        Err(why) => {
            println!("skipped: tests/python/venv cannot install aioquic: {why}");
            return;
        }
    };
    let daemon = Daemon::start();
    let done = Command::new(python)
        .arg(root().join("tests/python/h3_client.py"))
        .arg(daemon.address.port().to_string())
        .arg(daemon.pki())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/prints"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(said["decisions"], json!({ "125_4": "accept", "127_1": "refuse" }), "{said}");
    assert_eq!((&said["identified"], &said["tickets"]), (&json!("accept"), &json!(0)), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_generated_from_the_description_gets_what_the_description_says() {
    let python = match tokio::task::spawn_blocking(python).await.unwrap() {
        Ok(python) => python,
        Err(why) => {
            println!("skipped: tests/python/venv cannot install openapi-python-client: {why}");
            return;
        }
    };
    let (folder, description) = (tempfile::tempdir().unwrap(), root().join("docs/openapi.json"));
    let programs = python.parent().unwrap();
    // The generator has the code that it made put in order by a program beside it.
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let made = Command::new(programs.join("openapi-python-client"))
        .args(["generate", "--meta", "none", "--fail-on-warning", "--path"])
        .arg(&description)
        .arg("--config")
        .arg(root().join("tests/python/generator.yml"))
        .arg("--output-path")
        .arg(folder.path().join("authenteon_client"))
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(made.status.success(), "{} {}", text(&made.stdout), text(&made.stderr));
    let daemon = Daemon::start();
    let done = Command::new(python)
        .arg(root().join("tests/python/generated_client.py"))
        .args([folder.path(), &description])
        .arg(daemon.address.port().to_string())
        .arg(daemon.pki())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/prints"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
    let seen: Vec<String> = serde_json::from_slice(&done.stdout).unwrap();
    for answer in
        ["POST /v1/verify 200", "POST /v1/identify 200", "POST /v1/subjects 403", "POST /v1/verify 422"]
    {
        assert!(seen.iter().any(|s| s == answer), "{answer} of {seen:?}");
    }
}
