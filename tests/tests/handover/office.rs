//! A box beside a directory, with people who have fingers: what every way of passing a result on begins with.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use authenteon_tests::{
    load::served::{Hand, Served, hand},
    servers::namespace::Entrance,
};
use hyper::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What opens the box.
const PASSPHRASE: &str = "correct horse battery staple";
/// A first reading takes no longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A box, and the fingers that it knows.
pub(crate) struct Office {
    pub(crate) served: Served,
    _folder: TempDir,
}

/// A number that no other request of this process has.
pub(crate) fn fresh() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Office {
    /// A box in this network that follows the directory of these lines, whose account has this password, with an authority for
    /// people's certificates, and a station that may have them.
    pub(crate) fn open(network: Entrance, directory: &str, password: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, format!("{password}\n")).unwrap();
        let section = format!(
            "[handover]\nissuer = \"https://finger.example\"\n{more}\n[[directory]]\nname = \"corp\"\npassword-file = \
             {file:?}\ninterval-seconds = 3600\n{directory}"
        );
        let served = Served::start(network, &section).unwrap();
        let office = Self { served, _folder: folder };
        let (status, body) = office.ask(
            "administrator",
            &Method::PUT,
            "/v1/system/at-rest",
            &json!({"mode": "passphrase", "passphrase": PASSPHRASE}),
        );
        assert_eq!(status, 200, "{body}");
        office
    }

    pub(crate) fn ask(&self, role: &str, method: &Method, path: &str, body: &Value) -> (u16, Value) {
        let body = Some(body).filter(|body| !body.is_null());
        self.served.ask(role, method, path, body).unwrap()
    }

    /// The authority of people's certificates, made now; and the station may have them.
    pub(crate) fn authority(&self) -> String {
        let (status, body) =
            self.ask("administrator", &Method::POST, "/v1/certificates/authority", &json!({}));
        assert_eq!(status, 201, "{body}");
        self.grant(&json!({"audiences": [], "may_issue": true}));
        body["certificate"].as_str().unwrap().to_owned()
    }

    pub(crate) fn grant(&self, grant: &Value) {
        let (status, body) = self.ask("administrator", &Method::PUT, "/v1/stations/station/grant", grant);
        assert_eq!(status, 204, "{body}");
    }

    /// Whom the box knows by this login, once it has read the directory.
    pub(crate) fn somebody(&self, login: &str) -> Value {
        let began = Instant::now();
        loop {
            let (status, body) = self.ask("officer", &Method::GET, "/v1/subjects?limit=1000", &Value::Null);
            assert_eq!(status, 200, "{body}");
            let found =
                body["subjects"].as_array().unwrap().iter().find(|one| one["directory"]["login"] == login);
            if let Some(found) = found {
                return found["subject_id"].clone();
            }
            assert!(began.elapsed() < PATIENCE, "{login} is not on the box\n{}", self.served.said());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Reads the directory now.
    pub(crate) fn sync(&self) {
        let (status, body) = self.ask("administrator", &Method::POST, "/v1/directory/corp/sync", &json!({}));
        assert_eq!(status, 200, "{body}");
    }

    /// A finger of somebody, with so many more impressions to present.
    pub(crate) fn enrolled(&self, login: &str, probes: usize) -> Hand {
        let id = self.somebody(login);
        let hand = hand(probes).unwrap();
        let path = format!("/v1/subjects/{}/fingers", id.as_str().unwrap());
        let finger = json!({"position": "right-index", "samples": hand.enrol});
        let (status, body) = self.ask("officer", &Method::POST, &path, &finger);
        assert_eq!(status, 201, "{body}");
        hand
    }

    /// A verification of somebody by the next of these impressions, wanting more than the decision; one in some hundreds is not
    /// good enough. Gives the request's name and the accept.
    pub(crate) fn accepted(
        &self,
        login: &str,
        probes: &mut impl Iterator<Item = Value>,
        more: &Value,
    ) -> (String, Value) {
        for probe in probes.take(3) {
            let (request, nonce) = (format!("handover-{}", fresh()), format!("{:032x}", fresh()));
            let mut body = json!({"login": login, "sample": probe, "request_id": request, "nonce": nonce});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let (status, answer) = self.ask("station", &Method::POST, "/v1/verify", &body);
            assert_eq!(status, 200, "{answer}");
            if answer["decision"] == "accept" {
                return (request, answer);
            }
        }
        panic!("none of three was accepted");
    }
}
