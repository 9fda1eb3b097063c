//! Which servers a directory has, and which of them answers.
//!
//! Invariant: a server that is not there, or not what its certificate says, is passed over for the next; one that refuses the
//! account ends it, as each further try would count towards a lockout.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::RData,
};
use tokio::time::timeout;

use super::{
    DirectoryError, Protection, Settings,
    wire::{Connection, Target, tls},
};

/// How long names are looked up.
const TO_RESOLVE: Duration = Duration::from_secs(5);
/// More controllers than these are not tried at once.
const MOST: usize = 16;

/// Connects to the first that answers: the one that did last time, then the others in their order.
pub(super) async fn connect(
    settings: &Settings,
    last: &mut Option<String>,
) -> Result<Connection, DirectoryError> {
    let config = tls::config(&settings.ca)?;
    let names = Names::new(settings)?;
    let mut hosts = hosts(settings, &names).await?;
    if let Some(last) = last.as_deref() {
        // A stable sort: only the last one moves.
        hosts.sort_by_key(|(host, _)| host != last);
    }
    let mut failed: Option<DirectoryError> = None;
    for (host, port) in hosts.into_iter().take(MOST) {
        let opened = match names.addresses(&host, port).await {
            Ok(addresses) => {
                let target = Target { host: host.clone(), addresses };
                Connection::open(settings, config.clone(), &target).await
            }
            Err(why) => Err(why),
        };
        match opened {
            Ok(connection) => {
                *last = Some(host);
                return Ok(connection);
            }
            Err(why) if !passes_over(&why) => return Err(why),
            // Of several, that which an administrator can do something about is told.
            Err(why) => {
                let better = failed.as_ref().is_none_or(|first| {
                    matches!(first, DirectoryError::Unreachable(_))
                        && !matches!(why, DirectoryError::Unreachable(_))
                });
                failed = if better { Some(why) } else { failed };
            }
        }
    }
    Err(failed.unwrap_or_else(|| DirectoryError::Unreachable("none is named".into())))
}

fn passes_over(why: &DirectoryError) -> bool {
    matches!(
        why,
        DirectoryError::Unreachable(_)
            | DirectoryError::Stalled(_)
            | DirectoryError::Certificate(_)
            | DirectoryError::Expired(_)
            | DirectoryError::Protocol(_)
    )
}

/// Hosts and ports in the order in which they are tried.
async fn hosts(settings: &Settings, names: &Names) -> Result<Vec<(String, u16)>, DirectoryError> {
    let port = settings.port.unwrap_or(match settings.protection {
        Protection::Ldaps => 636,
        Protection::StartTls => 389,
    });
    if !settings.servers.is_empty() {
        return Ok(settings.servers.iter().map(|host| (host.clone(), port)).collect());
    }
    let Some(domain) = &settings.domain else {
        return Err(DirectoryError::Configuration("a directory needs `servers` or `domain`".into()));
    };
    // The port of the record is that of plain LDAP, which is never used.
    let controllers = names.controllers(domain).await?;
    Ok(controllers.into_iter().map(|host| (host, port)).collect())
}

/// Who is asked for names.
struct Names(Option<TokioResolver>);

impl Names {
    fn new(settings: &Settings) -> Result<Self, DirectoryError> {
        let failed = |why: String| DirectoryError::Configuration(format!("names cannot be looked up: {why}"));
        let builder = if !settings.name_servers.is_empty() {
            let servers = settings.name_servers.iter().copied().map(NameServerConfig::udp_and_tcp).collect();
            let config = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        } else if settings.servers.is_empty() {
            TokioResolver::builder_tokio().map_err(|why| failed(why.to_string()))?
        } else {
            return Ok(Self(None));
        };
        builder.build().map(|resolver| Self(Some(resolver))).map_err(|why| failed(why.to_string()))
    }

