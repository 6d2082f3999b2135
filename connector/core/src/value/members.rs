//! ENUM and SET: numbers in the binlog, names in Avro.
//!
//! An ENUM is the number of its member, counted from 1; 0 is the empty text that the server stores for a value which is
//! none (MySQL manual, "The ENUM Type"). A SET is a bit for each member. The names come with the table map, in the
//! column's character set.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::charset::{BINARY_COLLATION, Charset};
use super::{UnsupportedType, ValueError};
use crate::avro::binary::{write_bytes, write_length};
use crate::decode::ColumnMetadata;
use crate::input::Input;

/// An ENUM or SET type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Members {
    /// ENUM.
    Enum {
        /// Size in bytes: 1 or 2.
        bytes: u8,
        /// The names.
        members: Vec<String>,
    },
    /// SET.
    Set {
        /// Size in bytes: 1 to 8.
        bytes: u8,
        /// The names.
        members: Vec<String>,
    },
}

impl Members {
    pub(super) fn from_metadata(column: &ColumnMetadata) -> Result<Self, UnsupportedType> {
        let [real_type, bytes] = column.metadata.to_le_bytes();
        let is_enum = real_type == 247;
        let Some(raw) = &column.members else {
            return Err(UnsupportedType(if is_enum {
                "ENUM of members that the binlog does not name"
            } else {
                "SET of members that the binlog does not name"
            }));
        };
        let members = names(raw, column.collation)?;
        let fits = match is_enum {
            true => matches!(bytes, 1 | 2) && members.len() < 1 << (8 * u32::from(bytes)),
            false => matches!(bytes, 1..=8) && members.len() <= 8 * usize::from(bytes),
        };
        match (fits, is_enum) {
            (false, _) => Err(UnsupportedType("ENUM or SET of an impossible size")),
            (true, true) => Ok(Self::Enum { bytes, members }),
            (true, false) => Ok(Self::Set { bytes, members }),
        }
    }

    pub(super) fn sql(&self) -> String {
        let (name, members) = match self {
            Self::Enum { members, .. } => ("enum", members),
            Self::Set { members, .. } => ("set", members),
        };
        let quoted: Vec<String> = members
            .iter()
            .map(|member| format!("'{}'", member.replace('\'', "''")))
            .collect();
        format!("{name}({})", quoted.join(","))
    }

    pub(super) fn avro(&self) -> Value {
        match self {
            Self::Enum { .. } => Value::from("string"),
            Self::Set { .. } => serde_json::json!({"type": "array", "items": "string"}),
        }
    }

    /// Of an ENUM that is NOT NULL the first member.
    pub(super) fn implicit_default(&self) -> Value {
        match self {
            Self::Enum { members, .. } => {
                Value::from(members.first().map_or("", |first| first.as_str()))
            }
            Self::Set { .. } => Value::Array(Vec::new()),
        }
    }

    pub(super) fn literal_default(&self, text: &str) -> Option<Value> {
        let is_member = |members: &[String], name: &str| members.iter().any(|known| known == name);
        match self {
            Self::Enum { members, .. } => is_member(members, text).then(|| Value::from(text)),
            Self::Set { .. } if text.is_empty() => Some(Value::Array(Vec::new())),
            Self::Set { members, .. } => {
                let chosen: Vec<&str> = text.split(',').collect();
                let are_all = chosen.iter().all(|name| is_member(members, name));
                are_all.then(|| Value::from(chosen))
            }
        }
    }

    #[inline]
    pub(super) fn copy(&self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        match self {
            Self::Enum { bytes, members } => {
                let number = input.little_endian(usize::from(*bytes))?;
                let name = match usize::try_from(number).unwrap_or(usize::MAX) {
                    0 => "",
                    number => members.get(number - 1).ok_or(ValueError::Member)?,
                };
                write_bytes(out, name.as_bytes());
            }
            Self::Set { bytes, members } => {
                let bits = input.little_endian(usize::from(*bytes))?;
                write_set(bits, members, out)?;
            }
        }
        Ok(())
    }
}

/// An Avro array: a block with its count, unless it is empty, and an empty block.
fn write_set(bits: u64, members: &[String], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let known = u32::try_from(members.len()).unwrap_or(u32::MAX);
    if known < u64::BITS && bits >> known != 0 {
        return Err(ValueError::Member);
    }
    let chosen = members
        .iter()
        .enumerate()
        .filter(|(number, _)| bits >> number & 1 == 1);
    if bits != 0 {
        write_length(out, usize::try_from(bits.count_ones()).unwrap_or(64));
        for (_, name) in chosen {
            write_bytes(out, name.as_bytes());
        }
    }
    out.push(0);
    Ok(())
}

fn names(raw: &[Vec<u8>], collation: Option<u64>) -> Result<Vec<String>, UnsupportedType> {
    let charset = match collation {
        // A client is given the bytes as they are; only those that are text have a place in Avro.
        Some(BINARY_COLLATION) => Charset::Utf8mb4,
        Some(number) => Charset::of_collation(number).ok_or(UnsupportedType(
            "ENUM or SET in a character set that is not known",
        ))?,
        None => {
            return Err(UnsupportedType(
                "ENUM or SET in a character set that the binlog does not name",
            ));
        }
    };
    raw.iter()
        .map(|bytes| charset.decode(bytes))
        .collect::<Result<_, _>>()
        .map_err(|_| UnsupportedType("ENUM or SET with a member that is not text"))
}
