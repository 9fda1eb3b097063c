//! What is not counted and can be looked at: read anew whenever somebody asks.

use std::fs;

use prometheus_client::{
    encoding::prometheus_text::encode,
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};

use super::{Label, PREFIX};
use crate::{
    credential::ends::certificate_ends,
    directory::State as Standing,
    server::{
        State,
        access::{DEGRADED, FAILED, LOCKED, OPERATIONAL, UNPROVISIONED},
    },
    services::Services,
};

type Of = Family<[Label; 1], Gauge>;

/// All metrics as text; reads files.
pub(in crate::server) fn text(state: &State) -> String {
    let mut text = String::new();
    let mut now = Registry::with_prefix(PREFIX);
    of_the_box(&mut now, state);
    if let Some(services) = state.lock.services() {
        of_what_is_stored(&mut now, services);
    }
    let mut process = Registry::with_prefix("process");
    of_the_process(&mut process, state);
    for registry in [&state.operation.metrics.registry, &now, &process] {
        // Writing to a String cannot fail.
        let _ = encode(&mut text, registry);
    }
    text
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn holding(value: u64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(signed(value));
    gauge
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, holding(value));
}

fn with_unit(registry: &mut Registry, name: &str, help: &str, unit: Unit, value: u64) {
    registry.register_with_unit(name, help, unit, holding(value));
}

fn set(family: &Of, label: Label, value: u64) {
    family.get_or_create(&[label]).set(signed(value));
}

fn of_the_box(registry: &mut Registry, state: &State) {
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "What runs", version);

    let states = Of::default();
    for name in [UNPROVISIONED, LOCKED, OPERATIONAL, DEGRADED, FAILED] {
        set(&states, ("state", name), u64::from(name == state.standing()));
    }
    registry.register("state", "1 for the state that the box is in", states);

    let loops = Of::default();
    for beat in state.operation.heartbeats.beats() {
        set(&loops, ("loop", beat.name), beat.age.as_secs());
    }
    let help = "Time since a loop that the box rests on came round";
    registry.register_with_unit("loop_age", help, Unit::Seconds, loops);

    let ends = Of::default();
    for certificate in certificate_ends(&state.operation.pki) {
        if let Some(end) = certificate.end {
            set(&ends, ("certificate", certificate.name), end.millis() / 1000);
        }
    }
    let help = "When a certificate of the box ends, since 1970";
    registry.register_with_unit("certificate_end_timestamp", help, Unit::Seconds, ends);

    let readers = state.sensors.list();
    let sensors = Of::default();
    let count = |counts: &dyn Fn(&crate::sensors::ReaderState) -> bool| {
        number(readers.iter().filter(|reader| counts(reader)).count())
    };
    set(&sensors, ("state", "present"), count(&|reader| reader.info.is_some()));
    set(&sensors, ("state", "absent"), count(&|reader| reader.info.is_none()));
    set(&sensors, ("state", "failed"), count(&|reader| reader.last_error.is_some()));
    registry.register("sensors", "Readers at the box; one that failed is present or absent too", sensors);

    let forwarded = state.forwarding.progress();
    let lag = forwarded.iter().map(crate::forward::Progress::lag).max().unwrap_or(0);
    let help = "Records of the audit that the slowest receiver has not confirmed";
    gauge(registry, "audit_forward_lag_records", help, lag);
    let failing = number(forwarded.iter().filter(|to| to.error.is_some()).count());
    gauge(registry, "audit_forward_failing", "Receivers of the audit that cannot be reached", failing);

    gauge(registry, "connections_limit", "Connections that may be open", number(state.limits.connections));
}

fn of_what_is_stored(registry: &mut Registry, services: &Services) {
    let counts = services.counts();
    gauge(registry, "gallery_fingers", "Fingers enrolled", number(counts.fingers));
    gauge(
        registry,
        "gallery_impressions",
        "Impressions of them: the N of identification",
        number(counts.impressions),
    );
    let help = "Number of the last record of the audit";
    gauge(registry, "audit_last_record_number", help, services.audit_number());
    of_directories(registry, services);
    if let Some(free) = services.free_bytes() {
        with_unit(registry, "disk_free", "Bytes that are free for the store", Unit::Bytes, free);
    }
    if let Ok(extent) = services.store_extent() {
        gauge(registry, "store_people", "People of whom something is kept", extent.people);
        let parts = Of::default();
        set(&parts, ("part", "snapshot"), extent.snapshot);
        set(&parts, ("part", "journal"), extent.journal);
        set(&parts, ("part", "keys"), extent.keys);
        set(&parts, ("part", "index"), extent.index);
        registry.register_with_unit("store_size", "Bytes on the disk", Unit::Bytes, parts);
    }
}

/// By the name that the configuration gives each.
fn of_directories(registry: &mut Registry, services: &Services) {
    type Named = Family<Vec<(&'static str, String)>, Gauge>;
    let of = |family: &Named, labels: &[(&'static str, &str)], value: u64| {
        let labels = labels.iter().map(|(label, value)| (*label, (*value).to_owned())).collect();
        family.get_or_create(&labels).set(signed(value));
    };
    let (read, stale, failing, held, people) =
        (Named::default(), Named::default(), Named::default(), Named::default(), Named::default());
    for directory in services.directories() {
        let name = ("directory", directory.name.as_ref());
        // Long ago, if it never was.
        of(&read, &[name], directory.read.map_or(0, |at| at.millis() / 1000));
        of(&stale, &[name], u64::from(directory.stale));
        of(&failing, &[name], u64::from(directory.error.is_some()));
        of(&held, &[name], u64::from(directory.held.is_some()));
        for state in [Standing::Active, Standing::Disabled, Standing::Expired, Standing::Gone] {
            let count = directory.people.get(&state).copied().unwrap_or_default();
            of(&people, &[name, ("state", state.name())], number(count));
        }
    }
    let help = "When a directory was last read, since 1970";
    registry.register_with_unit("directory_read_timestamp", help, Unit::Seconds, read);
    let help = "1 when a directory was not read for so long that no certificate rests on it";
    registry.register("directory_stale", help, stale);
    registry.register("directory_failing", "1 when a directory could not be read last time", failing);
    registry.register("directory_held", "1 when what a directory says waits for an administrator", held);
    registry.register(
        "directory_people",
        "People who are followed in a directory, by how they stand",
        people,
    );
}

/// Under the names that every exporter gives them.
fn of_the_process(registry: &mut Registry, state: &State) {
    let started = state.operation.started.millis() / 1000;
    let help = "When the daemon was started, since 1970";
    with_unit(registry, "start_time", help, Unit::Seconds, started);
    if let Some(bytes) = resident() {
        with_unit(registry, "resident_memory", "Memory that the daemon holds", Unit::Bytes, bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        gauge(registry, "open_fds", "Descriptors that the daemon holds", number(open.count()));
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// As the kernel tells it, in KiB.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}
