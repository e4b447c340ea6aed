//! Which hosts and addresses outside AWS Handset may call.
//!
//! Workspaces choose URLs that are called from inside the functions. Without a rule such a URL could reach
//! anything that the functions can reach. So a URL must name a public host, and the connection must go to a
//! public address.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most bytes of a URL.
pub const URL_LIMIT: usize = 2 * 1024;

/// True for an address of the public internet. False for loopback, private, link-local, shared (CGNAT),
/// multicast, unspecified, reserved and documentation addresses, for the cloud metadata addresses, and for IPv6
/// forms of any of these (mapped, 6to4, NAT64).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// IANA's registry of special-purpose IPv4 addresses, as networks and prefix lengths, and Azure's metadata address.
const SPECIAL_V4: [(Ipv4Addr, u32); 17] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(192, 175, 48, 0), 24),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let within = |(network, bits): &(Ipv4Addr, u32)| {
        let free = 32 - bits;
        u64::from(address.to_bits()) >> free == u64::from(network.to_bits()) >> free
    };
    !SPECIAL_V4.iter().any(within)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match [a, b, c, d, e, f] {
        // ::ffff:0:0/96, mapped; 64:ff9b::/96, NAT64: both lead to the IPv4 address within.
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => is_public_v4(v4(g, h)),
        // 2002::/16, 6to4: leads to the IPv4 address within.
        [0x2002, ..] => is_public_v4(v4(b, c)),
        // 2001::/23: protocols of the IETF, Teredo among them. 2001:db8::/32 and 3fff::/20: documentation.
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // 2000::/3 is all that was ever given out.
        _ => a >> 13 == 1,
    }
}

/// The "bad ports" of the Fetch standard (WHATWG, "Port blocking"): ports of other protocols, whose servers may
/// take an HTTP request for commands of their own.
const BLOCKED_PORTS: [u16; 82] = [
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
    111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
    540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
    6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// Which addresses outgoing calls may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EgressPolicy {
    /// The public internet only.
    #[default]
    Public,
    /// Also this machine's loopback addresses, and plain http to them: for local development. No function's
    /// environment can select it.
    Loopback,
}

impl EgressPolicy {
    /// True if a name that resolves to these addresses may be called.
    #[must_use]
    pub fn allows(self, addresses: &[IpAddr]) -> bool {
        let loopback = self == Self::Loopback && addresses.iter().all(IpAddr::is_loopback);
        loopback || addresses.iter().all(|address| is_public(*address))
    }

    /// Parses and checks a URL that is to be called. See [`read_url`].
    ///
    /// # Errors
    /// As [`read_url`].
    pub fn read_url(self, url: &str) -> Result<Host, (&'static str, String)> {
        if self == Self::Loopback {
            let found = parse_host(&to_https(url));
            if let Ok(host) = found
                && host.is_loopback()
            {
                return host.with_allowed_port();
            }
        }
        read_url(url)
    }
}

/// Parses a URL that is to be called, and gives its host in lower case with its port; or a stable error code
/// and a sentence.
///
/// # Errors
/// `too_long`, `invalid_format`, `not_public` for an address that is not on the public internet, or
/// `port_not_allowed` for a port of another protocol.
pub fn read_url(url: &str) -> Result<Host, (&'static str, String)> {
    let host = parse_host(url)?;
    if host.is_public() {
        host.with_allowed_port()
    } else {
        Err(("not_public", "must not be an address of a private network".to_owned()))
    }
}

/// The host of a URL, whether or not it may be called.
#[must_use]
pub fn host_of(url: &str) -> Option<Host> {
    parse_host(&to_https(url)).ok()
}

/// True for a base URL at which the product itself can be reached: https, or http on a loopback address, and
/// nothing after the host.
#[must_use]
pub fn is_base_url(url: &str) -> bool {
    let https = to_https(url);
    let host = parse_host(&https).ok().filter(|_| !https["https://".len()..].contains(['/', '?']));
    host.is_some_and(|host| *https == *url || host.is_loopback())
}

/// The URL with https instead of http.
fn to_https(url: &str) -> Cow<'_, str> {
    match url.strip_prefix("http://") {
        Some(rest) => Cow::Owned(format!("https://{rest}")),
        None => Cow::Borrowed(url),
    }
}

fn parse_host(url: &str) -> Result<Host, (&'static str, String)> {
    let invalid = |detail: &str| Err(("invalid_format", detail.to_owned()));
    if url.len() > URL_LIMIT {
        return Err(("too_long", format!("must have at most {URL_LIMIT} bytes")));
    }
    if !url.chars().all(|c| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c)) {
        return invalid("must be a URL, with other characters percent-encoded");
    }
    let Some(rest) = url.strip_prefix("https://") else {
        return invalid("must begin with https://");
    };
    if rest.contains('#') {
        return invalid("must not have a fragment");
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return invalid("must not contain a user name or a password");
    }
    Host::read(authority).map_or_else(|| invalid("must name a host"), Ok)
}