    async fn controllers(&self, domain: &str) -> Result<Vec<String>, DirectoryError> {
        let domain = domain.trim_end_matches('.');
        let record = format!("_ldap._tcp.dc._msdcs.{domain}.");
        let failed = |why: String| {
            DirectoryError::Unreachable(format!(
                "DNS: {record} {why}; `name-servers` can name the domain's own"
            ))
        };
        let Some(resolver) = &self.0 else { return Err(failed("is not asked for".into())) };
        let answer = match timeout(TO_RESOLVE, resolver.srv_lookup(record.as_str())).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => return Err(failed("is not there".into())),
            Err(_) => return Err(failed("has no answer".into())),
        };
        let found = answer.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => {
                let host = srv.target.to_string();
                Some((srv.priority, srv.weight, host.trim_end_matches('.').to_owned()))
            }
            _ => None,
        });
        let found: Vec<_> = found.filter(|(.., host)| lies_in(host, domain)).collect();
        if found.is_empty() {
            let why = format!(
                "names no controller in {domain}, and no others are trusted by a name that DNS gave: `servers`"
            );
            return Err(failed(why));
        }
        Ok(ordered(found, random))
    }

    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DirectoryError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let unknown = || DirectoryError::Unreachable(format!("{host}: its name is unknown"));
        let found: Vec<SocketAddr> = match &self.0 {
            Some(resolver) => {
                let name = format!("{}.", host.trim_end_matches('.'));
                let looked_up = timeout(TO_RESOLVE, resolver.lookup_ip(name)).await.map_err(|_| unknown())?;
                looked_up
                    .map_err(|_| unknown())?
                    .iter()
                    .map(|address| SocketAddr::new(address, port))
                    .collect()
            }
            None => {
                let looked_up = timeout(TO_RESOLVE, tokio::net::lookup_host((host, port))).await;
                looked_up.map_err(|_| unknown())?.map_err(|_| unknown())?.collect()
            }
        };
        if found.is_empty() { Err(unknown()) } else { Ok(found) }
    }
}

/// Whether a host is one of a domain. DNS says who gets the password, and whoever answers could name any host that has a
/// certificate of the same authority.
fn lies_in(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    host.strip_suffix(&domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// RFC 2782: the lowest priority first, within it by chance, the heavier the sooner.
fn ordered(mut records: Vec<(u16, u16, String)>, mut random: impl FnMut(u64) -> u64) -> Vec<String> {
    // In an order of their own, whoever answered.
    records.sort();
    let mut hosts = Vec::with_capacity(records.len());
    while let Some(&(first, ..)) = records.first() {
        let equals = records.iter().take_while(|(priority, ..)| *priority == first).count();
        let weight = |record: &(u16, u16, String)| u64::from(record.1) + 1;
        let mut left = random(records[..equals].iter().map(weight).sum());
        let chosen = records[..equals].iter().position(|record| {
            let here = left < weight(record);
            left = left.saturating_sub(weight(record));
            here
        });
        hosts.push(records.remove(chosen.unwrap_or_default()).2);
    }
    hosts
}

/// A number below `most`; which controller is asked needs no better chance than this.
fn random(most: u64) -> u64 {
    RandomState::new().build_hasher().finish() % most.max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn records() -> Vec<(u16, u16, String)> {
        [(10, 0, "c"), (0, 1, "a"), (0, 99, "b"), (20, 5, "d")]
            .map(|(priority, weight, host)| (priority, weight, host.to_owned()))
            .into()
    }

    #[test]
    fn a_controller_is_one_of_its_domain() {
        assert!(lies_in("DC1.corp.example", "Corp.Example") && lies_in("corp.example", "corp.example"));
        assert!(
            !lies_in("dc1.other.example", "corp.example") && !lies_in("evilcorp.example", "corp.example")
        );
    }

    #[test]
    fn controllers_are_tried_by_priority_and_weight() {
        assert_eq!(ordered(records(), |_| 0), ["a", "b", "c", "d"]);
        assert_eq!(ordered(records(), |most| most - 1), ["b", "a", "c", "d"]);
        let firsts: BTreeSet<String> = (0..200).map(|_| ordered(records(), random).remove(0)).collect();
        assert!(firsts.contains("b") && firsts.iter().all(|first| first == "a" || first == "b"));
    }
}
