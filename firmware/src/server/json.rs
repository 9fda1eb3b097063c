//! Request bodies: JSON of a known type and a bounded size, or a problem that says where it is wrong.

use std::ops::Deref;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    },
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{
    State,
    connection::PeerAddress,
    problem::Problem,
    shares::{Part, Place, Shares, Whose},
};
use crate::request::Caller;

/// A body, parsed. Holds its place among the bodies in memory until it is dropped.
pub(crate) struct Body<T> {
    value: T,
    place: Place,
}

impl<T> Body<T> {
    /// The value, and the place it holds.
    pub(crate) fn into_parts(self) -> (T, Place) {
        (self.value, self.place)
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
        let limit = state.limits.body_bytes;
        check(&request, limit)?;
        let (bodies, whose) = (&state.bodies, whose(&request)?);
        let place = place(bodies, part(bodies, whose, state).await?, state).await?;
        let value = read(request, state, limit).await?;
        Ok(Self { value, place })
    }
}

/// A small body, of strangers too. Who sends one slowly holds a part of his own share meanwhile, and no place of others; a
/// stranger's counts as an attempt before it is looked at.
pub(crate) struct Small<T>(pub(crate) Body<T>);

/// Bytes of a [`Small`] body. Its route has the same limit as a layer.
pub(crate) const SMALL: usize = 16 << 10;

impl<T: DeserializeOwned + Send> FromRequest<State> for Small<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        check(&request, SMALL)?;
        if request.extensions().get::<Caller>().is_none() {
            state.attempts.admit(address(&request)?).map_err(Problem::too_many_attempts)?;
        }
        let (bodies, whose) = (&state.small_bodies, whose(&request)?);
        let part = part(bodies, whose, state).await?;
        let value = read(request, state, SMALL).await?;
        let place = place(bodies, part, state).await?;
        Ok(Self(Body { value, place }))
    }
}

/// Whose share a request is of.
fn whose(request: &Request) -> Result<Whose, Problem> {
    match request.extensions().get::<Caller>() {
        Some(caller) => Ok(Whose::Caller(caller.id.clone())),
        None => Ok(Whose::stranger(address(request)?)),
    }
}

fn address(request: &Request) -> Result<std::net::IpAddr, Problem> {
    let PeerAddress(from) =
        request.extensions().get().ok_or_else(|| Problem::internal(&"a request has no address"))?;
    Ok(*from)
}

async fn part(bodies: &Shares, of: Whose, state: &State) -> Result<Part, Problem> {
    bodies.part(of, state.limits.request()).await.ok_or_else(|| {
        let detail =
            "your own requests before this one are still being read or worked on: send fewer at a time";
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "Too many requests at a time",
            detail,
        )
    })
}

async fn place(bodies: &Shares, part: Part, state: &State) -> Result<Place, Problem> {
    bodies.place(part, state.limits.request()).await.ok_or_else(|| {
        let detail = "other requests have all its memory for bodies: try again in a moment";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "The box is busy", detail)
    })
}

/// Refuses what need not be read.
fn check(request: &Request, limit: usize) -> Result<(), Problem> {
    check_type(request.headers())?;
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Problem::too_large(limit));
    }
    Ok(())
}

/// Reads a body of up to `limit` bytes.
async fn read<T: DeserializeOwned>(request: Request, state: &State, limit: usize) -> Result<T, Problem> {
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
    serde_json::from_slice(&bytes).map_err(|why| Problem::bad_request(why.to_string()))
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
