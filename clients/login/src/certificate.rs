//! An accept becomes a certificate of minutes.

use authenteon_box::{BoxError, Client};
use serde::Deserialize;
use serde_json::json;

use crate::error::LoginError;
use crate::key::Key;

/// A certificate of a person.
#[derive(Clone, Debug, Deserialize)]
pub struct Certificate {
    /// In PEM.
    #[serde(rename = "certificate")]
    pub pem: String,
    /// The authority that it is of, in PEM.
    pub authority: String,
    /// The person's user principal name.
    pub upn: String,
    /// When it ends (RFC 3339).
    pub expires: String,
}

/// Asks for the certificate that an accept is good for, once, within a minute.
///
/// # Errors
/// [`LoginError`]: the box gives none, and says why.
pub async fn certify(client: &mut Client, request_id: &str, key: &Key) -> Result<Certificate, LoginError> {
    let body = json!({ "request_id": request_id, "csr": key.request()? });
    let answer = client.post("/v1/certificates", &body).await?;
    Ok(Certificate::deserialize(answer).map_err(|why| BoxError::Answer(why.to_string()))?)
}

impl Certificate {
    /// The Kerberos principal that the person is: realms are written in capitals.
    #[must_use]
    pub fn principal(&self) -> String {
        match self.upn.rsplit_once('@') {
            Some((name, realm)) => format!("{name}@{}", realm.to_uppercase()),
            None => self.upn.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_realm_of_a_principal_is_in_capitals() {
        let principal = |upn: &str| {
            let [pem, authority, expires] = [(); 3].map(|()| String::new());
            Certificate { pem, authority, upn: upn.to_owned(), expires }.principal()
        };
        assert_eq!(principal("ada@corp.example"), "ada@CORP.EXAMPLE");
        assert_eq!(principal("ada"), "ada");
    }
}
