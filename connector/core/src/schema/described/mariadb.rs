//! What only MariaDB describes, or describes in another way.

use std::borrow::Cow;

use super::{
    DeclaredDefault, DescribedColumn, DescribedTable, Dialect, KeyPart, bytes_of, members,
    packed_char,
};
use crate::decode::ColumnMetadata;
use crate::value::{ColumnType, Identifier, Vector};

impl DescribedTable {
    /// The table with what nobody describes, as its table map shows: the columns of its period, and a number for each unique
    /// key of values that are too long for an index, which table maps with names call `DB_ROW_HASH_1` and so on (seen in 11.8).
    pub(super) fn with_hidden(&self, dialect: Dialect, packed: &[ColumnMetadata]) -> Cow<'_, Self> {
        const BIGINT: u8 = 8;
        let table = self.with_period();
        let hidden = packed.get(table.columns.len()..).unwrap_or_default();
        let are_hashes = hidden.iter().all(|column| column.type_number == BIGINT);
        let unique = self.keys.iter().filter(|key| key.is_unique).count();
        if !dialect.is_mariadb || hidden.is_empty() || !are_hashes || hidden.len() > unique {
            return table;
        }
        let mut whole = table.into_owned();
        for (number, column) in (1..).zip(hidden) {
            whole.columns.push(DescribedColumn {
                name: format!("DB_ROW_HASH_{number}"),
                sql_type: "bigint(20) unsigned".to_owned(),
                nullable: column.nullable,
                extra: "INVISIBLE".to_owned(),
                ..DescribedColumn::default()
            });
        }
        Cow::Owned(whole)
    }

    /// The table with the columns of its period. MariaDB adds them behind all others, hides them, and lets the primary key
    /// end with the second (MariaDB source, `sql/table.cc`, `vers_`; seen in 11.8).
    pub(super) fn with_period(&self) -> Cow<'_, Self> {
        let is_start = |column: &DescribedColumn| column.expression == "ROW START";
        if !self.is_versioned || self.columns.iter().any(is_start) {
            return Cow::Borrowed(self);
        }
        let mut whole = self.clone();
        for (name, expression) in [("row_start", "ROW START"), ("row_end", "ROW END")] {
            whole.columns.push(DescribedColumn {
                name: name.to_owned(),
                sql_type: "timestamp(6)".to_owned(),
                extra: "STORED GENERATED, INVISIBLE".to_owned(),
                expression: expression.to_owned(),
                ..DescribedColumn::default()
            });
        }
        for key in whole.keys.iter_mut().filter(|key| key.is_unique) {
            key.parts.push(KeyPart {
                column: Some("row_end".to_owned()),
                prefix: None,
            });
        }
        Cow::Owned(whole)
    }
}

impl DescribedColumn {
    /// A type that is packed like another one: only its name tells it.
    pub(super) fn type_of_mariadb(&self, dialect: Dialect) -> Option<ColumnType> {
        let family = Some(self.family()).filter(|_| dialect.is_mariadb)?;
        if family == "vector" {
            let bytes = u16::try_from(self.number()?.checked_mul(4)?).ok()?;
            return Some(ColumnType::Vector(Vector::of_mariadb(bytes)));
        }
        Identifier::named(family).map(ColumnType::Identifier)
    }

    /// How a column that only MariaDB has is packed.
    pub(super) fn packing_of_mariadb(&self, collation: Option<u64>) -> Option<(u8, u16)> {
        const COMPRESSED: &str = "COMPRESSED*/";
        let family = self.family();
        if let Some(identifier) = Identifier::named(family) {
            return Some((254, packed_char(identifier.bytes())));
        }
        let is_compressed = self.sql_type.ends_with(COMPRESSED);
        Some(match family {
            "vector" => (15, u16::try_from(self.number()?.checked_mul(4)?).ok()?),
            "varchar" | "varbinary" if is_compressed => {
                (141, bytes_of(self.number()?, collation)?.checked_add(1)?)
            }
            "tinytext" | "tinyblob" if is_compressed => (140, 1),
            "text" | "blob" if is_compressed => (140, 2),
            "mediumtext" | "mediumblob" if is_compressed => (140, 3),
            "longtext" | "longblob" if is_compressed => (140, 4),
            _ => return None,
        })
    }
}

/// A default as MariaDB shows it since 10.2.7: texts in quotes, numbers and bits without, all else is an expression.
pub(super) fn default_of_mariadb(text: &str) -> Option<DeclaredDefault> {
    if text == "NULL" {
        return None;
    }
    if text.starts_with('\'') {
        // The same quotes as around a member.
        if let Some([literal]) = members(text).as_deref() {
            let literal = String::from_utf8_lossy(literal).into_owned();
            return Some(DeclaredDefault::Literal(literal));
        }
    }
    let is_number =
        text.parse::<f64>().is_ok() && !text.contains(|c: char| c.is_alphabetic() && c != 'e');
    Some(match is_number || text.starts_with("b'") {
        true => DeclaredDefault::Literal(text.to_owned()),
        false => DeclaredDefault::Expression(text.to_owned()),
    })
}