/// A host and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Name in lower case, or IP address; an IPv6 address without brackets.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl Host {
    fn read(authority: &str) -> Option<Self> {
        let (name, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                let _valid: Ipv6Addr = address.parse().ok()?;
                (address, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
            }
            None => match authority.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            None => 443,
            Some(port) if port.bytes().all(|c| c.is_ascii_digit()) => port.parse().ok().filter(|port| *port > 0)?,
            Some(_) => return None,
        };
        let host = Self { name: name.to_ascii_lowercase(), port };
        (host.address().is_some() || is_name(&host.name)).then_some(host)
    }

    /// The IP address, if the host is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.name.parse().ok()
    }

    /// False for an IP address that is not on the public internet. A name's addresses are checked when it is
    /// resolved.
    fn is_public(&self) -> bool {
        self.address().is_none_or(is_public) && self.name != "localhost" && !self.name.ends_with(".localhost")
    }

    fn is_loopback(&self) -> bool {
        self.address().map_or(self.name == "localhost", |address| address.is_loopback())
    }

    /// The host, unless its port belongs to another protocol.
    fn with_allowed_port(self) -> Result<Self, (&'static str, String)> {
        if BLOCKED_PORTS.contains(&self.port) {
            return Err((
                "port_not_allowed",
                format!("must not use port {}, which belongs to another protocol", self.port),
            ));
        }
        Ok(self)
    }

    /// True if an allowlist contains this host, either by name or by a `*.` entry for one of its parent
    /// domains. An empty list allows every host.
    #[must_use]
    pub fn is_allowed(&self, hosts: &[String]) -> bool {
        let matches = |allowed: &String| match allowed.strip_prefix("*.") {
            Some(parent) => self.name.strip_suffix(parent).is_some_and(|child| child.len() > 1 && child.ends_with('.')),
            None => self.name == *allowed,
        };
        hosts.is_empty() || hosts.iter().any(matches)
    }
}

