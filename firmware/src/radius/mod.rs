//! RADIUS: a switch, a VPN or a directory asks whether somebody may come in, and is told by a one-time code that a finger gave
//! or by a finger at one of the box's readers.
//!
//! A packet goes one way: `packet` reads it, `seal` proves it, `request` says what it asks, `once` whether it was asked before,
//! `desk` decides by the services, `push` waits at a reader; `udp` and `radsec` bring it and take the answer away.
//! Invariant: what is not proved is not answered, nor logged with anything of it but its client and what is wrong.

mod clients;
mod desk;
mod front;
mod once;
mod packet;
mod push;
mod radsec;
mod request;
mod seal;
mod udp;

use tokio::{sync::watch, task::JoinHandle};

use self::front::Front;
pub use self::{
    clients::{Client, Clients, Mode, Network, NotANetwork, RadSec, Settings},
    desk::{Count, Desk, Outcome},
    packet::{Attribute, Code, Malformed, Packet},
    request::{Asked, Ignored, Offer, Request},
    seal::{Secret, TooShort, Unproved},
};

/// RADIUS as it is served.
pub struct Radius {
    stopping: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    front: Front,
}

impl Radius {
    /// Serves from now on. Where an address is not there yet, it is tried again until it is.
    #[must_use]
    pub fn start(settings: Settings, desk: Desk) -> Self {
        let (stopping, stopped) = watch::channel(false);
        let Settings { listen, interface, radsec, clients } = settings;
        let front = Front::new(clients, desk);
        let mut tasks: Vec<JoinHandle<()>> = Vec::new();
        for address in listen {
            tasks.push(tokio::spawn(udp::serve(address, interface.clone(), front.clone(), stopped.clone())));
        }
        for (address, radsec) in
            radsec.iter().flat_map(|radsec| radsec.listen.iter().map(move |at| (*at, radsec)))
        {
            let (radsec, front) = (radsec.clone(), front.clone());
            tasks.push(tokio::spawn(radsec::serve(
                address,
                interface.clone(),
                radsec,
                front,
                stopped.clone(),
            )));
        }
        Self { stopping, tasks, front }
    }

    /// Stops: who waits for an answer gets none, and asks another server.
    pub async fn end(self) {
        self.stopping.send_replace(true);
        for task in self.tasks {
            // One that panicked has ended as well.
            let _ = task.await;
        }
        self.front.end().await;
    }
}
