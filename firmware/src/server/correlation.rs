//! Every request has an id: the caller's, or one made here. It is in the answer, in a problem and in the log, so that
//! what a person saw can be found again.
//!
//! Invariant: nothing of a caller's id but letters, digits, '.', '_' and '-' goes anywhere, and the log has the route as
//! the API's description has it, never the path that was asked for: that one may hold a name.

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::{Instrument, debug, info_span};
use uuid::Uuid;

use super::problem::Problem;

/// The header that carries it both ways.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of an id.
const LONGEST: usize = 64;
/// What a problem's `instance` begins with.
const INSTANCE: &str = "urn:authenteon:request:";

/// The id of a request, as a header carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Correlation(HeaderValue);

impl Correlation {
    /// The caller's own, when it gave one that can be repeated anywhere; else one that no other request has.
    fn of(headers: &HeaderMap) -> Self {
        let mut given = headers.get_all(HEADER).iter();
        match (given.next(), given.next()) {
            (Some(only), None) if is_id(only.as_bytes()) => Self(only.clone()),
            _ => Self::fresh(),
        }
    }

    fn fresh() -> Self {
        let id = Uuid::new_v4().simple().to_string();
        // Hexadecimal digits are a value of a header.
        Self(HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("-")))
    }

    /// The id.
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

fn is_id(bytes: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(plain)
}

/// Gives the request its id, and the id to whoever asks what became of it.
pub(crate) async fn correlate(route: Option<MatchedPath>, mut request: Request, next: Next) -> Response {
    let id = Correlation::of(request.headers());
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let span = info_span!("request", id = id.as_str(), method = %method_of(&request), route);
    request.extensions_mut().insert(id.clone());
    async move {
        let mut response = next.run(request).await;
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            response = problem.of_instance(format!("{INSTANCE}{}", id.as_str())).into_response();
        }
        response.headers_mut().insert(HEADER, id.0);
        debug!(status = response.status().as_u16(), "answered");
        response
    }
    .instrument(span)
    .await
}

/// The method, if HTTP has it: any other is a text of the caller's.
fn method_of(request: &Request) -> &str {
    use axum::http::Method;
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ];
    if known.contains(request.method()) { request.method().as_str() } else { "other" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(values: &[&'static str]) -> Correlation {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_static(value));
        }
        Correlation::of(&headers)
    }

    #[test]
    fn a_caller_s_id_is_kept_when_it_can_be_repeated_anywhere() {
        assert_eq!(given(&["Desk-7.42_a"]).as_str(), "Desk-7.42_a");
    }

    #[test]
    fn whatever_else_a_caller_gives_is_replaced() {
        const LONG: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        assert_eq!(LONG.len(), LONGEST + 1);
        for bad in [&[][..], &[""], &["a b"], &["a\"b"], &["a/../b"], &["{}"], &[LONG], &["one", "two"]] {
            let id = given(bad);
            assert!(is_id(id.as_str().as_bytes()), "{bad:?} became {id:?}");
            assert_eq!(id.as_str().len(), 32, "{bad:?} became {id:?}");
            assert_ne!(id, given(bad), "two requests have one id");
        }
    }
}
