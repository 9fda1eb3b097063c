//! What Prometheus is told: the format to the letter, counters that move, and nobody's name.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::directories::NOBODY;
use crate::support::{
    Client, Daemon, Exposition, authenteond, configure, enrolled, fixture, identification, known, labels,
    sample, text, verification,
};

/// One whole answer of the listener for metrics: its head and its body.
fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

fn scrape(address: SocketAddr) -> (String, Exposition) {
    let (head, body) = ask(address, "GET /metrics");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    let read = Exposition::read(&body);
    (body, read)
}

/// Where the daemon says that it serves metrics.
async fn listener(daemon: &Daemon) -> SocketAddr {
    let log = daemon.said().wait_for("metrics in clear").await;
    let line = log.lines().find(|line| line.contains("metrics in clear")).unwrap();
    let entry: Value = serde_json::from_str(line).unwrap();
    entry["fields"]["metrics"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_exact_prometheus_text_in_which_decisions_are_counted_by_their_public_reason() {
    let daemon = Daemon::with(&format!("metrics.listen = \"127.0.0.1:0\"\n{NOBODY}"));
    let address = listener(&daemon).await;
    let boss = known(&daemon, "frau-direktor", "administrator").await;
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let person = enrolled(&officer, "125").await;
    let (_, before) = scrape(address);
    assert_eq!(before.sum("authenteon_decisions_total"), 0.0);

    let ask = async |finger: &str| {
        let answer = station.post("/v1/verify", &verification(&person, sample(&fixture(finger)))).await;
        answer.body["decision"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask("125_4").await, "accept");
    assert_eq!(ask("126_4").await, "refuse");
    assert_eq!(ask("127_4").await, "refuse");
    let found = station.post("/v1/identify", &identification(sample(&fixture("128_4")))).await;
    assert_eq!(found.status, 200, "{:?}", found.body);
    assert_eq!(boss.get("/v1/stations").await.status, 200);
    assert_eq!(Client::stranger(&daemon).get("/v1/subjects/Erika-Mustermann").await.status, 401);

    let (body, after) = scrape(address);
    let value = |series: &str| after.value(series).unwrap_or_else(|| panic!("{series} is not in\n{body}"));
    let decided = |operation: &str, decision: &str, reason: &str| {
        value(&format!(
            "authenteon_decisions_total{{operation=\"{operation}\",decision=\"{decision}\",reason=\"{reason}\"}}"
        ))
    };
    assert_eq!(decided("verify", "accept", "none"), 1.0);
    assert_eq!(decided("verify", "refuse", "not-matched"), 2.0);
    assert_eq!(after.sum("authenteon_decisions_total"), 4.0);
    assert_eq!(value("authenteon_requests_total{route=\"/v1/verify\",method=\"POST\",status=\"2xx\"}"), 3.0);
    let refused = "authenteon_requests_total{route=\"/v1/subjects/{id}\",method=\"GET\",status=\"4xx\"}";
    assert_eq!(value(refused), 1.0);
    assert_eq!(value("authenteon_request_duration_seconds_count{route=\"/v1/verify\",method=\"POST\"}"), 3.0);
    for step in ["extraction", "comparison", "commit"] {
        let (count, sum) = (
            value(&format!("authenteon_{step}_duration_seconds_count")),
            value(&format!("authenteon_{step}_duration_seconds_sum")),
        );
        assert!(count >= 4.0 && sum > 0.0 && sum < 600.0, "{step}: {count} in {sum} s");
    }
    assert_eq!(value("authenteon_gallery_fingers"), 1.0);
    assert_eq!(value("authenteon_gallery_impressions"), 3.0);
    assert_eq!(value("authenteon_state{state=\"operational\"}"), 1.0);
    assert_eq!(value("authenteon_state{state=\"failed\"}"), 0.0);
    assert!(value("authenteon_audit_last_record_number") >= 6.0);
    assert!(value("authenteon_disk_free_bytes") > 0.0);
    assert!(value("authenteon_store_size_bytes{part=\"journal\"}") > 0.0);
    assert!(value("authenteon_certificate_end_timestamp_seconds{certificate=\"server\"}") > 1.7e9);
    assert!(value("authenteon_loop_age_seconds{loop=\"acceptor\"}") < 30.0);
    assert_eq!(value("authenteon_requests_in_progress"), 0.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_open_fds") > 3.0);

    assert!(after.kinds().keys().all(|name| name.starts_with("authenteon_") || name.starts_with("process_")));
    for name in ["Mustermann", "direktor", "station\"", "officer", person.as_str()] {
        assert!(!body.contains(name), "{name} is in\n{body}");
    }
    // Whatever is a label has few values: it cannot be a person's, a client's or a request's.
    let allowed = [
        "route",
        "method",
        "status",
        "operation",
        "decision",
        "reason",
        "transport",
        "le",
        "state",
        "loop",
        "part",
        "certificate",
        "version",
        "directory",
        "outcome",
    ];
    for (label, _) in after.series().flat_map(labels) {
        assert!(allowed.contains(&label.as_str()), "{label} is a label of\n{body}");
    }
    let corp = |name: &str| value(&format!("authenteon_directory_{name}{{directory=\"corp\"}}"));
    assert_eq!((corp("read_timestamp_seconds"), corp("stale"), corp("held")), (0.0, 1.0, 0.0));
    documented(&after);
    lint(&body);
}

/// Every name in the manual, the rules and the dashboard is served, and every one that is served is in the manual.
fn documented(served: &Exposition) {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operation");
    let named = |file: &str| -> BTreeSet<String> {
        let text = std::fs::read_to_string(docs.join(file)).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map(str::to_owned);
        let ours = words.filter(|word| word.starts_with("authenteon_") || word.starts_with("process_"));
        ours.map(|word| word.trim_end_matches("_bucket").to_owned()).collect()
    };
    let served: BTreeSet<String> = served.kinds().keys().cloned().collect();
    assert_eq!(named("metrics.md"), served);
    for file in ["alerts.yml", "grafana.json"] {
        let unknown: Vec<_> = named(file).difference(&served).cloned().collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}");
    }
}

/// What Prometheus' own tool says, where it is installed.
fn lint(body: &str) {
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else {
        eprintln!("promtool is not installed: the format was read by our own reader alone");
        return;
    };
    tool.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    let said = tool.wait_with_output().unwrap();
    assert!(said.status.success(), "{}{}", text(&said.stdout), text(&said.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_for_metrics_answers_nothing_else_and_a_locked_or_failed_box_too() {
    let mut daemon = Daemon::with("metrics.listen = \"127.0.0.1:0\"\n");
    let address = listener(&daemon).await;
    for (request, status) in [("GET /", 404), ("GET /v1/subjects", 404), ("POST /metrics", 405)] {
        let (head, _) = ask(address, request);
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{request}: {head}");
    }
    assert_eq!(daemon.end(), Some(0));
    let format = daemon.pki().with_file_name("store").join("format");
    std::fs::write(format, "authenteon-store 7\n").unwrap();
    daemon.start_again();
    let (_, failed) = scrape(listener(&daemon).await);
    assert_eq!(failed.value("authenteon_state{state=\"failed\"}"), Some(1.0));
    assert_eq!(failed.value("authenteon_gallery_fingers"), None);
}

#[test]
fn metrics_are_not_served_to_other_machines_unless_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let validate = |section: &str| {
        configure(folder.path(), section);
        authenteond(&["validate", "--config", folder.path().join("authenteon.toml").to_str().unwrap()])
    };
    let refused = validate("[metrics]\nlisten = \"0.0.0.0:9411\"\n");
    assert_eq!(refused.status.code(), Some(78));
    assert!(text(&refused.stderr).contains("allow-remote"), "{}", text(&refused.stderr));
    let allowed = validate("[metrics]\nlisten = \"0.0.0.0:9411\"\nallow-remote = true\n");
    assert!(allowed.status.success(), "{}", text(&allowed.stderr));
}
