//! Whether everything is in place: files, box, certificate, reader. Nobody is asked for a finger.

use authenteon_box::Client;
use serde::Deserialize;

use crate::ask::PATIENCE;
use crate::config::Config;
use crate::error::AgentError;

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
    Ok(format!(
        "{server} answers; the certificate has {days} days left; the reader {} ({model}) is {there}",
        config.sensor
    ))
}
