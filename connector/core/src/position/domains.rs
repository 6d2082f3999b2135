//! GTIDs of MariaDB: a domain, the server that ran the transaction, and a number that grows within the domain
//! (MariaDB documentation, "Global Transaction ID").

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::PositionError;

/// The identity of one transaction of MariaDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MariadbGtid {
    /// Transactions of one domain are in the same order on all servers.
    pub domain: u32,
    /// `server_id` of the server that ran it first.
    pub server_id: u32,
    /// Its number.
    pub sequence: u64,
}

impl fmt::Display for MariadbGtid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            domain,
            server_id,
            sequence,
        } = self;
        write!(out, "{domain}-{server_id}-{sequence}")
    }
}

impl FromStr for MariadbGtid {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let read = || {
            let mut numbers = text.trim().splitn(3, '-');
            Some(Self {
                domain: numbers.next()?.parse().ok()?,
                server_id: numbers.next()?.parse().ok()?,
                sequence: numbers.next()?.parse().ok()?,
            })
        };
        read().ok_or_else(|| PositionError::GtidPos(text.to_owned()))
    }
}

/// The last transaction of each domain before a place, as `gtid_binlog_pos` and `slave_connect_state` name places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GtidPos {
    domains: BTreeMap<u32, MariadbGtid>,
}

impl GtidPos {
    /// Moves past a transaction.
    pub fn advance(&mut self, gtid: MariadbGtid) {
        self.domains.insert(gtid.domain, gtid);
    }

    /// The last transaction of each domain, in the order of domains.
    pub fn gtids(&self) -> impl Iterator<Item = &MariadbGtid> {
        self.domains.values()
    }

    /// Those that a server lacks whose binlog had the transactions of `state`: the last one of each server in each domain
    /// (`gtid_binlog_state`).
    #[must_use]
    pub fn unknown_to(&self, state: &[MariadbGtid]) -> Self {
        let is_known = |gtid: &MariadbGtid| {
            let mut of_its_server = state
                .iter()
                .filter(|last| (last.domain, last.server_id) == (gtid.domain, gtid.server_id));
            of_its_server.any(|last| last.sequence >= gtid.sequence)
        };
        let mut unknown = self.clone();
        unknown.domains.retain(|_, gtid| !is_known(gtid));
        unknown
    }

    /// What the other place has, and this one is before, by number.
    #[must_use]
    pub fn before(&self, other: &Self) -> Self {
        let mut missing = other.clone();
        let is_reached = |gtid: &MariadbGtid| {
            let own = self.domains.get(&gtid.domain);
            own.is_some_and(|own| own.sequence >= gtid.sequence)
        };
        missing.domains.retain(|_, gtid| !is_reached(gtid));
        missing
    }

    /// The later one of both in each domain, by number.
    #[must_use]
    pub fn later_of(&self, other: &Self) -> Self {
        let mut later = self.clone();
        for gtid in other.domains.values() {
            let known = later.domains.entry(gtid.domain).or_insert(*gtid);
            if gtid.sequence > known.sequence {
                *known = *gtid;
            }
        }
        later
    }

    /// True if no transaction is before the place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }
}

/// The GTIDs in a text such as `gtid_binlog_state`, which may have several of one domain.
///
/// # Errors
/// [`PositionError::GtidPos`]
pub fn gtids(text: &str) -> Result<Vec<MariadbGtid>, PositionError> {
    let parts = text.split(',').map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(str::parse)
        .collect()
}

impl fmt::Display for GtidPos {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, gtid) in self.domains.values().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(out, "{comma}{gtid}")?;
        }
        Ok(())
    }
}

impl FromStr for GtidPos {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let mut pos = Self::default();
        for gtid in gtids(text)? {
            if pos.domains.insert(gtid.domain, gtid).is_some() {
                return Err(PositionError::GtidPos(text.to_owned()));
            }
        }
        Ok(pos)
    }
}

impl Serialize for GtidPos {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GtidPos {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_print_as_the_server_prints_them() {
        for (given, printed) in [
            ("", ""),
            ("0-1-5", "0-1-5"),
            (" 1-2-3,\n0-1-5", "0-1-5,1-2-3"),
            (
                "4294967295-4294967295-18446744073709551615",
                "4294967295-4294967295-18446744073709551615",
            ),
        ] {
            assert_eq!(given.parse::<GtidPos>().unwrap().to_string(), printed);
        }
        for wrong in [
            "x",
            "0-1",
            "0-1-5-6",
            "0-1--5",
            "4294967296-1-1",
            "0-1-5,0-2-6",
        ] {
            assert!(wrong.parse::<GtidPos>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_domain_has_one_last_transaction_whoever_ran_it() {
        let mut pos: GtidPos = "0-1-5,1-1-9".parse().unwrap();
        pos.advance("0-2-6".parse().unwrap());
        pos.advance("2-2-1".parse().unwrap());
        // Out of order, where the server allows it (gtid_strict_mode=OFF).
        pos.advance("1-3-4".parse().unwrap());
        assert_eq!(pos.to_string(), "0-2-6,1-3-4,2-2-1");
    }

    #[test]
    fn places_are_compared_domain_by_domain() {
        for (one, other, before, later) in [
            ("", "", "", ""),
            ("0-1-5", "0-2-7", "0-2-7", "0-2-7"),
            ("0-1-5", "0-2-5", "", "0-1-5"),
            ("0-1-5,1-1-3", "0-1-4,2-1-9", "2-1-9", "0-1-5,1-1-3,2-1-9"),
        ] {
            let [one, other]: [GtidPos; 2] = [one, other].map(|text| text.parse().unwrap());
            assert_eq!(one.before(&other).to_string(), before);
            assert_eq!(one.later_of(&other).to_string(), later);
        }
    }

    #[test]
    fn what_a_server_has_is_known_by_the_last_one_of_each_server() {
        let unknown = |pos: &str, state: &str| {
            let pos: GtidPos = pos.parse().unwrap();
            pos.unknown_to(&gtids(state).unwrap()).to_string()
        };
        for (pos, state, expected) in [
            ("", "", ""),
            ("0-1-5", "0-1-5", ""),
            ("0-1-5", "0-1-7,0-2-9", ""),
            ("0-2-5", "0-1-7,0-2-4", "0-2-5"),
            ("0-1-5,1-1-5", "0-1-5", "1-1-5"),
            ("0-3-5", "0-1-7", "0-3-5"),
            ("0-1-5", "", "0-1-5"),
        ] {
            assert_eq!(unknown(pos, state), expected, "{pos} on {state}");
        }
    }
}
