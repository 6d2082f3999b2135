//! The collations of MySQL, by name.
//!
//! `collations.tsv` is the server's own list (`information_schema.COLLATIONS` and `CHARACTER_SETS` of 8.0): number, name,
//! character set, bytes of its longest character, and whether it is the default of its character set.

use super::{Dialect, Environment};

/// A collation, as far as a definition needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Collation {
    pub(super) number: u64,
    /// Bytes of the longest character.
    pub(super) longest: u16,
}

/// The collation `binary`, which stands for bytes without any character set.
pub(super) const BINARY: u64 = 63;

const LIST: &str = include_str!("collations.tsv");

struct Entry {
    collation: Collation,
    name: &'static str,
    charset: &'static str,
    is_default: bool,
}

fn entries() -> impl Iterator<Item = Entry> {
    LIST.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        Some(Entry {
            collation: Collation {
                number: fields.next()?.parse().ok()?,
                longest: fields.next()?.parse().ok()?,
            },
            charset: fields.next()?,
            name: fields.next()?,
            is_default: fields.next()? == "Yes",
        })
    })
}

/// `utf8` is another name of `utf8mb3`, in names of collations too.
fn full_name(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("utf8") {
        Some("") => "utf8mb3".to_owned(),
        Some(rest) if rest.starts_with('_') => format!("utf8mb3{rest}"),
        Some(_) | None => name,
    }
}

/// The name of a collation.
pub(crate) fn collation_name(number: u64) -> Option<&'static str> {
    let mut entries = entries();
    let entry = entries.find(|entry| entry.collation.number == number)?;
    Some(entry.name)
}

impl Collation {
    pub(super) fn of_number(number: u64) -> Option<Self> {
        entries()
            .find(|entry| entry.collation.number == number)
            .map(|entry| entry.collation)
    }

    /// The collation of a name. MariaDB has some of its own, which are not known here.
    pub(super) fn named(name: &str, _dialect: Dialect) -> Option<Self> {
        let name = full_name(name);
        entries()
            .find(|entry| entry.name == name)
            .map(|entry| entry.collation)
    }

    /// The default collation of a character set.
    pub(super) fn of_charset(charset: &str, environment: &Environment) -> Option<Self> {
        let charset = full_name(charset);
        if charset == "utf8mb4" {
            let chosen = environment
                .utf8mb4_collation
                .or(environment.dialect.utf8mb4_collation);
            return Self::of_number(chosen?);
        }
        let mut entries = entries();
        entries
            .find(|entry| entry.charset == charset && entry.is_default)
            .map(|entry| entry.collation)
    }

    /// True for those of UTF-8.
    pub(super) fn is_utf8(self) -> bool {
        let own = entries().find(|entry| entry.collation.number == self.number);
        own.is_some_and(|entry| entry.charset.starts_with("utf8mb"))
    }

    /// The collation of the same character set that compares bytes.
    pub(super) fn by_bytes(self, dialect: Dialect) -> Option<Self> {
        let own = entries().find(|entry| entry.collation.number == self.number)?;
        Self::named(&format!("{}_bin", own.charset), dialect)
    }
}
