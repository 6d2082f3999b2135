//! TABLE_MAP events: the shape of a table as its rows are packed.
//!
//! Format: MySQL source, `libs/mysql/binlog/event/rows_event.h` (`Table_map_event`), with the optional
//! metadata that `binlog_row_metadata=FULL` adds.

use super::checksum::Layout;
use super::error::DecodeErrorKind;
use super::rows::column_count;
use crate::input::Input;

/// A table map. Only the names are read at once; most table maps repeat one that is known.
#[derive(Debug, Clone, Copy)]
pub struct TableMapEvent<'a> {
    /// What the rows events after it refer to.
    pub table_id: u64,
    /// The database, in UTF-8.
    pub database: &'a str,
    /// The table, in UTF-8.
    pub table: &'a str,
    /// Everything after the table id: equal bytes mean an equal shape.
    pub body: &'a [u8],
    shape: &'a [u8],
    layout: Layout,
}

/// What a table map says of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnMetadata {
    /// The type's number in the binlog (`MYSQL_TYPE_…`).
    pub type_number: u8,
    /// The type's metadata, little-endian; 0 where the type has none.
    pub metadata: u16,
    /// True if the column may be NULL.
    pub nullable: bool,
    /// The name; `None` with `binlog_row_metadata=MINIMAL`.
    pub name: Option<String>,
    /// True for UNSIGNED numbers; `None` where the table map does not say it.
    pub unsigned: Option<bool>,
    /// The collation's number, for character and binary types, ENUM and SET.
    pub collation: Option<u64>,
    /// The names of an ENUM's or SET's members, in the column's character set.
    pub members: Option<Vec<Vec<u8>>>,
    /// What the values of a spatial type are, as WKB numbers it.
    pub geometry_type: Option<u64>,
    /// The most numbers that a VECTOR may have.
    pub dimensions: Option<u32>,
    /// False for a column that `SELECT *` leaves out.
    pub visible: bool,
}

/// The shape of a table: its columns, and the indexes of those of the primary key in the key's order.
pub(crate) type Shape = (Vec<ColumnMetadata>, Vec<usize>);

mod type_number {
    pub(super) const DECIMAL: u8 = 0;
    pub(super) const TINY: u8 = 1;
    pub(super) const SHORT: u8 = 2;
    pub(super) const LONG: u8 = 3;
    pub(super) const FLOAT: u8 = 4;
    pub(super) const DOUBLE: u8 = 5;
    pub(super) const LONGLONG: u8 = 8;
    pub(super) const INT24: u8 = 9;
    pub(super) const YEAR: u8 = 13;
    pub(super) const VARCHAR: u8 = 15;
    pub(super) const BIT: u8 = 16;
    pub(super) const TIMESTAMP2: u8 = 17;
    pub(super) const TIME2: u8 = 19;
    pub(super) const TYPED_ARRAY: u8 = 20;
    // MariaDB's compressed columns.
    pub(super) const BLOB_COMPRESSED: u8 = 140;
    pub(super) const VARCHAR_COMPRESSED: u8 = 141;
    pub(super) const VECTOR: u8 = 242;
    pub(super) const JSON: u8 = 245;
    pub(super) const NEWDECIMAL: u8 = 246;
    pub(super) const ENUM: u8 = 247;
    pub(super) const SET: u8 = 248;
    pub(super) const TINY_BLOB: u8 = 249;
    pub(super) const BLOB: u8 = 252;
    pub(super) const VAR_STRING: u8 = 253;
    pub(super) const STRING: u8 = 254;
    pub(super) const GEOMETRY: u8 = 255;
}
use type_number as t;

impl<'a> TableMapEvent<'a> {
    /// Reads the names. Which server wrote it decides how optional metadata is laid out.
    pub(super) fn read(mut input: Input<'a>, layout: Layout) -> Result<Self, DecodeErrorKind> {
        let table_id = input.u48()?;
        let body = input.rest();
        let _flags = input.u16()?;
        let database = name(&mut input)?;
        let table = name(&mut input)?;
        Ok(Self {
            table_id,
            database,
            table,
            body,
            shape: input.rest(),
            layout,
        })
    }

