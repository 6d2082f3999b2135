//! UUID, INET4 and INET6 of MariaDB: in the binlog like a BINARY of 16, 4 and 16 bytes, whose zero bytes at the end are
//! left out. Avro gets the text that SELECT shows.
//!
//! Which of them a column is, or whether it is just bytes, no table map says. Format: MariaDB source,
//! `plugin/type_uuid/sql_type_uuid.h`, `plugin/type_inet/sql_type_inet.cc`.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::ValueError;
use super::text::Packing;
use crate::avro::binary::write_bytes;
use crate::input::Input;
use crate::position::Uuid;

/// A type of identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Identifier {
    /// UUID.
    Uuid,
    /// INET4.
    Inet4,
    /// INET6.
    Inet6,
}

impl Identifier {
    /// The type of a name in SQL.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "uuid" => Some(Self::Uuid),
            "inet4" => Some(Self::Inet4),
            "inet6" => Some(Self::Inet6),
            _ => None,
        }
    }

    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Inet4 => "inet4",
            Self::Inet6 => "inet6",
        }
    }

    /// Bytes of a value.
    pub(crate) fn bytes(self) -> u16 {
        match self {
            Self::Uuid | Self::Inet6 => 16,
            Self::Inet4 => 4,
        }
    }

    /// What a column gets that has no default.
    pub(super) fn implicit_default(self) -> String {
        self.text([0; 16])
    }

    /// The text of bytes, of which INET4 has the first four.
    fn text(self, bytes: [u8; 16]) -> String {
        match self {
            Self::Uuid => Uuid(bytes).to_string(),
            Self::Inet4 => {
                let [a, b, c, d, ..] = bytes;
                Ipv4Addr::new(a, b, c, d).to_string()
            }
            Self::Inet6 => inet6(bytes),
        }
    }

    pub(super) fn copy(self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let packed = Packing::Char(self.bytes()).take(input)?;
        if packed.len() > usize::from(self.bytes()) {
            return Err(ValueError::TooLong);
        }
        let mut bytes = [0; 16];
        for (byte, packed) in bytes.iter_mut().zip(packed) {
            *byte = *packed;
        }
        write_bytes(out, self.text(bytes).as_bytes());
        Ok(())
    }
}

/// An address as the server shows it: the first of the longest runs of zeros is left out, even a single zero, and an address
/// that holds one of version 4 ends with it (MariaDB source, `sql/item_inetfunc.cc`, `ipv6_to_str`).
fn inet6(bytes: [u8; 16]) -> String {
    let groups = Ipv6Addr::from(bytes).segments();
    let run = |start: usize| {
        let rest = groups.iter().skip(start);
        rest.take_while(|group| **group == 0).count()
    };
    // Of equal runs the first: `max_by_key` would take the last.
    let starts = (0..groups.len()).rev();
    let start = starts.max_by_key(|start| run(*start)).unwrap_or(0);
    let length = run(start);
    if start == 0 && (length == 6 || (length == 5 && groups.get(5) == Some(&0xffff))) {
        let [.., a, b, c, d] = bytes;
        let mark = if length == 6 { "" } else { "ffff:" };
        return format!("::{mark}{}", Ipv4Addr::new(a, b, c, d));
    }
    let text = |groups: &mut dyn Iterator<Item = &u16>| {
        let texts: Vec<String> = groups.map(|group| format!("{group:x}")).collect();
        texts.join(":")
    };
    if length == 0 {
        return text(&mut groups.iter());
    }
    let before = text(&mut groups.iter().take(start));
    let behind = text(&mut groups.iter().skip(start + length));
    format!("{before}::{behind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_as_mariadb_shows_it() {
        // As 11.8 shows them.
        for shown in [
            "::1.2.3.4",
            "::ffff:1.2.3.4",
            "::0.1.0.2",
            "::2",
            "0:0:1::",
            "1:0:0:2::3",
            "1::2:3:4:5:6:7",
            "1::2:0:0:3:4",
            "::ffff:0:1:2",
            "::1:0:0",
            "::ffff:0.0.0.1",
            "::0.1.0.0",
            "::",
            "1:2:3:4:5:6:7:8",
            "2001:db8::ff",
            "1::",
        ] {
            let address: Ipv6Addr = shown.parse().unwrap();
            assert_eq!(inet6(address.octets()), shown);
        }
    }
}
