//! The type of a column, as `information_schema.COLUMNS.COLUMN_TYPE` has it.
//!
//! Source: MySQL manual, "Data Types", "Numeric Type Syntax", "Silent Column Specification Changes"; which widths are shown:
//! MySQL 8.0.19 release notes.

use super::collations::{BINARY, Collation};
use super::parser::Parser;
use super::words::Word;
use super::{Dialect, Environment, NotUnderstood};

/// A type, before it is known which character set it has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Type {
    family: Family,
    is_unsigned: bool,
    is_zerofill: bool,
    charset: CharsetSaid,
    /// MariaDB keeps the values compressed, which its type says.
    pub(super) is_compressed: bool,
    /// `SERIAL`
    pub(super) is_serial: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Family {
    /// Name and width.
    Integer(&'static str, Option<u64>),
    /// All but sign and zeros.
    Numeric(String),
    /// Name and length in characters or bytes.
    Char(&'static str, u64),
    /// How much it may hold: one of the four names, or a length.
    Text(Result<&'static str, u64>),
    Bytes(String),
    Blob(Result<&'static str, u64>),
    Members(&'static str, Vec<String>),
    Other(String),
}

/// What is said of a character set.
#[derive(Debug, Clone, Default, PartialEq)]
struct CharsetSaid {
    charset: Option<String>,
    collation: Option<String>,
    /// The attribute `BINARY`: the collation that compares bytes.
    is_by_bytes: bool,
}

/// A type with its character set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) sql_type: String,
    pub(super) collation: Option<u64>,
}

/// A text type, and the most bytes that a value of it has.
const TEXTS: [(&str, u64); 4] = [
    ("tinytext", 255),
    ("text", 65_535),
    ("mediumtext", 16_777_215),
    ("longtext", 4_294_967_295),
];
const BLOBS: [(&str, u64); 4] = [
    ("tinyblob", 255),
    ("blob", 65_535),
    ("mediumblob", 16_777_215),
    ("longblob", 4_294_967_295),
];
/// The most bytes of a VARCHAR.
const VARCHAR_BYTES_MAX: u64 = 65_535;
const REAL_AS_FLOAT: u64 = 1;
/// How MariaDB shows that it keeps values compressed.
const COMPRESSED: &str = " /*M!100301 COMPRESSED*/";

impl Type {
    /// Reads a type with what belongs to it: sign and character set.
    pub(super) fn read(p: &mut Parser, environment: &Environment) -> Result<Self, NotUnderstood> {
        let mut charset = CharsetSaid::default();
        let family = family(p, environment, &mut charset)?;
        let mut read = Self {
            family,
            is_unsigned: false,
            is_zerofill: false,
            charset,
            is_compressed: false,
            is_serial: false,
        };
        if let Family::Other(name) = &read.family
            && name == "serial"
        {
            read.family = Family::Integer("bigint", None);
            read.is_unsigned = true;
            read.is_serial = true;
        }
        loop {
            if p.take("UNSIGNED") {
                read.is_unsigned = true;
            } else if p.take("ZEROFILL") {
                (read.is_unsigned, read.is_zerofill) = (true, true);
            } else if environment.dialect.is_mariadb && p.take("COMPRESSED") {
                read.compress(p)?;
            } else if p.take("SIGNED") {
            } else if !read.charset.read(p)? {
                return Ok(read);
            }
        }
    }

    /// Takes a collation that is named among a column's attributes.
    pub(super) fn collate(&mut self, collation: String) {
        self.charset.collation = Some(collation);
    }

    /// Behind `COMPRESSED`: `[=method]`.
    pub(super) fn compress(&mut self, p: &mut Parser) -> Result<(), NotUnderstood> {
        self.is_compressed = true;
        match p.take_sign('=') {
            true => p.name().map(drop),
            false => Ok(()),
        }
    }

    pub(super) fn is_timestamp(&self) -> bool {
        matches!(&self.family, Family::Other(name) if name.starts_with("timestamp"))
    }

    /// The type in a table of a character set.
    pub(super) fn resolve(
        &self,
        of_table: Option<Collation>,
        environment: &Environment,
    ) -> Result<Resolved, NotUnderstood> {
        let collation = || self.charset.resolve(of_table, environment);
        let (sql_type, collation) = match &self.family {
            Family::Integer(name, width) => (self.integer(name, *width, environment.dialect), None),
            Family::Numeric(name) => (format!("{name}{}", self.sign()), None),
            Family::Bytes(name) | Family::Other(name) => (name.clone(), None),
            Family::Blob(size) => (sized(*size, &BLOBS)?.to_owned(), None),
            Family::Char(name, length) => {
                let collation = collation()?;
                if *name == "varchar" && length * u64::from(collation.longest) > VARCHAR_BYTES_MAX {
                    return Err(NotUnderstood("a VARCHAR is longer than one can be"));
                }
                match collation.number == BINARY {
                    true => (
                        format!("{}({length})", name.replace("char", "binary")),
                        None,
                    ),
                    false => (format!("{name}({length})"), Some(collation.number)),
                }
            }
            Family::Text(size) => {
                let collation = collation()?;
                let bytes =
                    size.map_err(|length| length.saturating_mul(u64::from(collation.longest)));
                match collation.number == BINARY {
                    true => (sized(bytes, &TEXTS)?.replace("text", "blob"), None),
                    false => (sized(bytes, &TEXTS)?.to_owned(), Some(collation.number)),
                }
            }
            Family::Members(name, members) => {
                let collation = collation()?;
                let is_text = collation.number != BINARY;
                let is_certain = environment.has_utf8_literals && collation.is_utf8();
                let is_plain = |member: &String| {
                    let is_short = member.chars().all(|c| c <= '\u{ffff}');
                    (member.is_ascii() || (is_certain && is_short))
                        && (is_text || !member.ends_with(' '))
                };
                if !members.iter().all(is_plain) {
                    return Err(NotUnderstood("names of members may be converted"));
                }
                // Servers before 8.0 give them the collation of bytes.
                let is_told = is_text || environment.dialect.has_old_names;
                (
                    members_type(name, members),
                    is_told.then_some(collation.number),
                )
            }
        };
        let compressed = match self.is_compressed {
            true => COMPRESSED,
            false => "",
        };
        Ok(Resolved {
            sql_type: sql_type + compressed,
            collation,
        })
    }

    fn sign(&self) -> &'static str {
        match (self.is_unsigned, self.is_zerofill) {
            (_, true) => " unsigned zerofill",
            (true, false) => " unsigned",
            (false, false) => "",
        }
    }

    fn integer(&self, name: &str, width: Option<u64>, dialect: Dialect) -> String {
        let default = match (name, self.is_unsigned) {
            ("tinyint", false) => 4,
            ("tinyint", true) => 3,
            ("smallint", false) => 6,
            ("smallint", true) => 5,
            ("mediumint", false) => 9,
            ("mediumint", true) => 8,
            ("int", false) => 11,
            ("int", true) => 10,
            (_, _) => 20,
        };
        let is_boolean = name == "tinyint" && width == Some(1) && !self.is_unsigned;
        match dialect.shows_widths || self.is_zerofill || is_boolean {
            true => format!(
                "{name}({}){}",
                width.filter(|width| *width != 0).unwrap_or(default),
                self.sign()
            ),
            false => format!("{name}{}", self.sign()),
        }
    }
}

impl CharsetSaid {
    /// Reads one thing that is said of the character set, if there is one.
    fn read(&mut self, p: &mut Parser) -> Result<bool, NotUnderstood> {
        if p.take_all(&["CHARACTER", "SET"]) || p.take_all(&["CHAR", "SET"]) || p.take("CHARSET") {
            self.charset = Some(charset_name(p)?);
        } else if p.take("ASCII") {
            self.charset = Some("latin1".to_owned());
        } else if p.take("UNICODE") {
            self.charset = Some("ucs2".to_owned());
        } else if p.take("BYTE") {
            self.charset = Some("binary".to_owned());
        } else if p.take("BINARY") {
            self.is_by_bytes = true;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn resolve(
        &self,
        of_table: Option<Collation>,
        environment: &Environment,
    ) -> Result<Collation, NotUnderstood> {
        let unknown = NotUnderstood("a collation is not known");
        let (collation, charset) = (self.collation.as_deref(), self.charset.as_deref());
        let found = Collation::chosen(collation, charset, of_table, environment)?;
        let found = found.ok_or(unknown)?;
        match self.is_by_bytes && self.collation.is_none() && found.number != BINARY {
            true => found.by_bytes(environment.dialect).ok_or(unknown),
            false => Ok(found),
        }
    }
}

/// A character set's name, which may be in quotes.
pub(super) fn charset_name(p: &mut Parser) -> Result<String, NotUnderstood> {
    match p.next() {
        Some(Word::Bare(name) | Word::Quoted(name) | Word::Text(name)) => Ok(name),
        Some(Word::Number(_) | Word::Bits(_) | Word::Sign(_)) | None => {
            Err(NotUnderstood("a character set is not named"))
        }
    }
}

fn family(
    p: &mut Parser,
    environment: &Environment,
    charset: &mut CharsetSaid,
) -> Result<Family, NotUnderstood> {
    let national = |charset: &mut CharsetSaid| charset.charset = Some("utf8mb3".to_owned());
    if p.take("NATIONAL") {
        national(charset);
        p.take_one(&["CHAR", "CHARACTER", "VARCHAR"]);
        let is_long = p.take("VARYING") || p.was("VARCHAR");
        return character(p, is_long);
    }
    if p.take_one(&["NCHAR", "NVARCHAR"]) {
        let is_long = p.was("NVARCHAR");
        national(charset);
        let is_long = p.take_one(&["VARYING", "VARCHAR", "VARCHARACTER"]) || is_long;
        return character(p, is_long);
    }
    if p.take_one(&["CHAR", "CHARACTER"]) {
        let is_long = p.take("VARYING");
        return character(p, is_long);
    }
    if p.take_one(&["VARCHAR", "VARCHARACTER"]) {
        return character(p, true);
    }
    if p.take("LONG") {
        if p.take("VARBINARY") {
            return Ok(Family::Blob(Ok("mediumblob")));
        }
        if !p.take_one(&["VARCHAR", "VARCHARACTER"]) && p.take_one(&["CHAR", "CHARACTER"]) {
            p.expect("VARYING")?;
        }
        return Ok(Family::Text(Ok("mediumtext")));
    }
    let name = match p.next() {
        Some(Word::Bare(name)) => name.to_ascii_lowercase(),
        Some(Word::Quoted(_) | Word::Text(_) | Word::Number(_) | Word::Bits(_) | Word::Sign(_))
        | None => {
            return Err(NotUnderstood("a type is missing"));
        }
    };
    match number(&name, p, environment)? {
        Some(number) => Ok(number),
        None => other(name, p, environment.dialect, charset),
    }
}

/// A numeric type; `None` if the name is not one.
fn number(
    name: &str,
    p: &mut Parser,
    environment: &Environment,
) -> Result<Option<Family>, NotUnderstood> {
    let integer = |p: &mut Parser, name| Ok(Family::Integer(name, one_number(p)?));
    let family: Result<Family, NotUnderstood> = match name {
        "tinyint" | "int1" => integer(p, "tinyint"),
        "smallint" | "int2" => integer(p, "smallint"),
        "mediumint" | "int3" | "middleint" => integer(p, "mediumint"),
        "int" | "integer" | "int4" => integer(p, "int"),
        "bigint" | "int8" => integer(p, "bigint"),
        "bool" | "boolean" => Ok(Family::Integer("tinyint", Some(1))),
        "decimal" | "dec" | "numeric" | "fixed" => {
            let (precision, scale) = two_numbers(p)?;
            let precision = precision.filter(|precision| *precision != 0).unwrap_or(10);
            Ok(Family::Numeric(format!(
                "decimal({precision},{})",
                scale.unwrap_or(0)
            )))
        }
        "float" | "float4" | "double" | "float8" | "real" => {
            let is_real_float = name == "real" && environment.sql_mode & REAL_AS_FLOAT != 0;
            let is_float = name == "float" || name == "float4" || is_real_float;
            p.take("PRECISION");
            Ok(Family::Numeric(match (two_numbers(p)?, is_float) {
                ((Some(digits), Some(scale)), true) => format!("float({digits},{scale})"),
                ((Some(digits), Some(scale)), false) => format!("double({digits},{scale})"),
                ((Some(25..), None), true) | (_, false) => "double".to_owned(),
                (_, true) => "float".to_owned(),
            }))
        }
        _ => return Ok(None),
    };
    family.map(Some)
}

fn other(
    name: String,
    p: &mut Parser,
    dialect: Dialect,
    charset: &mut CharsetSaid,
) -> Result<Family, NotUnderstood> {
    match name.as_str() {
        "bit" => Ok(Family::Other(format!(
            "bit({})",
            one_number(p)?.unwrap_or(1).max(1)
        ))),
        "year" => {
            let width = one_number(p)?;
            let is_shown = dialect.shows_widths;
            let name = if is_shown { "year(4)" } else { "year" };
            match width {
                None | Some(4) => Ok(Family::Other(name.to_owned())),
                Some(_) => Err(NotUnderstood("a YEAR of two digits")),
            }
        }
        "time" | "datetime" | "timestamp" => Ok(Family::Other(match one_number(p)? {
            None | Some(0) => name,
            Some(fraction) => format!("{name}({fraction})"),
        })),
        "binary" => Ok(Family::Bytes(format!(
            "binary({})",
            one_number(p)?.unwrap_or(1)
        ))),
        "varbinary" => {
            let length = one_number(p)?.ok_or(NotUnderstood("a VARBINARY without length"))?;
            match length > VARCHAR_BYTES_MAX {
                true => Err(NotUnderstood("a VARBINARY is longer than one can be")),
                false => Ok(Family::Bytes(format!("varbinary({length})"))),
            }
        }
        "tinytext" => Ok(Family::Text(Ok("tinytext"))),
        "mediumtext" => Ok(Family::Text(Ok("mediumtext"))),
        "longtext" => Ok(Family::Text(Ok("longtext"))),
        "text" => Ok(Family::Text(one_number(p)?.map_or(Ok("text"), Err))),
        "tinyblob" => Ok(Family::Blob(Ok("tinyblob"))),
        "mediumblob" => Ok(Family::Blob(Ok("mediumblob"))),
        "longblob" => Ok(Family::Blob(Ok("longblob"))),
        "blob" => Ok(Family::Blob(one_number(p)?.map_or(Ok("blob"), Err))),
        "enum" => Ok(Family::Members("enum", members(p)?)),
        "set" => Ok(Family::Members("set", members(p)?)),
        "geometrycollection" | "geomcollection" => Ok(Family::Other(match dialect.has_old_names {
            true => "geometrycollection".to_owned(),
            false => "geomcollection".to_owned(),
        })),
        "date" | "serial" | "geometry" | "point" | "linestring" | "polygon" | "multipoint"
        | "multilinestring" | "multipolygon" => Ok(Family::Other(name)),
        // To MariaDB it is a text of a collation that nobody chooses.
        "json" if dialect.is_mariadb => {
            charset.collation = Some("utf8mb4_bin".to_owned());
            Ok(Family::Text(Ok("longtext")))
        }
        "json" => Ok(Family::Other(name)),
        "uuid" | "inet4" | "inet6" if dialect.is_mariadb => Ok(Family::Other(name)),
        "vector" => Ok(Family::Other(format!(
            "vector({})",
            one_number(p)?.unwrap_or(2048)
        ))),
        _ => Err(NotUnderstood("a type is not known")),
    }
}

fn character(p: &mut Parser, is_long: bool) -> Result<Family, NotUnderstood> {
    match (is_long, one_number(p)?) {
        (true, Some(length)) => Ok(Family::Char("varchar", length)),
        (true, None) => Err(NotUnderstood("a VARCHAR without length")),
        (false, length) => Ok(Family::Char("char", length.unwrap_or(1))),
    }
}

/// `(n)`, if it is there.
fn one_number(p: &mut Parser) -> Result<Option<u64>, NotUnderstood> {
    match two_numbers(p)? {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(NotUnderstood("a type has two numbers")),
    }
}

/// `(n)` or `(n, m)`, if they are there.
fn two_numbers(p: &mut Parser) -> Result<(Option<u64>, Option<u64>), NotUnderstood> {
    if !p.is_sign('(') {
        return Ok((None, None));
    }
    p.expect_sign('(')?;
    let first = p.number()?;
    let second = match p.take_sign(',') {
        true => Some(p.number()?),
        false => None,
    };
    p.expect_sign(')')?;
    Ok((Some(first), second))
}

fn members(p: &mut Parser) -> Result<Vec<String>, NotUnderstood> {
    p.expect_sign('(')?;
    let mut members = Vec::new();
    loop {
        members.push(p.text()?);
        if !p.take_sign(',') {
            break;
        }
    }
    p.expect_sign(')')?;
    Ok(members)
}

/// How the server shows members (MySQL source, `sql/sql_show.cc`, `append_unescaped`).
fn members_type(name: &str, members: &[String]) -> String {
    // Blanks at the end are cut off, as they are of a CHAR.
    let members = members
        .iter()
        .map(|member| quoted(member.trim_end_matches(' ')));
    format!("{name}({})", members.collect::<Vec<_>>().join(","))
}

/// A text in quotes, as the server shows it.
pub(super) fn quoted(text: &str) -> String {
    let mut shown = String::from("'");
    for c in text.chars() {
        match c {
            '\0' => shown.push_str("\\0"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\\' => shown.push_str("\\\\"),
            '\'' => shown.push_str("''"),
            other => shown.push(other),
        }
    }
    shown.push('\'');
    shown
}

/// The smallest type that holds so many bytes.
fn sized(
    size: Result<&'static str, u64>,
    types: &[(&'static str, u64); 4],
) -> Result<&'static str, NotUnderstood> {
    let smallest = |bytes| {
        types
            .iter()
            .find(|(_, most)| bytes <= *most)
            .map(|(name, _)| *name)
    };
    match size {
        Ok(name) => Ok(name),
        Err(bytes) => smallest(bytes).ok_or(NotUnderstood("a text is longer than one can be")),
    }
}

/// A type of text in another character set: it becomes one that holds as many characters. `None` if that is not known.
pub(super) fn converted(sql_type: &str, from: Collation, to: Collation) -> Option<String> {
    if sql_type.ends_with(COMPRESSED) {
        return None;
    }
    let family = sql_type.split(['(', ' ']).next().unwrap_or_default();
    let grows = to.longest > from.longest;
    match family {
        // The bytes of names that are not ASCII stay, and stand for others (seen with 8.0.31).
        "enum" | "set" => sql_type.is_ascii().then(|| sql_type.to_owned()),
        "char" | "varchar" => {
            let length: u64 = sql_type.split(['(', ')']).nth(1)?.parse().ok()?;
            let is_possible = length.checked_mul(u64::from(to.longest))? <= VARCHAR_BYTES_MAX;
            is_possible.then(|| sql_type.to_owned())
        }
        _ => {
            let place = TEXTS.iter().position(|(name, _)| *name == family)?;
            let place = place + usize::from(grows && place < 3);
            TEXTS.get(place).map(|(name, _)| (*name).to_owned())
        }
    }
}
