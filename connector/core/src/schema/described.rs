//! A table as the server describes it now: where a table map names no columns, its definition; else what no table map
//! has, such as defaults.
//!
//! Source: MySQL manual, "The INFORMATION_SCHEMA COLUMNS Table"; how types are packed: MySQL source, `sql/field.cc`
//! (`do_save_field_metadata` of each type).

mod hidden;
mod mariadb;

use serde::{Deserialize, Serialize};

use self::hidden::hidden_column;
use self::mariadb::default_of_mariadb;
use super::Dialect;
use super::definition::{Column, Declared, DeclaredDefault, DefinitionError, TableDefinition};
use crate::decode::{ColumnMetadata, TableMapEvent};
use crate::selection::TableName;
use crate::value::{Charset, ColumnType};

/// A table, as `information_schema` has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DescribedTable {
    /// Its columns, in the table's order.
    pub columns: Vec<DescribedColumn>,
    /// Its keys, in the order of `SHOW INDEX`.
    pub keys: Vec<DescribedKey>,
    /// The number of its default collation, if it is known.
    pub collation: Option<u64>,
    /// MariaDB keeps its history: `TABLE_TYPE` is `SYSTEM VERSIONED`. The columns of the period, where no others are
    /// declared, nobody describes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_versioned: bool,
}

/// A key, as `SHOW INDEX` has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DescribedKey {
    /// `Key_name`, [`PRIMARY`] for the primary key.
    pub name: String,
    /// `Non_unique` is 0.
    pub is_unique: bool,
    /// Its parts, in the order of the key.
    pub parts: Vec<KeyPart>,
    /// True if a statement is known to have made it: of others it may be that the server made them for foreign keys, and
    /// takes them away again.
    pub is_declared: bool,
}

/// A part of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyPart {
    /// `Column_name`; none for an expression.
    pub column: Option<String>,
    /// `Sub_part`: how many characters or bytes of the column; none for all.
    pub prefix: Option<u64>,
}

/// The name of every primary key.
pub const PRIMARY: &str = "PRIMARY";

/// A column, as `information_schema.COLUMNS` has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DescribedColumn {
    /// `COLUMN_NAME`
    pub name: String,
    /// `COLUMN_TYPE`, such as `int(10) unsigned zerofill`.
    pub sql_type: String,
    /// `IS_NULLABLE`
    pub nullable: bool,
    /// The number of `COLLATION_NAME`.
    pub collation: Option<u64>,
    /// `COLUMN_DEFAULT`; none for NULL and where there is no default.
    pub default: Option<String>,
    /// `EXTRA`
    pub extra: String,
    /// `GENERATION_EXPRESSION`; empty for columns that are not generated.
    pub expression: String,
    /// True if default and expression are not known, as only the server can say how they read.
    pub is_unproven: bool,
}

/// The collation that names of members are given in, whatever the column's.
const UTF8MB4_COLLATION: u64 = 45;
/// The collation of bytes without a character set.
const BINARY_COLLATION: u64 = 63;

impl TableDefinition {
    /// The definition that the server's description and a table map without names make together: the packing of
    /// every column in the table map must be that of its type in the description.
    ///
    /// # Errors
    /// [`DefinitionError`] if they are not of the same table definition, or it cannot be published.
    pub fn from_described(
        event: &TableMapEvent<'_>,
        described: &DescribedTable,
        dialect: Dialect,
    ) -> Result<Self, DefinitionError> {
        let table = || TableName::new(event.database, event.table);
        let damaged = |kind| DefinitionError::Damaged {
            table: table(),
            kind,
        };
        let differs = |what: &str| DefinitionError::Differs {
            table: table(),
            column: what.to_owned(),
        };
        let (packed, _) = event.shape().map_err(damaged)?;
        let described = &*described.with_hidden(dialect, &packed);
        let hidden = packed.get(described.columns.len()..);
        let hidden = hidden.ok_or_else(|| differs("their number"))?;
        if hidden.len() > described.hidden_of_expressions(dialect) {
            return Err(differs("their number"));
        }
        let mut columns = Vec::with_capacity(packed.len());
        for (metadata, column) in packed.iter().zip(&described.columns) {
            let Some(complete) = column.complete(metadata, dialect) else {
                return Err(differs(&column.name));
            };
            columns.push(column.defined(&table(), &complete, dialect)?);
        }
        for (number, metadata) in hidden.iter().enumerate() {
            columns.push(hidden_column(&table(), metadata, number)?);
        }
        let place = |name: &String| columns.iter().position(|column| column.name == *name);
        let key: Option<Vec<usize>> = described.primary_key().iter().map(place).collect();
        Ok(Self {
            name: table(),
            primary_key: key.ok_or_else(|| differs("the primary key"))?,
            columns,
            message_key: Vec::new(),
            packing: event.packing().map_err(damaged)?,
        })
    }

