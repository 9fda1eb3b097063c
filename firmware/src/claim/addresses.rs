//! The addresses that this machine has in its networks, as the kernel lists them.
//!
//! Invariant: never fails; what cannot be read is left out, and somebody else has to know it.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Addresses that others can reach this machine by, those of IPv4 first.
#[must_use]
pub fn of_this_machine() -> Vec<IpAddr> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut found: BTreeSet<IpAddr> = version_4(&read("/proc/net/fib_trie")).map(IpAddr::V4).collect();
    found.extend(version_6(&read("/proc/net/if_inet6")).map(IpAddr::V6));
    found.into_iter().collect()
}

/// In the trie of routes, an address of ours is followed by its kind.
fn version_4(trie: &str) -> impl Iterator<Item = Ipv4Addr> {
    let mut last = None;
    trie.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
            return None;
        }
        last.filter(|address| line == "/32 host LOCAL" && !address.is_loopback())
    })
}

/// Address, interface, prefix, scope, flags, name; scope 0 is everywhere.
fn version_6(list: &str) -> impl Iterator<Item = Ipv6Addr> {
    list.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (address, scope) = (fields.next()?, fields.nth(2)?);
        let address = u128::from_str_radix(address, 16).ok().map(Ipv6Addr::from)?;
        (scope == "00" && !address.is_loopback()).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &str = "Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     +-- 192.168.1.0/24 2 0 2
        |-- 192.168.1.0
           /24 link UNICAST
        |-- 192.168.1.5
           /32 host LOCAL
        |-- 192.168.1.255
           /32 link BROADCAST
";
    const LIST: &str = "00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000ba27ebfffe000001 02 40 20 80     eth0
20010db8000000000000000000000005 02 40 00 00     eth0
";

    #[test]
    fn only_addresses_that_others_reach_are_taken() {
        assert_eq!(version_4(TRIE).collect::<Vec<_>>(), [Ipv4Addr::new(192, 168, 1, 5)]);
        let expected: Ipv6Addr = "2001:db8::5".parse().unwrap();
        assert_eq!(version_6(LIST).collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn lists_of_another_form_give_nothing() {
        for text in ["", "x", "|-- \n/32 host LOCAL", "zz 02 40 00 00 eth0\n1"] {
            assert_eq!((version_4(text).count(), version_6(text).count()), (0, 0), "{text}");
        }
        let _ = of_this_machine();
    }
}
