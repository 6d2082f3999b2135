//! The collations of MySQL, by name.
//!
//! `collations.tsv` is the server's own list (`information_schema.COLLATIONS` and `CHARACTER_SETS` of 8.0): number, name,
//! character set, bytes of its longest character, and whether it is the default of its character set.
//! `collations_mariadb.tsv` has those that MariaDB has beside them (`COLLATION_CHARACTER_SET_APPLICABILITY` of 11.8), without
//! the 920 of `uca1400`, whose numbers follow a rule.

use super::{Dialect, Environment, NotUnderstood};

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
const LIST_OF_MARIADB: &str = include_str!("collations_mariadb.tsv");

struct Entry {
    collation: Collation,
    name: &'static str,
    charset: &'static str,
    is_default: bool,
}

fn entries() -> impl Iterator<Item = Entry> {
    entries_of(LIST)
}

fn entries_of(list: &'static str) -> impl Iterator<Item = Entry> {
    list.lines().filter_map(|line| {
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

fn entry(number: u64) -> Option<Entry> {
    let mut entries = entries().chain(entries_of(LIST_OF_MARIADB));
    entries.find(|entry| entry.collation.number == number)
}

/// The name of a collation.
pub(crate) fn collation_name(number: u64) -> Option<String> {
    match Uca1400::of_number(number) {
        Some(uca1400) => uca1400.name(),
        None => Some(entry(number)?.name.to_owned()),
    }
}

impl Collation {
    pub(super) fn of_number(number: u64) -> Option<Self> {
        match Uca1400::of_number(number) {
            Some(uca1400) => Some(uca1400.collation()),
            None => Some(entry(number)?.collation),
        }
    }

    /// The collation of a name.
    pub(super) fn named(name: &str, dialect: Dialect) -> Option<Self> {
        let name = full_name(name);
        if dialect.is_mariadb {
            if let Some(uca1400) = Uca1400::named(&name) {
                return Some(uca1400.collation());
            }
            // Some names stand for other numbers there.
            let mut own = entries_of(LIST_OF_MARIADB);
            if let Some(entry) = own.find(|entry| entry.name == name) {
                return Some(entry.collation);
            }
        }
        entries()
            .find(|entry| entry.name == name)
            .map(|entry| entry.collation)
    }

    /// The collation of a name, or the default of a character set. MariaDB's `uca1400_ai_ci` is of each character set of
    /// Unicode; `standard` has that which is meant if none is said.
    pub(super) fn chosen(
        collation: Option<&str>,
        charset: Option<&str>,
        standard: Option<Self>,
        environment: &Environment,
    ) -> Result<Option<Self>, NotUnderstood> {
        let dialect = environment.dialect;
        let found = match (collation, charset) {
            (Some(name), _) if dialect.is_mariadb && is_of_several(name) => {
                let charset = match charset {
                    Some(charset) => Some(full_name(charset)),
                    None => standard.and_then(Self::charset),
                };
                charset.and_then(|charset| Self::named(&format!("{charset}_{name}"), dialect))
            }
            (Some(name), _) => Self::named(name, dialect),
            (None, Some(charset)) => Self::of_charset(charset, environment),
            (None, None) => return Ok(standard),
        };
        let unknown = NotUnderstood("a collation is not known");
        found.map(Some).ok_or(unknown)
    }

    fn charset(self) -> Option<String> {
        match Uca1400::of_number(self.number) {
            Some(uca1400) => Some(uca1400.charset.to_owned()),
            None => Some(entry(self.number)?.charset.to_owned()),
        }
    }

    /// The default collation of a character set.
    pub(super) fn of_charset(charset: &str, environment: &Environment) -> Option<Self> {
        let charset = full_name(charset);
        let compiled = match charset.as_str() {
            "utf8mb4" => environment
                .utf8mb4_collation
                .unwrap_or(environment.dialect.utf8mb4_collation),
            _ => {
                let mut entries = entries();
                let default = entries.find(|entry| entry.charset == charset && entry.is_default)?;
                default.collation.number
            }
        };
        let mut chosen = environment.charset_collations.iter();
        let chosen = chosen.find(|(of, _)| u64::from(*of) == compiled);
        Self::of_number(chosen.map_or(compiled, |(_, number)| u64::from(*number)))
    }

    /// True for those of UTF-8.
    pub(super) fn is_utf8(self) -> bool {
        self.charset()
            .is_some_and(|charset| charset.starts_with("utf8mb"))
    }

    /// The collation of the same character set that compares bytes.
    pub(super) fn by_bytes(self, dialect: Dialect) -> Option<Self> {
        Self::named(&format!("{}_bin", self.charset()?), dialect)
    }
}

/// True for a name that lacks its character set.
fn is_of_several(name: &str) -> bool {
    name.get(..8)
        .is_some_and(|begin| begin.eq_ignore_ascii_case("uca1400_"))
}

/// A collation of MariaDB for one of the character sets of Unicode: `utf8mb4_uca1400_german2_nopad_as_ci`.
struct Uca1400 {
    number: u64,
    charset: &'static str,
    longest: u16,
}

/// Each has 256 numbers, from this one on.
const UCA1400: u64 = 2048;
const UCA1400_CHARSETS: [(&str, u16); 5] = [
    ("utf8mb3", 3),
    ("utf8mb4", 4),
    ("ucs2", 2),
    ("utf16", 4),
    ("utf32", 4),
];
/// Each has eight numbers, whose bits are `cs`, `as` and `nopad`. Some places are empty.
const UCA1400_LANGUAGES: [&str; 25] = [
    "",
    "icelandic",
    "latvian",
    "romanian",
    "slovenian",
    "polish",
    "estonian",
    "spanish",
    "swedish",
    "turkish",
    "czech",
    "danish",
    "lithuanian",
    "slovak",
    "spanish2",
    "roman",
    "persian",
    "esperanto",
    "hungarian",
    "sinhala",
    "german2",
    "?",
    "?",
    "vietnamese",
    "croatian",
];

impl Uca1400 {
    fn of_number(number: u64) -> Option<Self> {
        let place = usize::try_from(number.checked_sub(UCA1400)? / 256).ok()?;
        let (charset, longest) = UCA1400_CHARSETS.get(place)?;
        Some(Self {
            number,
            charset,
            longest: *longest,
        })
    }

    fn named(name: &str) -> Option<Self> {
        let (charset, rest) = name.split_once("_uca1400")?;
        let place = (UCA1400_CHARSETS.iter()).position(|(name, _)| *name == charset)?;
        let (rest, is_cs) = match (rest.strip_suffix("_cs"), rest.strip_suffix("_ci")) {
            (Some(rest), _) => (rest, true),
            (None, rest) => (rest?, false),
        };
        let (rest, is_as) = match (rest.strip_suffix("_as"), rest.strip_suffix("_ai")) {
            (Some(rest), _) => (rest, true),
            (None, rest) => (rest?, false),
        };
        let (language, is_nopad) = match rest.strip_suffix("_nopad") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let language = match language {
            "" => "",
            named => named.strip_prefix('_')?,
        };
        let mut languages = UCA1400_LANGUAGES.iter();
        let language = languages.position(|name| *name == language)?;
        let bits = u64::from(is_cs) | u64::from(is_as) << 1 | u64::from(is_nopad) << 2;
        let place = u64::try_from(place * 256 + language * 8).ok()?;
        Self::of_number(UCA1400 + place + bits)
    }

    fn name(&self) -> Option<String> {
        let place = self.number % 256;
        let language = UCA1400_LANGUAGES.get(usize::try_from(place / 8).ok()?)?;
        let separator = if language.is_empty() { "" } else { "_" };
        let nopad = if place & 4 != 0 { "_nopad" } else { "" };
        let accents = if place & 2 != 0 { "as" } else { "ai" };
        let case = if place & 1 != 0 { "cs" } else { "ci" };
        let charset = self.charset;
        Some(format!(
            "{charset}_uca1400{separator}{language}{nopad}_{accents}_{case}"
        ))
    }

    fn collation(&self) -> Collation {
        Collation {
            number: self.number,
            longest: self.longest,
        }
    }
}