    /// The definition of a table that the server describes, without any row of it: how its rows are packed stays open.
    ///
    /// # Errors
    /// [`DefinitionError`] if it cannot be published.
    pub fn of_description(
        table: TableName,
        described: &DescribedTable,
        dialect: Dialect,
    ) -> Result<Self, DefinitionError> {
        let described = &*described.with_period();
        let mut columns = Vec::with_capacity(described.columns.len());
        for column in &described.columns {
            let metadata = column.metadata(dialect);
            let differs = || DefinitionError::Differs {
                table: table.clone(),
                column: column.name.clone(),
            };
            let complete = metadata
                .as_ref()
                .and_then(|metadata| column.complete(metadata, dialect))
                .ok_or_else(differs)?;
            columns.push(column.defined(&table, &complete, dialect)?);
        }
        let primary_key = described.primary_key();
        let place = |name: &String| columns.iter().position(|column| column.name == *name);
        Ok(Self {
            primary_key: primary_key.iter().filter_map(place).collect(),
            name: table,
            columns,
            message_key: Vec::new(),
            packing: String::new(),
        })
    }

    /// Adds what the server's description has beyond a table map with names, if it is of the same definition.
    #[must_use]
    pub fn declared(
        self,
        event: &TableMapEvent<'_>,
        described: &DescribedTable,
        dialect: Dialect,
    ) -> Self {
        match Self::from_described(event, described, dialect) {
            Ok(declared) => {
                let declared = declared.with_members_of(&self);
                match declared.is_but_for_declared(&self) {
                    true => declared,
                    false => self,
                }
            }
            Err(_) => self,
        }
    }

    /// The definition with the names of members that another has whole.
    fn with_members_of(mut self, other: &Self) -> Self {
        for (column, other) in self.columns.iter_mut().zip(&other.columns) {
            if let (ColumnType::Members(shown), ColumnType::Members(members)) =
                (&mut column.column_type, &other.column_type)
            {
                shown.complete(members);
            }
        }
        self
    }

    /// True if a table map with names that the other definition was made of fits this one too: what is declared beyond a
    /// table map may differ.
    #[must_use]
    pub fn is_but_for_declared(&self, other: &Self) -> bool {
        let columns = || self.columns.iter().zip(&other.columns);
        self.name == other.name
            && self.primary_key == other.primary_key
            && self.packing == other.packing
            && self.columns.len() == other.columns.len()
            && columns().all(|(one, other)| {
                (&one.name, one.nullable) == (&other.name, other.nullable)
                    && one.column_type.is_or_is_packed_like(&other.column_type)
            })
    }
}

impl DescribedTable {
    /// A column that is not what it is in another description, as far as that changes what rows say: its name, or the
    /// names of its members. What is packed otherwise, table maps tell.
    #[must_use]
    pub fn contradicted_by(&self, other: &Self) -> Option<&str> {
        let mut columns = self.columns.iter().zip(&other.columns);
        let is_other = |(one, other): &(&DescribedColumn, &DescribedColumn)| {
            one.name != other.name || (one.has_members() && one.sql_type != other.sql_type)
        };
        match columns.find(is_other) {
            Some((column, _)) => Some(&column.name),
            None if self.columns.len() == other.columns.len() => None,
            None => Some("their number"),
        }
    }

