//! `login --kinit`: a finger becomes a Kerberos ticket.

use std::time::Duration;

use authenteon_box::{Client, Event};
use authenteon_login::{Asked, Finger, Kerberos, Key, Ticket, Verdict, certify, verify};
use serde_json::json;

use super::decide;
use crate::args::{self, Login};
use crate::error::CtlError;
use crate::live::{Live, prompt};
use crate::outcome::Outcome;
use crate::passphrase;
use crate::sample;

/// Gets a ticket.
pub(crate) async fn run(
    Login { account, ticket, .. }: &Login,
    connect: impl AsyncFnOnce() -> Result<Client, CtlError>,
    live: Live,
) -> Result<Outcome, CtlError> {
    let finger = finger(ticket)?;
    let pin = ticket.pin_file.as_ref().map(|file| passphrase::given(Some(file), "")).transpose()?;
    // Nobody's name is an error: it is a login then.
    let who = account.parse().unwrap_or_else(|never| match never {});
    let asked = Asked { who, finger, pin };
    let key = Key::make().await?;
    let mut client = connect().await?;
    let line = ticket.place.sensor.as_ref().map(|_| prompt("Waiting for the reader"));
    let show = |name: &str| {
        let event = Event { name: name.to_owned(), data: json!({}) };
        line.iter().for_each(|line| live.show(line, &event));
    };
    let mut told = |event: &Event| line.iter().for_each(|line| live.show(line, event));
    let answer = verify(&mut client, &asked, Some(&key), &mut told).await?;
    if !matches!(answer.verdict, Verdict::Accepted { .. }) {
        return decide::outcome(answer.json);
    }
    show("accepted");
    let certificate = certify(&mut client, &answer.request_id, &key).await?;
    show("certified");
    let kerberos = Kerberos {
        principal: ticket.principal.clone(),
        anchors: ticket.anchors.clone(),
        cache: ticket.cache.clone(),
    };
    let Ticket { principal, cache } = kerberos.ticket(&certificate, &key).await?;
    let text = format!("a ticket of {principal} is in {}", cache.as_deref().unwrap_or("the default cache"));
    let told = json!({"principal": principal, "cache": cache, "certificate_expires": certificate.expires});
    Ok(Outcome::done(text, told))
}

/// What is presented.
fn finger(ticket: &args::Ticket) -> Result<Finger, CtlError> {
    match (&ticket.place.sensor, &ticket.image) {
        (Some(sensor), _) => {
            Ok(Finger::At { sensor: sensor.clone(), wait: Duration::from_secs(ticket.place.wait) })
        }
        (None, Some(file)) => Ok(Finger::Taken(sample::read(file, ticket.dpi)?)),
        (None, None) => Err(CtlError::Missing("--sensor READER or --image FILE is missing: a finger")),
    }
}
