//! An answer that tells on the way how far it is, as server-sent events, for who asks with `Accept: text/event-stream`:
//! the person at a reader sees at once what to do.
//!
//! Invariant: the last event is the answer, `result` or `problem`, and is what would have been answered without; what
//! fails before anybody was told anything is a plain problem. The work ends when the client has gone.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use authenteon_hal::discovery::ReaderId;
use axum::{
    Json,
    body::{Body, Bytes, HttpBody},
    extract::FromRequestParts,
    http::{
        HeaderValue, StatusCode,
        header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use hyper::body::Frame;
use serde::Serialize;
use serde_json::Value;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
    time::{Interval, MissedTickBehavior, interval},
};

use super::{State, connection::LongAnswer, problem::Problem};
use crate::sensors::{Progress, Stage};

/// How often a client is told that somebody is still there.
const HEARTBEAT: Duration = Duration::from_secs(5);
const EVENTS: &str = "text/event-stream";

/// Whether the client wants to be told on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted(bool);

impl FromRequestParts<State> for Wanted {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Infallible> {
        let accepted = parts.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut kinds = accepted.flat_map(|value| value.split(',')).map(|kind| kind.split(';').next());
        Ok(Self(kinds.any(|kind| kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(EVENTS)))))
    }
}

/// What is told.
#[derive(Clone, Debug, Serialize)]
struct Told {
    #[serde(skip)]
    name: &'static str,
    sensor: ReaderId,
    /// Which impression of the request, from one.
    impression: usize,
    /// How many there are.
    of: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<u8>,
    /// What the person can do about a print that is of no use.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// The way to a client that wants to know, if it does. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Teller(Option<UnboundedSender<Told>>);

/// One impression at a reader.
#[derive(Clone)]
pub(crate) struct Impression {
    pub(crate) sensor: ReaderId,
    /// Which of the request, from one.
    pub(crate) number: usize,
    /// How many there are.
    pub(crate) of: usize,
}

impl Teller {
    /// Whether anybody wants to know.
    pub(crate) fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    /// Tells how far an impression is.
    pub(crate) fn progress(&self, impression: &Impression) -> Progress {
        if !self.is_heard() {
            return Progress::none();
        }
        let (teller, impression) = (self.clone(), impression.clone());
        Progress::to(move |stage| {
            teller.tell(
                &impression,
                match stage {
                    Stage::Place => "place-finger",
                    Stage::Hold => "hold",
                    Stage::Lift => "lift",
                },
                None,
                None,
            );
        })
    }

    /// Tells what a frame is worth.
    pub(crate) fn quality(&self, impression: &Impression, quality: u8, hint: Option<String>) {
        self.tell(impression, "quality", Some(quality), hint);
    }

    fn tell(&self, of: &Impression, name: &'static str, quality: Option<u8>, hint: Option<String>) {
        let Impression { sensor, number, of } = of.clone();
        if let Some(to) = &self.0 {
            // Who has gone need not know.
            let _ = to.send(Told { name, sensor, impression: number, of, quality, hint });
        }
    }
}

/// Does the work and answers, on the way too when that is wanted.
pub(crate) async fn answer<T, W>(
    wanted: Wanted,
    status: StatusCode,
    work: impl FnOnce(Teller) -> W,
) -> Result<Response, Problem>
where
    T: Serialize + Send + 'static,
    W: Future<Output = Result<T, Problem>> + Send + 'static,
{
    if !wanted.0 {
        return Ok((status, Json(work(Teller(None)).await?)).into_response());
    }
    let (to, mut told) = unbounded_channel();
    let work = work(Teller(Some(to)));
    // Of its own: a reader waits no longer for a client that takes nothing than for any other.
    let mut work = Ending(tokio::spawn(async move {
        let value = serde_json::to_value(work.await?);
        value.map_err(|why| Problem::internal(&why))
    }));
    let first = told.recv().await;
    let done = match &first {
        Some(_) => None,
        // Nothing was told, and nothing will be.
        None => Some(Ok(outcome((&mut work.0).await)?)),
    };
    let mut beat = interval(HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat.reset();
    let body = Events { first, told, work, done, beat, ended: false };
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(EVENTS));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.extensions_mut().insert(LongAnswer);
    Ok(response)
}

fn outcome(joined: Result<Result<Value, Problem>, tokio::task::JoinError>) -> Result<Value, Problem> {
    joined.map_err(|why| Problem::internal(&why)).and_then(|done| done)
}

/// Work that nobody wants any more when this is dropped.
struct Ending(JoinHandle<Result<Value, Problem>>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The body.
struct Events {
    first: Option<Told>,
    told: UnboundedReceiver<Told>,
    work: Ending,
    done: Option<Result<Value, Problem>>,
    beat: Interval,
    ended: bool,
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // Before what was told is looked at: all of it comes before the answer.
        if self.done.is_none()
            && let Poll::Ready(joined) = Pin::new(&mut self.work.0).poll(context)
        {
            self.done = Some(outcome(joined));
        }
        let told = self.first.take().or_else(|| match self.told.poll_recv(context) {
            Poll::Ready(told) => told,
            Poll::Pending => None,
        });
        let text = match (told, self.done.take()) {
            (Some(told), done) => {
                self.done = done;
                event(told.name, &told)
            }
            (None, Some(done)) => {
                self.ended = true;
                match done {
                    Ok(value) => event("result", &value),
                    Err(problem) => event("problem", &problem),
                }
            }
            (None, None) if self.beat.poll_tick(context).is_ready() => ": still here\n\n".to_owned(),
            (None, None) => return Poll::Pending,
        };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(text)))))
    }
}

/// One event. JSON has no line breaks outside of strings, and none inside.
fn event(name: &str, data: &impl Serialize) -> String {
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}