    /// The columns of the primary key; without one, of what table maps give in its place: the first unique key whose columns
    /// are whole and NOT NULL (MySQL source, `sql/table.cc`, where `primary_key` of a table share is set).
    #[must_use]
    pub fn primary_key(&self) -> Vec<String> {
        let column = |part: &KeyPart| {
            let name = part.column.as_ref()?;
            self.columns.iter().find(|column| column.name == *name)
        };
        let is_whole = |part: &KeyPart| {
            column(part).is_some_and(|column| !column.nullable && part.is_whole(column))
        };
        let primary = self.keys.iter().find(|key| key.name == PRIMARY);
        let in_its_place = || {
            let mut unique = self.keys.iter().filter(|key| key.is_unique);
            unique.find(|key| key.parts.iter().all(is_whole))
        };
        let key = primary.or_else(in_its_place);
        let parts = key.map(|key| key.parts.as_slice()).unwrap_or_default();
        parts
            .iter()
            .filter_map(|part| part.column.clone())
            .collect()
    }
}

impl KeyPart {
    /// True if all of the column's value is in the key.
    pub(super) fn is_whole(&self, column: &DescribedColumn) -> bool {
        self.prefix.is_none_or(|prefix| {
            let is_fixed = matches!(column.family(), "char" | "varchar" | "binary" | "varbinary");
            is_fixed && column.number() == Some(prefix)
        })
    }
}

impl DescribedColumn {
    fn defined(
        &self,
        table: &TableName,
        complete: &ColumnMetadata,
        dialect: Dialect,
    ) -> Result<Column, DefinitionError> {
        let of_metadata = || {
            ColumnType::from_metadata(complete).map_err(|kind| DefinitionError::Unsupported {
                table: table.clone(),
                column: self.name.clone(),
                kind,
            })
        };
        let mut column_type = match self.type_of_mariadb(dialect) {
            Some(own) => own,
            None => of_metadata()?,
        };
        if let ColumnType::Members(members) = &mut column_type {
            *members = members.shown_by_the_server();
        }
        if let (true, ColumnType::Temporal(temporal)) = (dialect.is_mariadb, &mut column_type) {
            let fraction = self.number().and_then(|digits| u8::try_from(digits).ok());
            let hires = fraction.and_then(|fraction| temporal.with_old_fraction(fraction));
            *temporal = hires.unwrap_or(*temporal);
        }
        Ok(Column {
            name: self.name.clone(),
            column_type,
            nullable: self.nullable,
            declared: (!self.is_unproven).then(|| self.declared(dialect)),
        })
    }

    /// What a table map without names would have; `None` for a type that is not known.
    fn metadata(&self, dialect: Dialect) -> Option<ColumnMetadata> {
        let (type_number, metadata) = self.packing(self.collation(), dialect)?;
        Some(ColumnMetadata {
            type_number,
            metadata,
            nullable: self.nullable,
            name: None,
            unsigned: None,
            collation: None,
            members: None,
            geometry_type: None,
            dimensions: None,
            visible: true,
        })
    }

    /// The collation of its values, or of the names of its members.
    fn collation(&self) -> Option<u64> {
        match self.has_members() {
            true => Some(UTF8MB4_COLLATION),
            false => self
                .collation
                .or(self.is_binary().then_some(BINARY_COLLATION)),
        }
    }

    /// The metadata of a table map, with what the description adds; `None` if they are not of the same type.
    fn complete(&self, packed: &ColumnMetadata, dialect: Dialect) -> Option<ColumnMetadata> {
        let collation = self.collation();
        let packing = self.packing(collation, dialect)?;
        if !is_packed_as(packing, packed, dialect) || packed.nullable != self.nullable {
            return None;
        }
        let complete = ColumnMetadata {
            type_number: packed.type_number,
            metadata: packed.metadata,
            nullable: packed.nullable,
            name: Some(self.name.clone()),
            // A YEAR counts as unsigned without saying so.
            unsigned: Some(self.attributes().contains(" unsigned") || self.family() == "year"),
            collation,
            members: match self.has_members() {
                true => Some(members(self.arguments())?),
                false => None,
            },
            geometry_type: geometry_type(self.family()),
            dimensions: (self.family() == "vector" && !dialect.is_mariadb)
                .then(|| self.number())
                .flatten()
                .and_then(|number| u32::try_from(number).ok()),
            visible: !self.extra.contains("INVISIBLE"),
        };
        // What the table map has of it beyond the packing must be the same.
        // A YEAR has no sign that could differ: of older servers nothing is said of it.
        let is_same = (self.family() == "year" || !differ(packed.unsigned, complete.unsigned))
            && (self.has_members() || !differ(packed.collation, complete.collation))
            && !differ(packed.geometry_type, complete.geometry_type)
            && !differ(packed.dimensions, complete.dimensions);
        is_same.then_some(complete)
    }

