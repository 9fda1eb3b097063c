//! Whether everything is in place: files, box, certificate, reader. Nobody is asked for a finger.

use std::ffi::OsStr;
use std::fs::File;

use authenteon_box::Client;
use serde::Deserialize;

use crate::ask::PATIENCE;
use crate::config::Config;
use crate::error::AgentError;
use crate::ticket::Tickets;

#[derive(Deserialize)]
struct Sensors {
    sensors: Vec<Sensor>,
}

#[derive(Deserialize)]
struct Sensor {
    sensor: String,
    model: String,
    state: String,
    present: bool,
}

/// Asks the box for its readers; says what was found.
pub(crate) async fn run(config: &Config) -> Result<String, AgentError> {
    let identity = config.identity()?;
    let days = identity.days_left.map_or_else(|| "no".to_owned(), |days| days.to_string());
    let server = config.server();
    let mut client = Client::connect(server.clone(), identity.config, PATIENCE).await?;
    let listed = client.get("/v1/sensors").await?;
    let Sensors { sensors } =
        Sensors::deserialize(listed).map_err(|why| authenteon_box::BoxError::Answer(why.to_string()))?;
    let found = sensors.iter().find(|found| found.sensor == config.sensor);
    let Some(Sensor { model, state, present, .. }) = found else {
        let there: Vec<&str> = sensors.iter().map(|found| found.sensor.as_str()).collect();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        return Err(AgentError::Sensor(format!("the box has no reader {}; it has: {there}", config.sensor)));
    };
    if state != "adopted" {
        return Err(AgentError::Sensor(format!("the reader {} is {state}, not adopted", config.sensor)));
    }
    let there = if *present { "there" } else { "not plugged in now" };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tickets = config.ticket.as_ref().map(|tickets| of_tickets(tickets, &path)).unwrap_or_default();
    Ok(format!(
        "{server} answers; the certificate has {days} days left; the reader {} ({model}) is {there}{tickets}",
        config.sensor
    ))
}

/// Whether what tickets are got with is there. None is got of the box for that: it takes a finger.
fn of_tickets(tickets: &Tickets, path: &OsStr) -> String {
    let unread = tickets.anchors.as_ref().and_then(|file| Some((file, File::open(file).err()?)));
    if let Some((file, why)) = unread {
        return format!("; there will be no tickets: {}: {why}", file.display());
    }
    if std::env::split_paths(path).any(|folder| folder.join("kinit").is_file()) {
        "; kinit is there for tickets".to_owned()
    } else {
        "; there will be no tickets: kinit is not installed (krb5-user and krb5-pkinit)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tickets_want_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("anchors = {:?}", folder.path().join("kdc.pem"));
        let said = |text: &str| of_tickets(&toml::from_str(text).unwrap(), folder.path().as_os_str());
        assert!(said("").contains("krb5-pkinit"));
        std::fs::write(folder.path().join("kinit"), "").unwrap();
        assert_eq!(said(""), "; kinit is there for tickets");
        assert!(said(&text).contains("kdc.pem"));
        std::fs::write(folder.path().join("kdc.pem"), "").unwrap();
        assert_eq!(said(&text), "; kinit is there for tickets");
    }
}