    /// How rows of the table are packed, whether the table map has names or not: number of columns, types, their
    /// metadata, and which may be NULL, in hexadecimal digits.
    ///
    /// # Errors
    /// If the bytes are damaged.
    pub fn packing(&self) -> Result<String, DecodeErrorKind> {
        let mut input = Input::new(self.shape);
        let count = column_count(&mut input)?;
        input.take(count)?;
        input.length_encoded_bytes()?;
        input.take(count.div_ceil(8))?;
        let length = self.shape.len() - input.rest().len();
        let packing = self.shape.get(..length).unwrap_or_default();
        Ok(packing.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Reads the columns and the primary key.
    ///
    /// # Errors
    /// If the bytes are damaged.
    pub(crate) fn shape(&self) -> Result<Shape, DecodeErrorKind> {
        let mut input = Input::new(self.shape);
        let count = column_count(&mut input)?;
        if count == 0 {
            return Err(DecodeErrorKind::TableMap { what: "no columns" });
        }
        let types = input.take(count)?;
        let mut metadata = Input::new(input.length_encoded_bytes()?);
        let null_bits = input.take(count.div_ceil(8))?;
        let mut columns = Vec::with_capacity(count);
        for (index, type_number) in types.iter().enumerate() {
            columns.push(ColumnMetadata {
                type_number: *type_number,
                metadata: read_metadata(*type_number, &mut metadata)?,
                nullable: bit(null_bits, index),
                name: None,
                unsigned: None,
                collation: None,
                members: None,
                geometry_type: None,
                dimensions: None,
                visible: true,
            });
        }
        let key = read_optional(input, &mut columns, self.layout)?;
        Ok((columns, key))
    }
}

fn name<'a>(input: &mut Input<'a>) -> Result<&'a str, DecodeErrorKind> {
    let length = usize::from(input.u8()?);
    let text = std::str::from_utf8(input.take(length)?).map_err(|_| DecodeErrorKind::TableMap {
        what: "a name is not UTF-8",
    })?;
    input.u8()?;
    Ok(text)
}