    /// Type number and metadata of the column in a table map; `None` for a type that is not known.
    fn packing(&self, collation: Option<u64>, dialect: Dialect) -> Option<(u8, u16)> {
        if dialect.is_mariadb
            && let Some(packing) = self.packing_of_mariadb(collation)
        {
            return Some(packing);
        }
        let number = self.number();
        let fraction = u16::try_from(number.unwrap_or(0)).ok();
        Some(match self.family() {
            "tinyint" => (1, 0),
            "smallint" => (2, 0),
            "int" => (3, 0),
            "bigint" => (8, 0),
            "mediumint" => (9, 0),
            "float" => (4, 4),
            "double" => (5, 8),
            "date" => (10, 0),
            "year" => (13, 0),
            "timestamp" => (17, fraction?),
            "datetime" => (18, fraction?),
            "time" => (19, fraction?),
            "decimal" => {
                let (precision, scale) = self.arguments().split_once(',')?;
                let parse = |text: &str| text.trim().parse::<u8>().ok();
                let bytes = [parse(precision)?, parse(scale)?];
                (246, u16::from_le_bytes(bytes))
            }
            "bit" => {
                let bits = u8::try_from(number?).ok()?;
                (16, u16::from_le_bytes([bits % 8, bits / 8]))
            }
            "varchar" | "varbinary" => (15, bytes_of(number?, collation)?),
            "char" | "binary" => (254, packed_char(bytes_of(number?, collation)?)),
            "tinytext" | "tinyblob" => (252, 1),
            "text" | "blob" => (252, 2),
            "mediumtext" | "mediumblob" => (252, 3),
            "longtext" | "longblob" => (252, 4),
            "json" => (245, 4),
            "vector" => (242, 4),
            "enum" => {
                let size = if members(self.arguments())?.len() < 256 {
                    1
                } else {
                    2
                };
                (254, u16::from_le_bytes([247, size]))
            }
            "set" => {
                let size = match members(self.arguments())?.len().div_ceil(8) {
                    size @ 1..=4 => u8::try_from(size).ok()?,
                    _ => 8,
                };
                (254, u16::from_le_bytes([248, size]))
            }
            family => {
                geometry_type(family)?;
                (255, 4)
            }
        })
    }

    /// The type's first word.
    fn family(&self) -> &str {
        let end = self.sql_type.find(['(', ' ']);
        let end = end.unwrap_or(self.sql_type.len());
        self.sql_type.get(..end).unwrap_or_default()
    }

    /// What stands in the type's parentheses.
    fn arguments(&self) -> &str {
        let inside = || {
            let (_, rest) = self.sql_type.split_once('(')?;
            Some(rest.rsplit_once(')')?.0)
        };
        inside().unwrap_or_default()
    }

    /// What follows the type's parentheses, with a space in front.
    fn attributes(&self) -> &str {
        match self.sql_type.rsplit_once(')') {
            Some((_, attributes)) => attributes,
            None => &self.sql_type,
        }
    }

    /// The only number in the type's parentheses.
    fn number(&self) -> Option<u64> {
        self.arguments().trim().parse().ok()
    }

    fn has_members(&self) -> bool {
        matches!(self.family(), "enum" | "set")
    }

    fn is_binary(&self) -> bool {
        let family = self.family();
        matches!(family, "binary" | "varbinary") || family.ends_with("blob")
    }

