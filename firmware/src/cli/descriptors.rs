//! Descriptors: as many as the system lets the daemon have, and no more connections than they carry.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::config::Limits;

/// Descriptors for everything but connections: the store, readers, logs, files on their way in and out.
const OTHERS: u64 = 256;

/// Raises the limit of descriptors where the connections need it, and lowers theirs where that does not help.
pub(super) fn fit(limits: &mut Limits) {
    let needed = limits.connections as u64 + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    let enough = |limit: &Rlimit| limit.current.is_none_or(|current| current >= needed);
    if !enough(&limit)
        && let Err(why) =
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        warn!(%why, "the limit of descriptors cannot be raised");
    }
    let limit = getrlimit(Resource::Nofile);
    if !enough(&limit) {
        let carried = carried(limit.current.unwrap_or(u64::MAX));
        warn!(
            connections = limits.connections,
            carried, "fewer connections than configured: the system gives too few descriptors (LimitNOFILE)"
        );
        limits.connections = carried;
    }
}

/// Connections that so many descriptors carry: a few in any case.
fn carried(descriptors: u64) -> usize {
    usize::try_from(descriptors.saturating_sub(OTHERS).max(descriptors / 4).max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_left_to_the_rest_and_some_connections_are_always_possible() {
        assert_eq!((carried(1024), carried(300), carried(0)), (768, 75, 1));
    }

    #[test]
    fn connections_that_no_system_carries_are_fewer_and_others_as_they_were() {
        let mut limits = Limits { connections: 8, ..Limits::default() };
        fit(&mut limits);
        assert_eq!(limits.connections, 8);
        let mut limits = Limits { connections: usize::MAX >> 8, ..Limits::default() };
        fit(&mut limits);
        assert!(limits.connections >= 1);
        let there = getrlimit(Resource::Nofile).current;
        assert!(there.is_none_or(|there| (limits.connections as u64) < there));
    }
}
