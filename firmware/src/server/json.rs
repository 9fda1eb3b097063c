//! Request bodies: JSON of a known type and a bounded size, or a problem that says where it is wrong.

use std::{ops::Deref, sync::Arc};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    },
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{State, problem::Problem};

/// A body, parsed. Holds its place among the bodies in memory until it is dropped.
pub(crate) struct Body<T> {
    value: T,
    permit: OwnedSemaphorePermit,
}

impl<T> Body<T> {
    /// The value, and the place it holds.
    pub(crate) fn into_parts(self) -> (T, OwnedSemaphorePermit) {
        (self.value, self.permit)
    }
}

impl<T> Deref for Body<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: DeserializeOwned> FromRequest<State> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        Self::read(request, state, state.limits.body_bytes, &state.bodies).await
    }
}

/// A body that strangers may send: small, and they wait for each other, not others for them.
pub(crate) struct Small<T>(pub(crate) Body<T>);

/// Bytes of a [`Small`] body. Its route has the same limit as a layer.
pub(crate) const SMALL: usize = 16 << 10;

impl<T: DeserializeOwned> FromRequest<State> for Small<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        Body::read(request, state, SMALL, &state.small_bodies).await.map(Self)
    }
}

impl<T: DeserializeOwned> Body<T> {
    /// Reads a body of up to `limit` bytes, holding one of `places`.
    async fn read(
        request: Request,
        state: &State,
        limit: usize,
        places: &Arc<Semaphore>,
    ) -> Result<Self, Problem> {
        check_type(request.headers())?;
        let announced =
            request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limit as u64) {
            return Err(Problem::too_large(limit));
        }
        // The semaphore is never closed.
        let permit = places.clone().acquire_owned().await.map_err(|why| Problem::internal(&why))?;
        let read = timeout(state.limits.request(), Bytes::from_request(request, &())).await;
        let bytes = match read {
            Err(_) => {
                let detail = "send the body without pauses";
                return Err(Problem::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "too-slow",
                    "The body took too long",
                    detail,
                ));
            }
            Ok(Err(why)) if why.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                return Err(Problem::too_large(limit));
            }
            Ok(Err(_)) => return Err(Problem::bad_request("the body ended early")),
            Ok(Ok(bytes)) => bytes,
        };
        // serde_json names line and column, and the field; values are not repeated in its messages
        // but for short ones of a wrong type.
        let value = serde_json::from_slice(&bytes).map_err(|why| Problem::bad_request(why.to_string()))?;
        Ok(Self { value, permit })
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .map(|v| v.split(';').next().unwrap_or(v).trim());
    // A compressed body would be larger than its limit says.
    let plain = headers.get(CONTENT_ENCODING).is_none_or(|v| v.as_bytes().eq_ignore_ascii_case(b"identity"));
    if plain && essence.is_some_and(|e| e.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let detail = "send the body as application/json, not compressed";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "The body is of another type", detail))
}
