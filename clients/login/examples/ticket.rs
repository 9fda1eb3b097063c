//! A ticket of whoever's finger is laid on a reader of the box: `ticket ada`, as a station whose files lie here.
#![allow(clippy::print_stdout, reason = "it is what it is for")]

use std::path::Path;
use std::time::Duration;

use authenteon_box::{Client, tls};
use authenteon_login::{Asked, Finger, Kerberos, Outcome, login};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let who = std::env::args().nth(1).ok_or("whose ticket?")?;
    let own = (Path::new("desk-1.pem"), Path::new("desk-1.key"));
    let identity = tls::identity(Path::new("ca.pem"), None, Some(own))?;
    let server = "https://box.example.org:3411".parse()?;
    let mut client = Client::connect(server, identity.config, Duration::from_secs(10)).await?;

    let finger = Finger::At { sensor: "usb-1".to_owned(), wait: Duration::from_secs(20) };
    let asked = Asked { who: who.parse()?, finger, pin: None };
    let kerberos = Kerberos { cache: Some("FILE:/tmp/ticket".to_owned()), ..Kerberos::default() };
    let outcome = login(&mut client, &asked, &kerberos, &mut |step| eprintln!("{}", step.words())).await?;
    match outcome {
        Outcome::Ticket(ticket) => println!("a ticket of {}", ticket.principal),
        Outcome::Not(verdict) => println!("no ticket: {verdict:?}"),
    }
    Ok(())
}
