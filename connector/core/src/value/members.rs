//! ENUM and SET: numbers in the binlog, names in Avro.
//!
//! An ENUM is the number of its member, counted from 1; 0 is the empty text that the server stores for a value which is
//! none (MySQL manual, "The ENUM Type"). A SET is a bit for each member. The names come with the table map, in the
//! column's character set.

use std::collections::HashMap;

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
        members: Vec<Member>,
    },
    /// SET.
    Set {
        /// Size in bytes: 1 to 8.
        bytes: u8,
        /// The names.
        members: Vec<Member>,
    },
}

/// The name of a member. Values that have another member are not concerned by one that cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Member {
    /// A text.
    Text(String),
    /// Bytes that are not text of the column's character set.
    NotText {
        /// Text with U+FFFD in their place.
        replaced: String,
    },
    /// The server's description may not have it whole.
    Lost {
        /// What it showed.
        shown: String,
    },
}

impl From<String> for Member {
    fn from(name: String) -> Self {
        Self::Text(name)
    }
}

impl Member {
    /// The name as nearly as it is known: for texts about the column, never for its values.
    fn nearly(&self) -> &str {
        match self {
            Self::Text(name) | Self::NotText { replaced: name } | Self::Lost { shown: name } => {
                name
            }
        }
    }

    fn name(&self) -> Result<&str, ValueError> {
        match self {
            Self::Text(name) => Ok(name),
            Self::NotText { .. } => Err(ValueError::Text),
            Self::Lost { .. } => Err(ValueError::LostMember),
        }
    }
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

    /// The type with U+FFFD where a name is not text; with `even_lost`, also with what the server showed.
    pub(super) fn replaced(&self, even_lost: bool) -> Self {
        let replaced = |member: &Member| match member {
            Member::NotText { replaced: name } => Member::Text(name.clone()),
            Member::Lost { shown } if even_lost => Member::Text(shown.clone()),
            member @ (Member::Text(_) | Member::Lost { .. }) => member.clone(),
        };
        self.renamed(replaced)
    }

    /// The type of names that the server showed. In the place of characters that its description cannot have it shows
    /// question marks, which cannot be told from a name's own; and a name is cut off where its bytes are not text (seen in
    /// 8.0.31), which shows if two names are the same then.
    pub(crate) fn shown_by_the_server(&self) -> Self {
        let (Self::Enum { members, .. } | Self::Set { members, .. }) = self;
        let mut times = HashMap::new();
        for member in members {
            *times.entry(member.nearly()).or_insert(0) += 1;
        }
        let is_doubtful = |shown: &str| shown.contains('?') || times.get(shown) != Some(&1);
        let doubted = |member: &Member| match member {
            Member::Text(shown) if is_doubtful(shown) => Member::Lost {
                shown: shown.clone(),
            },
            Member::Text(_) | Member::NotText { .. } | Member::Lost { .. } => member.clone(),
        };
        self.renamed(doubted)
    }

    /// A name that the server's description may not have whole.
    #[must_use]
    pub fn lost(&self) -> Option<&str> {
        let (Self::Enum { members, .. } | Self::Set { members, .. }) = self;
        members.iter().find_map(|member| match member {
            Member::Lost { shown } => Some(shown.as_str()),
            Member::Text(_) | Member::NotText { .. } => None,
        })
    }

    /// Takes names that the server cannot show, or not as they are, from where they are whole.
    pub(crate) fn complete(&mut self, whole: &Self) {
        let (Self::Enum { members, .. } | Self::Set { members, .. }) = self;
        let (Self::Enum { members: whole, .. } | Self::Set { members: whole, .. }) = whole;
        for (member, whole) in members.iter_mut().zip(whole) {
            let is_shown_otherwise = matches!(whole, Member::NotText { .. });
            if is_shown_otherwise || matches!(member, Member::Lost { .. }) {
                member.clone_from(whole);
            }
        }
    }

    fn renamed(&self, renamed: impl Fn(&Member) -> Member) -> Self {
        match self {
            Self::Enum { bytes, members } => Self::Enum {
                bytes: *bytes,
                members: members.iter().map(renamed).collect(),
            },
            Self::Set { bytes, members } => Self::Set {
                bytes: *bytes,
                members: members.iter().map(renamed).collect(),
            },
        }
    }

    pub(super) fn sql(&self) -> String {
        let (name, members) = match self {
            Self::Enum { members, .. } => ("enum", members),
            Self::Set { members, .. } => ("set", members),
        };
        let quoted: Vec<String> = members
            .iter()
            .map(|member| format!("'{}'", member.nearly().replace('\'', "''")))
            .collect();
        format!("{name}({})", quoted.join(","))
    }

    pub(super) fn avro(&self) -> Value {
        match self {
            Self::Enum { .. } => Value::from("string"),
            Self::Set { .. } => serde_json::json!({"type": "array", "items": "string"}),
        }
    }

    /// Of an ENUM that is NOT NULL the first member; an empty text, as of the number 0, if it cannot be told.
    pub(super) fn implicit_default(&self) -> Value {
        match self {
            Self::Enum { members, .. } => {
                let first = members.first().and_then(|first| first.name().ok());
                Value::from(first.unwrap_or_default())
            }
            Self::Set { .. } => Value::Array(Vec::new()),
        }
    }

    pub(super) fn literal_default(&self, text: &str) -> Option<Value> {
        let is_member =
            |members: &[Member], name: &str| members.iter().any(|known| known.name() == Ok(name));
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
                    number => members.get(number - 1).ok_or(ValueError::Member)?.name()?,
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
fn write_set(bits: u64, members: &[Member], out: &mut Vec<u8>) -> Result<(), ValueError> {
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
            write_bytes(out, name.name()?.as_bytes());
        }
    }
    out.push(0);
    Ok(())
}

fn names(raw: &[Vec<u8>], collation: Option<u64>) -> Result<Vec<Member>, UnsupportedType> {
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
    Ok(raw.iter().map(|bytes| name(charset, bytes)).collect())
}

/// The server itself makes names that are not text, by CONVERT TO CHARACTER SET on a table in latin1 (seen in 8.0.31).
fn name(charset: Charset, bytes: &[u8]) -> Member {
    match charset.decode(bytes) {
        Ok(name) => Member::Text(name),
        Err(_) => Member::NotText {
            replaced: charset.decode_replaced(bytes),
        },
    }
}
