//! A large body on its way to the disk, as it comes: never in memory, never more than there is room for, never with long
//! pauses.

use std::{io, path::Path, time::Duration};

use axum::{body::Body, http::StatusCode};
use http_body_util::BodyExt;
use tokio::{fs::File, io::AsyncWriteExt, time::timeout};

use super::problem::Problem;

/// What may come in.
pub(crate) struct Bounds<'a> {
    /// What it is called in answers: `bundle`, say.
    pub(crate) what: &'a str,
    /// Where there is to be room for it.
    pub(crate) folder: &'a Path,
    /// Bytes of that disk which are left to others.
    pub(crate) spared: u64,
    /// Bytes that it may have, were there room.
    pub(crate) largest: u64,
    /// Bytes that its head says it has.
    pub(crate) announced: Option<u64>,
    /// The longest pause.
    pub(crate) pause: Duration,
}

/// Writes a body to a file. Gives its length.
pub(crate) async fn write(mut body: Body, file: &mut File, bounds: &Bounds<'_>) -> Result<u64, Problem> {
    let failed = |why: io::Error| Problem::internal(&why);
    let space = rustix::fs::statvfs(bounds.folder).map_err(|why| failed(why.into()))?;
    let room = (space.f_bavail * space.f_frsize).saturating_sub(bounds.spared);
    let fits = |length: u64| {
        if length > bounds.largest {
            return Err(Problem::too_large(usize::try_from(bounds.largest).unwrap_or(usize::MAX)));
        }
        if length > room {
            let detail = format!("the box has no room for this {}: make room and send it again", bounds.what);
            return Err(Problem::new(StatusCode::INSUFFICIENT_STORAGE, "no-room", "No room", detail));
        }
        Ok(())
    };
    fits(bounds.announced.unwrap_or(0))?;
    let mut length = 0;
    loop {
        let frame = timeout(bounds.pause, body.frame()).await.map_err(|_| {
            let detail = format!("send the {} without pauses", bounds.what);
            Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "The body took too long", detail)
        })?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| Problem::bad_request("the body ended early"))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len() as u64;
        fits(length)?;
        file.write_all(&data).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    Ok(length)
}
