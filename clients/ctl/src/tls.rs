//! Who we are and whom we trust: `--cacert`, `--cert` and `--key`, or a profile's, to a TLS configuration.
//!
//! Invariant: whoever's certificate ends soon is told so before the box refuses it.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use authenteon_box::tls::identity;
use hyper::header::HeaderValue;
use rustls::ClientConfig;

use crate::error::CtlError;
use crate::profile::Target;

/// Days before the end of our own certificate from which on we warn of it.
const SOON: i64 = 30;

/// Makes the configuration for one run.
pub(crate) fn config(args: &Target) -> Result<Arc<ClientConfig>, CtlError> {
    let cacert = args.cacert.as_deref().ok_or(CtlError::Missing(
        "--cacert FILE is missing: the certificate of the box's own CA; or name a box that you know with --profile NAME",
    ))?;
    let own = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => Some((cert.as_path(), key.as_path())),
        (None, None) => None,
        (Some(_), None) => return Err(CtlError::Missing("--cert is given without --key")),
        (None, Some(_)) => return Err(CtlError::Missing("--key is given without --cert")),
    };
    let identity = identity(cacert, args.pin, own)?;
    if let (Some((cert, _)), Some(days)) = (own, identity.days_left.filter(|days| *days < SOON)) {
        // Whoever does not read it reads the box's refusal.
        let _ = writeln!(
            std::io::stderr().lock(),
            "authenteonctl: warning: {} ends in {days} days; renew it with: authenteonctl station renew",
            cert.display()
        );
    }
    Ok(identity.config)
}

/// The token in a file.
pub(crate) fn token(path: &Path) -> Result<HeaderValue, CtlError> {
    let bad = |reason: String| CtlError::Config { path: path.to_path_buf(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    let mut token = HeaderValue::try_from(format!("Bearer {}", text.trim()))
        .map_err(|_| bad("no token in this file".to_owned()))?;
    token.set_sensitive(true);
    Ok(token)
}
