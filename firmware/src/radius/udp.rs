//! RADIUS over UDP. Datagrams of who is no client are dropped before anything in them is looked at.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::UdpSocket, sync::watch, time::sleep};
use tracing::{error, info, warn};

use super::{
    desk::Outcome,
    front::{Front, Taken},
    packet::LONGEST,
};

/// How long to wait before an address is tried again.
pub(super) const AGAIN: Duration = Duration::from_secs(5);
/// And before a socket that fails is read again.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves on an address until it is to stop.
pub(super) async fn serve(
    address: SocketAddr,
    interface: Option<String>,
    front: Front,
    mut stopped: watch::Receiver<bool>,
) {
    let work = async {
        let socket = until_there(address, || bind(address, interface.as_deref())).await;
        info!(%address, "RADIUS over UDP");
        receive(Arc::new(socket), &front).await;
    };
    tokio::select! {
        () = work => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

/// Tries until an address can be listened on: it may come with the network, after the box.
pub(super) async fn until_there<T, F: Future<Output = io::Result<T>>>(
    address: SocketAddr,
    bind: impl Fn() -> F,
) -> T {
    let mut complained = false;
    loop {
        match bind().await {
            Ok(bound) => return bound,
            Err(why) => {
                if !complained {
                    error!(%address, %why, "RADIUS does not listen there yet; it is tried again");
                }
                complained = true;
                sleep(AGAIN).await;
            }
        }
    }
}

async fn bind(address: SocketAddr, interface: Option<&str>) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address).await?;
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    Ok(socket)
}

async fn receive(socket: Arc<UdpSocket>, front: &Front) {
    // One byte more than the longest: what is longer is seen to be.
    let mut buffer = vec![0; LONGEST + 1];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(why) => {
                warn!(%why, "a datagram of RADIUS could not be received");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Some(client) = front.clients().at(from.ip()) else {
            front.count(Outcome::UnknownClient);
            front.complain(
                "none",
                "nobody may ask from there: [[radius.client]] names those who may",
                from.ip(),
            );
            continue;
        };
        match front.take(client, from.ip(), &buffer[..length]) {
            Taken::Nothing => {}
            Taken::Again(answer) => send(&socket, &answer, from).await,
            Taken::Work(work) => {
                let (socket, again) = (Arc::clone(&socket), front.clone());
                front.beside(async move {
                    if let Some(answer) = again.work(*work).await {
                        send(&socket, &answer, from).await;
                    }
                });
            }
        }
    }
}

/// What is lost on the way is asked for again.
async fn send(socket: &UdpSocket, answer: &[u8], to: SocketAddr) {
    if let Err(why) = socket.send_to(answer, to).await {
        warn!(%why, "an answer of RADIUS could not be sent");
    }
}