fn bit(bits: &[u8], index: usize) -> bool {
    bits.get(index / 8)
        .is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

fn read_metadata(type_number: u8, input: &mut Input<'_>) -> Result<u16, DecodeErrorKind> {
    Ok(match type_number {
        t::FLOAT | t::DOUBLE | t::TIMESTAMP2..=t::TIME2 | t::VECTOR | t::JSON | t::GEOMETRY => {
            u16::from(input.u8()?)
        }
        t::TINY_BLOB..=t::BLOB | t::BLOB_COMPRESSED => u16::from(input.u8()?),
        t::VARCHAR_COMPRESSED
        | t::VARCHAR
        | t::BIT
        | t::NEWDECIMAL
        | t::ENUM
        | t::SET
        | t::VAR_STRING
        | t::STRING => input.u16()?,
        // Only inside of expressions of functional indexes; no table has such a column.
        t::TYPED_ARRAY => {
            return Err(DecodeErrorKind::TableMap {
                what: "a typed array",
            });
        }
        _ => 0,
    })
}

fn is_numeric(column: &ColumnMetadata) -> bool {
    matches!(
        column.type_number,
        t::DECIMAL
            | t::TINY
            | t::SHORT
            | t::INT24
            | t::LONG
            | t::LONGLONG
            | t::NEWDECIMAL
            | t::FLOAT
            | t::DOUBLE
            | t::YEAR
    )
}

/// ENUM and SET are packed as STRING, with their own number in the metadata; they have lists of their own.
fn real_type(column: &ColumnMetadata) -> u8 {
    match (column.type_number, column.metadata.to_le_bytes()) {
        (t::STRING, [real @ (t::ENUM | t::SET), _]) => real,
        (number, _) => number,
    }
}

fn has_collation(column: &ColumnMetadata) -> bool {
    matches!(
        real_type(column),
        t::STRING | t::VARCHAR | t::VAR_STRING | t::TINY_BLOB
            ..=t::BLOB | t::BLOB_COMPRESSED | t::VARCHAR_COMPRESSED
    )
}

fn is_year(column: &ColumnMetadata) -> bool {
    column.type_number == t::YEAR
}

fn is_spatial(column: &ColumnMetadata) -> bool {
    column.type_number == t::GEOMETRY
}

fn has_members(column: &ColumnMetadata) -> bool {
    matches!(real_type(column), t::ENUM | t::SET)
}

/// Fields of the optional metadata, by their number.
mod field {
    pub(super) const SIGNEDNESS: u8 = 1;
    pub(super) const DEFAULT_CHARSET: u8 = 2;
    pub(super) const COLUMN_CHARSET: u8 = 3;
    pub(super) const COLUMN_NAME: u8 = 4;
    pub(super) const SET_MEMBERS: u8 = 5;
    pub(super) const ENUM_MEMBERS: u8 = 6;
    pub(super) const GEOMETRY_TYPE: u8 = 7;
    pub(super) const SIMPLE_PRIMARY_KEY: u8 = 8;
    pub(super) const PRIMARY_KEY_WITH_PREFIX: u8 = 9;
    pub(super) const MEMBERS_DEFAULT_CHARSET: u8 = 10;
    pub(super) const MEMBERS_COLUMN_CHARSET: u8 = 11;
    pub(super) const VISIBILITY: u8 = 12;
    pub(super) const VECTOR_DIMENSIONS: u8 = 13;
}

fn read_optional(
    mut input: Input<'_>,
    columns: &mut [ColumnMetadata],
    layout: Layout,
) -> Result<Vec<usize>, DecodeErrorKind> {
    // To MariaDB spatial values are bytes with a collation.
    let has_collation = match layout.is_mariadb {
        true => |column: &_| has_collation(column) || is_spatial(column),
        false => has_collation,
    };
    let has_sign = match layout.has_signs_of_years {
        true => is_numeric,
        false => |column: &_| is_numeric(column) && !is_year(column),
    };
    let mut key = Vec::new();
    while !input.is_empty() {
        let number = input.u8()?;
        let mut value = Input::new(input.length_encoded_bytes()?);
        match number {
            field::SIGNEDNESS => {
                for (index, column) in of(columns, has_sign).enumerate() {
                    column.unsigned = Some(highest_first(&value, index)?);
                }
            }
            field::DEFAULT_CHARSET => read_default_charset(value, columns, has_collation)?,
            field::COLUMN_CHARSET => {
                for column in of(columns, has_collation) {
                    column.collation = Some(value.length_encoded()?);
                }
            }
            field::VISIBILITY => {
                for (index, column) in columns.iter_mut().enumerate() {
                    column.visible = highest_first(&value, index)?;
                }
            }
            field::COLUMN_NAME => {
                for column in columns.iter_mut() {
                    let name =
                        std::str::from_utf8(value.length_encoded_bytes()?).map_err(|_| {
                            DecodeErrorKind::TableMap {
                                what: "a name is not UTF-8",
                            }
                        })?;
                    column.name = Some(name.to_owned());
                }
            }
            field::SIMPLE_PRIMARY_KEY | field::PRIMARY_KEY_WITH_PREFIX => {
                while !value.is_empty() {
                    let index = value.length_encoded()?;
                    if number == field::PRIMARY_KEY_WITH_PREFIX {
                        value.length_encoded()?;
                    }
                    key.push(key_index(index, columns.len(), &key)?);
                }
            }
            // Fields of later servers add to what is known; they do not change it.
            _ => read_of_kind(number, value, columns)?,
        }
    }
    Ok(key)
}

/// Reads a field about columns of one kind.
fn read_of_kind(
    number: u8,
    mut value: Input<'_>,
    columns: &mut [ColumnMetadata],
) -> Result<(), DecodeErrorKind> {
    match number {
        field::MEMBERS_DEFAULT_CHARSET => read_default_charset(value, columns, has_members)?,
        field::MEMBERS_COLUMN_CHARSET => {
            for column in of(columns, has_members) {
                column.collation = Some(value.length_encoded()?);
            }
        }
        field::SET_MEMBERS | field::ENUM_MEMBERS => {
            let wanted = if number == field::SET_MEMBERS {
                t::SET
            } else {
                t::ENUM
            };
            for column in of(columns, |column| real_type(column) == wanted) {
                column.members = Some(read_members(&mut value)?);
            }
        }
        field::GEOMETRY_TYPE => {
            for column in of(columns, is_spatial) {
                column.geometry_type = Some(value.length_encoded()?);
            }
        }
        field::VECTOR_DIMENSIONS => {
            for column in of(columns, |column| column.type_number == t::VECTOR) {
                column.dimensions = u32::try_from(value.length_encoded()?).ok();
            }
        }
        _ => {}
    }
    Ok(())
}

/// The columns of a kind, in the table's order.
fn of(
    columns: &mut [ColumnMetadata],
    is_of: impl Fn(&ColumnMetadata) -> bool,
) -> impl Iterator<Item = &mut ColumnMetadata> {
    columns.iter_mut().filter(move |column| is_of(column))
}

/// A bit of a list whose highest bits come first.
fn highest_first(bits: &Input<'_>, index: usize) -> Result<bool, DecodeErrorKind> {
    let byte = bits
        .rest()
        .get(index / 8)
        .ok_or(DecodeErrorKind::Truncated)?;
    Ok(byte << (index % 8) & 0x80 != 0)
}

/// An ENUM of MySQL has at most so many members.
const MEMBERS_MAX: u64 = 65_535;

/// How many members, then each with its length.
fn read_members(value: &mut Input<'_>) -> Result<Vec<Vec<u8>>, DecodeErrorKind> {
    let count = value.length_encoded()?;
    if count > MEMBERS_MAX {
        return Err(DecodeErrorKind::TableMap {
            what: "more than 65535 members",
        });
    }
    // Not allocated for by a count that may be damaged: each member takes a byte at least.
    (0..count)
        .map(|_| Ok(value.length_encoded_bytes()?.to_vec()))
        .collect()
}

/// A column of the key, which has each only once.
fn key_index(index: u64, columns: usize, key: &[usize]) -> Result<usize, DecodeErrorKind> {
    usize::try_from(index)
        .ok()
        .filter(|index| *index < columns)
        .ok_or(DecodeErrorKind::TableMap {
            what: "a key column that is not there",
        })
        .and_then(|index| match key.contains(&index) {
            false => Ok(index),
            true => Err(DecodeErrorKind::TableMap {
                what: "a key column that is there twice",
            }),
        })
}

/// A default collation, then those columns that differ: (index among character columns, collation).
fn read_default_charset(
    mut value: Input<'_>,
    columns: &mut [ColumnMetadata],
    is_of: fn(&ColumnMetadata) -> bool,
) -> Result<(), DecodeErrorKind> {
    let default = value.length_encoded()?;
    let mut character: Vec<&mut ColumnMetadata> = of(columns, is_of).collect();
    for column in &mut character {
        column.collation = Some(default);
    }
    while !value.is_empty() {
        let index =
            usize::try_from(value.length_encoded()?).map_err(|_| DecodeErrorKind::Truncated)?;
        let collation = value.length_encoded()?;
        let column = character.get_mut(index).ok_or(DecodeErrorKind::TableMap {
            what: "a charset of a column that is not there",
        })?;
        column.collation = Some(collation);
    }
    Ok(())
}
