//! The box says where it is: `authenteon.local` by multicast DNS (RFC 6762), and the service
//! `_biolink-auth._tcp` by DNS-SD (RFC 6763). Addresses that come and go are followed.
//!
//! Invariant: what is announced is the name, the port and the version, and nothing of people.

use std::io;

use mdns_sd::{DaemonEvent, IfKind, ServiceDaemon, ServiceInfo};
use tracing::{info, warn};

use crate::config::Announce;

/// As IANA lists it.
pub const SERVICE: &str = "_biolink-auth._tcp.local.";

/// An announcement; it is taken back when this is dropped.
pub struct Announcement {
    daemon: ServiceDaemon,
    name: String,
}

/// Announces a service on `port`.
///
/// # Errors
/// What the system says of the sockets, or a name that cannot be announced.
pub fn announce(config: &Announce, port: u16) -> io::Result<Announcement> {
    let daemon = ServiceDaemon::new().map_err(io::Error::other)?;
    if !config.interfaces.is_empty() {
        let only = config.interfaces.iter().cloned().map(IfKind::Name).collect::<Vec<_>>();
        daemon
            .disable_interface(IfKind::All)
            .and_then(|()| daemon.enable_interface(only))
            .map_err(io::Error::other)?;
    }
    let host = format!("{}.local.", config.host);
    let properties = [("version", env!("CARGO_PKG_VERSION")), ("path", "/v1")];
    let service = ServiceInfo::new(SERVICE, &config.host, &host, "", port, &properties[..])
        .map_err(io::Error::other)?
        .enable_addr_auto();
    let name = service.get_fullname().to_owned();
    let events = daemon.monitor().map_err(io::Error::other)?;
    daemon.register(service).map_err(io::Error::other)?;
    info!(host, "announced on the local network");
    std::thread::Builder::new().name("announcer".to_owned()).spawn(move || {
        // Ends with the daemon.
        while let Ok(event) = events.recv() {
            match event {
                DaemonEvent::NameChange(change) => {
                    warn!(original = change.original, new = change.new_name, "another box has this name");
                }
                DaemonEvent::Error(why) => warn!(%why, "announcing"),
                _ => {}
            }
        }
    })?;
    Ok(Announcement { daemon, name })
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // Others forget it after two minutes if the farewell is not heard.
        if let Ok(done) = self.daemon.unregister(&self.name) {
            let _ = done.recv_timeout(std::time::Duration::from_secs(1));
        }
        let _ = self.daemon.shutdown();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use mdns_sd::ServiceEvent;

    use super::*;

    #[test]
    fn a_client_on_the_same_network_finds_the_box_and_its_port() {
        let config = Announce { host: "authenteon-test".to_owned(), interfaces: vec!["lo".to_owned()] };
        let announcement = announce(&config, 3411).unwrap();
        let client = ServiceDaemon::new().unwrap();
        client.disable_interface(IfKind::All).unwrap();
        client.enable_interface(IfKind::Name("lo".to_owned())).unwrap();
        let found = client.browse(SERVICE).unwrap();
        let began = Instant::now();
        let resolved = loop {
            match found.recv_timeout(Duration::from_secs(10)) {
                Ok(ServiceEvent::ServiceResolved(service))
                    if service.get_fullname().contains("authenteon-test") =>
                {
                    break service;
                }
                Ok(_) if began.elapsed() < Duration::from_secs(10) => {}
                other => panic!("not found: {other:?}"),
            }
        };
        assert_eq!(resolved.get_port(), 3411);
        assert_eq!(resolved.get_hostname(), "authenteon-test.local.");
        assert!(resolved.get_addresses().iter().any(|address| address.to_string().starts_with("127.0.0.1")));
        drop(announcement);
        client.shutdown().unwrap();
    }
}
