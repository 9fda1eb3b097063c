//! A webhook: batches of records as JSON, POSTed over HTTPS and confirmed by any answer of success. With a secret each body
//! is signed in a header: HMAC-SHA-256, in hex.
//!
//! Invariant: the numbers of the records are in the body that is signed, so a batch that comes again is known by them.

use std::{path::Path, time::Duration};

use aws_lc_rs::hmac;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
    header::{CONTENT_TYPE, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Destination, ForwardError, lost, tls};
use crate::{audit, request::hex, services::Batch};

/// The header that signs a body.
const SIGNATURE: &str = "authenteon-signature";
/// Bytes of an answer that are read; nobody looks at them.
const ANSWER: usize = 64 << 10;
/// How long the rest of an answer is waited for.
const REST: Duration = Duration::from_secs(5);
/// Bytes of a secret, at least.
const SECRET: usize = 16;

/// A connection to a receiver.
pub(super) struct Session {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    path: String,
    secret: Option<hmac::Key>,
}

impl Session {
    pub(super) async fn open(
        to: &Destination,
        path: &str,
        secret: Option<&Path>,
    ) -> Result<Self, ForwardError> {
        let secret = secret.map(read_secret).transpose()?;
        let stream = tls::connect(to).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        // Its error is seen again by the request that it breaks.
        tokio::spawn(connection);
        let host = if to.host.contains(':') { format!("[{}]", to.host) } else { to.host.clone() };
        Ok(Self { sender, host: format!("{host}:{}", to.port), path: path.to_owned(), secret })
    }

    /// Sends a batch, and waits for its answer, which confirms it whatever becomes of the rest. Gives whether there can be
    /// another.
    pub(super) async fn send(&mut self, store: Uuid, batch: &Batch) -> Result<bool, ForwardError> {
        let body = body(store, batch)?;
        let mut request = Request::post(&self.path)
            .header(HOST, &self.host)
            .header(USER_AGENT, concat!("authenteond/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json");
        if let Some(secret) = &self.secret {
            request = request.header(SIGNATURE, signature(secret, &body));
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(lost)?;
        self.sender.ready().await.map_err(lost)?;
        let answer = self.sender.send_request(request).await.map_err(lost)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(ForwardError::Refused(status.as_u16()));
        }
        // Read to its end, so that the next request finds the connection free.
        let rest = timeout(REST, Limited::new(answer.into_body(), ANSWER).collect()).await;
        Ok(matches!(rest, Ok(Ok(_))))
    }
}

fn signature(secret: &hmac::Key, body: &[u8]) -> String {
    format!("sha256={}", hex(hmac::sign(secret, body).as_ref()))
}

fn read_secret(path: &Path) -> Result<hmac::Key, ForwardError> {
    let bad = |why: String| ForwardError::File { path: path.to_owned(), why };
    let text = Zeroizing::new(std::fs::read(path).map_err(|why| bad(why.to_string()))?);
    let secret = text.trim_ascii();
    if secret.len() < SECRET {
        return Err(bad(format!("a secret has at least {SECRET} bytes")));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, secret))
}

/// A batch as JSON. Records stand in it as they are stored, each with its hash.
fn body(store: Uuid, batch: &Batch) -> Result<Vec<u8>, ForwardError> {
    let mut body = format!("{{\"store\":\"{store}\",\"records\":[").into_bytes();
    for (index, record) in batch.records.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        body.extend(format!("{comma}{{\"hash\":\"{}\",\"record\":", audit::hash(record)).into_bytes());
        body.extend(record);
        body.push(b'}');
    }
    body.extend(b"],\"heads\":");
    body.extend(serde_json::to_vec(&batch.heads).map_err(lost)?);
    body.push(b'}');
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::Cursor;

    #[test]
    fn a_body_is_json_with_each_record_as_it_is_and_its_hash() {
        let records = vec![br#"{"number":1}"#.to_vec(), br#"{"number":2}"#.to_vec()];
        let next = Cursor { record: 2, head: 0 };
        let batch = Batch { records: records.clone(), heads: Vec::new(), next, last: 2 };
        let body: serde_json::Value = serde_json::from_slice(&body(Uuid::nil(), &batch).unwrap()).unwrap();
        assert_eq!(body["records"][1]["record"]["number"], 2);
        assert_eq!(body["records"][0]["hash"], audit::hash(&records[0]));
        assert_eq!(body["heads"], serde_json::json!([]));
    }

    #[test]
    fn a_body_is_signed_as_rfc_4231_says() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[0x0b; 20]);
        let expected = "sha256=b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(signature(&key, b"Hi There"), expected);
    }

    #[test]
    fn a_secret_that_is_too_short_or_not_there_is_said_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        assert!(read_secret(&file).unwrap_err().to_string().contains("secret"));
        std::fs::write(&file, "short\n").unwrap();
        assert!(read_secret(&file).unwrap_err().to_string().contains("16 bytes"));
        std::fs::write(&file, "long enough to be a secret\n").unwrap();
        assert!(read_secret(&file).is_ok());
    }
}
