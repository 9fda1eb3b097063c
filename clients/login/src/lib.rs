//! A finger at a box becomes a Kerberos ticket: for programs that log people in.
//!
//! [`verify`] asks the box, [`certify`] turns the accept into a certificate of minutes for a [`Key`] that was made for it, and
//! [`Kerberos::ticket`] turns that into a ticket, by the `kinit` of the machine. [`login`] does all three.
//!
//! Invariant: an accept counts only when it answers the request that was sent, and is of the subject that was named; a key is
//! for one ticket, never leaves the machine, and lies where only its owner reads while `kinit` runs. A future that is dropped
//! ends what it began: the reader waits no longer, and `kinit` is gone.
//!
//! `examples/ticket.rs` is all that a program needs:
#![doc = "```no_run"]
#![doc = include_str!("../examples/ticket.rs")]
#![doc = "```"]
#![forbid(unsafe_code)]

mod certificate;
mod error;
mod key;
mod kinit;
mod private;
mod verify;

use authenteon_box::{Client, Event};

pub use certificate::{Certificate, certify};
pub use error::LoginError;
pub use key::Key;
pub use kinit::{Kerberos, Ticket};
pub use verify::{Answer, Asked, Finger, Verdict, Who, verify};

/// What happens on the way.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// At the reader.
    AtReader(&'a Event),
    /// The box accepted the finger.
    Accepted,
    /// The certificate is here.
    Certified,
}

impl Step<'_> {
    /// For people.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::AtReader(event) => event.words(),
            Self::Accepted => "Accepted".to_owned(),
            Self::Certified => "Asking Kerberos".to_owned(),
        }
    }
}

/// What became of it.
#[derive(Debug)]
pub enum Outcome {
    /// A ticket.
    Ticket(Ticket),
    /// The box did not accept the finger.
    Not(Verdict),
}

/// Asks the box about a finger, and gets a ticket of who is accepted. What happens on the way is told.
///
/// # Errors
/// [`LoginError`]: the box cannot be asked, gives no certificate, or Kerberos gives no ticket.
pub async fn login(
    client: &mut Client,
    asked: &Asked,
    kerberos: &Kerberos,
    told: &mut (dyn FnMut(Step<'_>) + Send),
) -> Result<Outcome, LoginError> {
    let key = Key::make().await?;
    let answer = verify(client, asked, Some(&key), &mut |event| told(Step::AtReader(event))).await?;
    if !matches!(answer.verdict, Verdict::Accepted { .. }) {
        return Ok(Outcome::Not(answer.verdict));
    }
    told(Step::Accepted);
    let certificate = certify(client, &answer.request_id, &key).await?;
    told(Step::Certified);
    Ok(Outcome::Ticket(kerberos.ticket(&certificate, &key).await?))
}