/// True for a valid DNS name. A last label of only digits is refused, since some parsers read it as an IP address.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253
        && name.split('.').all(label)
        && last.chars().any(|c| c.is_ascii_alphabetic())
        && !last.starts_with("0x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_called() {
        let public = [
            "8.8.8.8",
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.255.255",
            "172.32.0.0",
            "169.253.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "168.63.129.17",
            "2606:4700::1111",
            "2a00:1450:4001::200e",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ];
        let others = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.1.2.3",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2002:c0a8:101::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in others {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_url_names_a_public_host_and_no_user() {
        let host = |url: &str| read_url(url).map(|host| (host.name, host.port)).map_err(|(code, _)| code);
        let good = [
            ("https://example.com", "example.com", 443),
            ("https://HR.Example.com:8443/people?x=1", "hr.example.com", 8443),
            ("https://example.com?all", "example.com", 443),
            ("https://8.8.8.8/", "8.8.8.8", 443),
            ("https://[2606:4700::1111]:444/x", "2606:4700::1111", 444),
        ];
        for (url, name, port) in good {
            assert_eq!(host(url), Ok((name.to_owned(), port)), "{url}");
        }
        for url in [
            "http://example.com",
            "HTTPS://example.com",
            "ftp://example.com",
            "https://",
            "https:///x",
            "https://a@example.com/",
            "https://a:b@example.com/",
            "https://example.com#x",
            "https://example.com:0/",
            "https://example.com:65536/",
            "https://example.com:+1/",
            "https://example..com/",
            "https://-x.com/",
            "https://exa mple.com/",
            "https://ex\u{e4}mple.com/",
            "https://example.com\\@10.0.0.1/",
            "https://2130706433/",
            "https://127.1/",
            "https://0x7f.1/",
            "https://0x7f000001/",
            "https://[::1/",
            "https://[example.com]/",
            "https://[fe80::1%25eth0]/",
        ] {
            assert_eq!(host(url), Err("invalid_format"), "{url}");
        }
        for url in ["https://127.0.0.1/", "https://[::1]/", "https://localhost/", "https://[::ffff:10.0.0.1]/"] {
            assert_eq!(host(url), Err("not_public"), "{url}");
        }
        assert_eq!(host(&format!("https://example.com/{}", "x".repeat(URL_LIMIT))), Err("too_long"));
    }

    #[test]
    fn a_url_uses_no_port_that_another_protocol_owns() {
        let at = |port: u16| format!("https://example.com:{port}/");
        for port in [443, 80, 8080, 8443, 2222, 10_443, 65_535] {
            assert!(read_url(&at(port)).is_ok(), "{port}");
        }
        for port in [1, 21, 22, 23, 25, 53, 110, 143, 389, 465, 587, 993, 2049, 5060, 6000, 6667, 10_080] {
            let here = format!("http://127.0.0.1:{port}/");
            let refused = [
                read_url(&at(port)),
                EgressPolicy::Loopback.read_url(&at(port)),
                EgressPolicy::Loopback.read_url(&here),
            ];
            assert!(
                refused.iter().all(|read| read.as_ref().is_err_and(|(code, _)| *code == "port_not_allowed")),
                "{port}"
            );
        }
        assert!(BLOCKED_PORTS.is_sorted());
        assert_eq!(host_of("https://Example.com:25/x").map(|host| host.name).as_deref(), Some("example.com"));
    }

    #[test]
    fn the_product_is_reached_by_https_and_by_http_on_this_machine_alone() {
        for good in [
            "https://phones.example.com",
            "https://phones.example.com:8443",
            "https://10.0.0.1",
            "http://127.0.0.1:4750",
            "http://localhost",
            "http://[::1]:4750",
        ] {
            assert!(is_base_url(good), "{good}");
        }
        for bad in [
            "http://phones.example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "ftp://phones.example.com",
            "phones.example.com",
            "https://",
            "https://phones.example.com/app",
            "https://phones.example.com?x",
            "https://phones.example.com#x",
            "https://a@phones.example.com",
            "http://127.0.0.1@phones.example.com",
        ] {
            assert!(!is_base_url(bad), "{bad}");
        }
    }

    #[test]
    fn this_machines_own_addresses_are_called_only_where_that_was_switched_on() {
        let read = |reach: EgressPolicy, url: &str| reach.read_url(url).map(|host| host.name).map_err(|(code, _)| code);
        for url in ["http://127.0.0.1:4000/x", "https://127.0.0.1/", "http://[::1]:80/", "http://localhost:4100/"] {
            assert!(read(EgressPolicy::Loopback, url).is_ok(), "{url}");
            assert!(read(EgressPolicy::Public, url).is_err(), "{url}");
        }
        for url in ["http://example.com/", "http://10.0.0.1/", "http://169.254.169.254/", "http://a@127.0.0.1/"] {
            assert_eq!(read(EgressPolicy::Loopback, url), Err("invalid_format"), "{url}");
        }
        for url in ["https://10.0.0.1/", "https://169.254.169.254/", "https://[::ffff:127.0.0.1]/"] {
            assert_eq!(read(EgressPolicy::Loopback, url), Err("not_public"), "{url}");
        }
        let (here, inside, public) = (["127.0.0.1"], ["10.0.0.1"], ["8.8.8.8"]);
        let allows = |reach: EgressPolicy, found: &[&str]| {
            reach.allows(&found.iter().map(|address| address.parse().unwrap()).collect::<Vec<_>>())
        };
        assert_eq!([here, inside, public].map(|found| allows(EgressPolicy::Public, &found)), [false, false, true]);
        assert_eq!([here, inside, public].map(|found| allows(EgressPolicy::Loopback, &found)), [true, false, true]);
        for mixed in [["8.8.8.8", "127.0.0.1"], ["8.8.8.8", "10.0.0.1"]] {
            assert!(!allows(EgressPolicy::Public, &mixed) && !allows(EgressPolicy::Loopback, &mixed), "{mixed:?}");
        }
    }

    #[test]
    fn a_list_of_hosts_allows_names_and_what_is_beneath_them() {
        let allowed = |url: &str, hosts: &[&str]| {
            let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
            read_url(url).unwrap().is_allowed(&hosts)
        };
        assert!(allowed("https://example.com", &[]));
        assert!(allowed("https://Example.com", &["other.org", "example.com"]));
        assert!(allowed("https://hr.example.com", &["*.example.com"]));
        for url in ["https://example.com", "https://badexample.com", "https://example.com.evil.org"] {
            assert!(!allowed(url, &["*.example.com"]), "{url}");
        }
        assert!(!allowed("https://hr.example.com", &["example.com"]));
    }

    #[test]
    fn a_host_is_named_by_letters_digits_hyphens_and_underscores_and_has_a_length() {
        let reads = |host: &str| read_url(&format!("https://{host}/")).is_ok();
        let (label, most) = ("x".repeat(63), format!("{}com", "x.".repeat(125)));
        assert_eq!(most.len(), 253);
        for good in ["my-host.example.com", "my_host.example.com", "1.example", &format!("{label}.com"), &most] {
            assert!(reads(good), "{good}");
        }
        for bad in [
            "x-.com",
            "my+host.example.com",
            &format!("x{label}.com"),
            &format!("x{most}"),
            "example.1",
            ".com",
            "com.",
        ] {
            assert!(!reads(bad), "{bad}");
        }
        let url = |length: usize| format!("https://example.com/{}", "x".repeat(length - 20));
        assert!(read_url(&url(2048)).is_ok() && read_url(&url(2049)).is_err());
    }
}