    fn declared(&self, dialect: Dialect) -> Declared {
        // Of bytes the server shows what precedes the first zero byte; of text, question marks for what its own tables
        // cannot hold.
        let is_shown = |default: &DeclaredDefault| match default {
            DeclaredDefault::Expression(_) => true,
            DeclaredDefault::Literal(text) => !(self.is_binary() || text.contains('?')),
        };
        let default = match dialect.is_mariadb {
            true => self.default.as_deref().and_then(default_of_mariadb),
            false => self.default.clone().map(|text| self.default_of_mysql(text)),
        };
        Declared {
            sql_type: self.sql_type.clone(),
            default: default.filter(is_shown),
            expression: Some(self.expression.clone()).filter(|text| !text.is_empty()),
        }
    }

    /// Before MySQL 8.0 only one function could be a default, and only of columns whose literals are no words.
    fn default_of_mysql(&self, text: String) -> DeclaredDefault {
        let is_of_time = matches!(self.family(), "timestamp" | "datetime");
        let is_function = is_of_time && text.starts_with("CURRENT_TIMESTAMP");
        match is_function || self.extra.contains("DEFAULT_GENERATED") {
            true => DeclaredDefault::Expression(text),
            false => DeclaredDefault::Literal(text),
        }
    }
}

/// True if columns are packed like that: of times the server keeps an older format of columns that are older (MySQL 5.6.4), in
/// which those of MariaDB may have a fraction.
fn is_packed_as(packing: (u8, u16), packed: &ColumnMetadata, dialect: Dialect) -> bool {
    let (number, fraction) = packing;
    let old = match number {
        17 => 7,
        18 => 12,
        19 => 11,
        number => number,
    };
    let old = if fraction == 0 || dialect.is_mariadb {
        old
    } else {
        number
    };
    let found = (packed.type_number, packed.metadata);
    found == packing || (old != packing.0 && found == (old, 0))
}

/// True if both are known, and not the same.
fn differ<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
    one.is_some() && other.is_some() && one != other
}

/// Bytes of the longest value of so many characters.
fn bytes_of(characters: u64, collation: Option<u64>) -> Option<u16> {
    let longest = match collation? {
        BINARY_COLLATION => 1,
        number => u64::from(Charset::of_collation(number)?.longest()),
    };
    u16::try_from(characters.checked_mul(longest)?).ok()
}

/// The metadata of a CHAR: two bits of its length are in the type's byte, inverted.
fn packed_char(bytes: u16) -> u16 {
    let [low, high] = bytes.to_le_bytes();
    u16::from_le_bytes([0xfe ^ ((high & 3) << 4), low])
}

/// The number of a spatial type.
fn geometry_type(family: &str) -> Option<u64> {
    Some(match family {
        "geometry" => 0,
        "point" => 1,
        "linestring" => 2,
        "polygon" => 3,
        "multipoint" => 4,
        "multilinestring" => 5,
        "multipolygon" => 6,
        "geomcollection" | "geometrycollection" => 7,
        _ => return None,
    })
}

/// The members in `'a','b''c',x'ff'`, in UTF-8. The server doubles single quotes, and escapes backslashes, NUL and ends of
/// lines by a backslash (MySQL source, `sql/sql_show.cc`, `append_unescaped`); bytes that are not text it shows in
/// hexadecimal (seen in 8.0.31).
fn members(list: &str) -> Option<Vec<Vec<u8>>> {
    let mut members = Vec::new();
    let mut rest = list.chars().peekable();
    loop {
        let is_hex = rest.next_if_eq(&'x').is_some();
        let mut name = String::new();
        if rest.next() != Some('\'') {
            return None;
        }
        loop {
            match rest.next()? {
                '\'' if rest.next_if_eq(&'\'').is_some() => name.push('\''),
                '\'' => break,
                '\\' => name.push(match rest.next()? {
                    '0' => '\0',
                    'n' => '\n',
                    'r' => '\r',
                    other => other,
                }),
                other => name.push(other),
            }
        }
        members.push(match is_hex {
            true => bytes_of_hex(&name)?,
            false => name.into_bytes(),
        });
        match rest.next() {
            None => return Some(members),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests;

fn bytes_of_hex(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: &u8| char::from(*digit).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(value(high)? * 16 + value(low)?).ok(),
        _ => None,
    };
    digits.as_bytes().chunks(2).map(byte).collect()
}
