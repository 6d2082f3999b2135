//! Where we are in a binlog: file and offset, and what the server numbers transactions by.

mod domains;
mod gtid_set;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use domains::{GtidPos, MariadbGtid, gtids};
pub use gtid_set::{GtidSet, GtidSource, Interval, MysqlGtid};

/// A binlog file and the offset of a byte in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileOffset {
    /// The file's name, such as `binlog.000002`.
    pub file: String,
    /// Offset in bytes; an event starts or ends there.
    pub offset: u64,
}

impl FileOffset {
    /// The number at the end of the file's name; files are ordered by it, not by their text, since
    /// `binlog.1000000` follows `binlog.999999`.
    #[must_use]
    pub fn file_number(&self) -> u64 {
        self.file
            .rsplit('.')
            .next()
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0)
    }
}

impl PartialOrd for FileOffset {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FileOffset {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.file_number(), &self.file, self.offset).cmp(&(
            other.file_number(),
            &other.file,
            other.offset,
        ))
    }
}

impl fmt::Display for FileOffset {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.file, self.offset)
    }
}

/// The identity of a server, or of a group of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                out.write_str("-")?;
            }
            write!(out, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for Uuid {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let wrong = || PositionError::Uuid(text.to_owned());
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
        let mut bytes = [0; 16];
        if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(wrong());
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

/// The identity of one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Gtid {
    /// By MySQL.
    Mysql(MysqlGtid),
    /// By MariaDB.
    Mariadb(MariadbGtid),
}

impl fmt::Display for Gtid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mysql(gtid) => gtid.fmt(out),
            Self::Mariadb(gtid) => gtid.fmt(out),
        }
    }
}

/// A place between two source transactions, from which the stream can be resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Position {
    /// The server numbers transactions: the set of those before the place, and where it was last seen.
    Gtid {
        /// All transactions before the place.
        gtid_set: GtidSet,
        /// The same place as file and offset, on the server that was followed.
        #[serde(flatten)]
        at: FileOffset,
    },
    /// MariaDB: the last transaction of each domain before the place, and where it was last seen.
    Mariadb {
        /// The last transaction of each domain before the place.
        gtid_pos: GtidPos,
        /// The same place as file and offset, on the server that was followed.
        #[serde(flatten)]
        at: FileOffset,
    },
    /// The server does not number transactions.
    File {
        /// The place.
        #[serde(flatten)]
        at: FileOffset,
    },
}

impl Position {
    /// File and offset, which every position has.
    #[must_use]
    pub fn at(&self) -> &FileOffset {
        match self {
            Self::Gtid { at, .. } | Self::Mariadb { at, .. } | Self::File { at } => at,
        }
    }

    /// The set of transactions before the place, if MySQL numbers them.
    #[must_use]
    pub fn gtid_set(&self) -> Option<&GtidSet> {
        match self {
            Self::Gtid { gtid_set, .. } => Some(gtid_set),
            Self::Mariadb { .. } | Self::File { .. } => None,
        }
    }

    /// Moves past a source transaction that ended at `end`. Behind one that the server did not number only file and offset
    /// say what was before.
    pub fn advance(&mut self, end: FileOffset, gtid: Option<&Gtid>) {
        match (&mut *self, gtid) {
            (Self::Gtid { gtid_set, at }, Some(Gtid::Mysql(gtid))) => {
                gtid_set.add(gtid);
                *at = end;
            }
            (Self::Mariadb { gtid_pos, at }, Some(Gtid::Mariadb(gtid))) => {
                gtid_pos.advance(*gtid);
                *at = end;
            }
            (Self::Gtid { .. } | Self::Mariadb { .. } | Self::File { .. }, _) => {
                *self = Self::File { at: end };
            }
        }
    }

    /// Moves forward past an event outside of source transactions. A server that looks for the first
    /// transaction which is not in a GTID set may begin in an older file: that is no way back.
    pub fn observe(&mut self, end: FileOffset) {
        match self {
            Self::Gtid { at, .. } | Self::Mariadb { at, .. } | Self::File { at } => {
                if end > *at {
                    *at = end;
                }
            }
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gtid { gtid_set, at } => write!(out, "{at} (gtid set {gtid_set})"),
            Self::Mariadb { gtid_pos, at } => write!(out, "{at} (gtid position {gtid_pos})"),
            Self::File { at } => write!(out, "{at}"),
        }
    }
}

/// A position is not in the form that the server uses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PositionError {
    /// Not 32 hexadecimal digits.
    #[error("'{0}' is not a server uuid")]
    Uuid(String),
    /// Not `uuid:1-5[:tag:1-2][,…]`.
    #[error("'{0}' is not a set of GTIDs such as 3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5")]
    GtidSet(String),
    /// Not `0-1-5,1-1-7`.
    #[error("'{0}' is not a position of GTIDs such as 0-1-5,1-1-7")]
    GtidPos(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn set(text: &str) -> GtidSet {
        text.replace('A', A).parse().unwrap()
    }

    #[test]
    fn a_position_is_never_observed_backwards() {
        let at = |file: &str, offset| FileOffset {
            file: file.to_owned(),
            offset,
        };
        let here = at("binlog.000005", 100);
        for mut position in [
            Position::File { at: here.clone() },
            Position::Gtid {
                gtid_set: set("A:1-5"),
                at: here.clone(),
            },
        ] {
            for older in [
                at("binlog.000005", 99),
                at("binlog.000004", 5000),
                at("", 0),
                here.clone(),
            ] {
                position.observe(older);
                assert_eq!(position.at(), &here);
            }
            for newer in [
                at("binlog.000005", 101),
                at("binlog.000006", 4),
                at("binlog.1000000", 4),
            ] {
                position.observe(newer.clone());
                assert_eq!(position.at(), &newer);
            }
        }
    }

    #[test]
    fn files_are_ordered_by_number() {
        let at = |file: &str, offset| FileOffset {
            file: file.to_owned(),
            offset,
        };
        assert!(at("binlog.999999", 900) < at("binlog.1000000", 4));
        assert!(at("binlog.000001", 5) > at("binlog.000001", 4));
    }

    #[test]
    fn a_position_is_kept_as_json() {
        let position = Position::Gtid {
            gtid_set: set("A:1-5"),
            at: FileOffset {
                file: "binlog.000002".into(),
                offset: 1234,
            },
        };
        let text = serde_json::to_string(&position).unwrap();
        assert_eq!(
            text,
            format!(
                r#"{{"kind":"gtid","gtid_set":"{A}:1-5","file":"binlog.000002","offset":1234}}"#
            )
        );
        assert_eq!(serde_json::from_str::<Position>(&text).unwrap(), position);
    }
}
