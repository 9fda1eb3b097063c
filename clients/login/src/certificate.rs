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
    /// Whose tickets it is good for, where the box says so.
    #[serde(default)]
    principal: Option<String>,
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
    /// The Kerberos principal that the person is: as the box says; one of before said the principal name alone, whose realm is
    /// written in capitals.
    #[must_use]
    pub fn principal(&self) -> String {
        if let Some(principal) = &self.principal {
            return principal.clone();
        }
        match self.upn.rsplit_once('@') {
            Some((name, realm)) => format!("{name}@{}", realm.to_uppercase()),
            None => self.upn.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_ticket_is_of_the_principal_that_the_box_says_or_else_of_the_principal_name() {
        let principal = |said: Value| {
            let mut answer = json!({ "certificate": "", "authority": "", "expires": "" });
            answer.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
            Certificate::deserialize(answer).unwrap().principal()
        };
        let both = json!({ "upn": "ada@corp.example", "principal": "ada@OTHER.EXAMPLE" });
        assert_eq!(principal(both), "ada@OTHER.EXAMPLE");
        assert_eq!(principal(json!({ "upn": "ada@corp.example" })), "ada@CORP.EXAMPLE");
        assert_eq!(principal(json!({ "upn": "ada" })), "ada");
    }
}
