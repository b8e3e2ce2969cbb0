//! Which addresses a name may stand for: none that is only reached from within, unless
//! the settings say so. Otherwise whoever controls a name could have the host call what
//! no one else can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Finds the addresses of names, and refuses private ones.
pub(super) struct PublicOnly;

/// A name stands for an address that is only reached from within.
#[derive(Debug, thiserror::Error)]
#[error(
    "its name stands for {address}, which is a private address; if that is meant, say `private = true` in its \
     [[http.allow]] in the settings file"
)]
pub(super) struct PrivateAddress {
    address: IpAddr,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses = checked(found)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// All of them, if none is private: one that is hides behind those that are not.
fn checked(found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, PrivateAddress> {
    found
        .map(|address| match is_private(address.ip()) {
            true => Err(PrivateAddress { address: address.ip() }),
            false => Ok(address),
        })
        .collect()
}

/// Whether an address is not one of the public internet's hosts.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        // This network; shared between providers; protocol assignments; benchmarks; reserved.
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] = segments {
        // An address of the old kind is inside: translated, or tunnelled.
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        return is_private_v4(Ipv4Addr::new(a, b, c, d));
    }
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        // Site-local, of old; translated within; tunnels; what is thrown away.
        || segments[0] & 0xffc0 == 0xfec0
        || segments[..3] == [0x64, 0xff9b, 1]
        || segments[..2] == [0x2001, 0]
        || segments[..4] == [0x100, 0, 0, 0]
        // Documentation; and addresses of the old kind, written the deprecated way.
        || (segments[0], segments[1]) == (0x2001, 0xdb8)
        || segments[..6] == [0; 6]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_within_are_told_from_public_ones() {
        for private in [
            "127.0.0.1",
            "127.8.9.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:a00:1::",
            "::7f00:1",
            "fec0::1",
            "64:ff9b:1::1",
            "2001::1",
            "100::1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in
            ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
        {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn one_private_address_spoils_all() {
        let socket = |address: &str| SocketAddr::new(address.parse().unwrap(), 0);
        assert!(checked([socket("1.1.1.1"), socket("1.0.0.1")].into_iter()).is_ok());
        let error = checked([socket("1.1.1.1"), socket("127.0.0.1")].into_iter()).unwrap_err();
        assert!(error.to_string().contains("stands for 127.0.0.1, which is a private address"), "{error}");
    }
}
