//! JSON: a length in four bytes, then the server's binary form; Avro gets the text that the server prints.
//!
//! The binary form is a tree of containers, whose entries point to their values by offset (MySQL source,
//! `sql-common/json_binary.h`). Keys stay in its order: by length, then by bytes. The text is what `Json_wrapper::
//! to_string` prints (`sql-common/json_dom.cc`); its numbers and opaque values are in [`text`].

mod diff;
mod text;

use super::ValueError;
use crate::avro::binary::write_length;
use crate::input::{Input, Truncated};
use text::{write_double, write_opaque, write_string};

/// The server refuses deeper documents ("The JSON document exceeds the maximum depth").
const DEPTH_MAX: usize = 100;
/// The longest text is made of control characters, six for one; entries of a container and opaque values need less. More
/// comes only from entries that share a value, as no server writes them.
const TEXT_FOR_EACH_BYTE_MAX: usize = 8;
const TEXT_BYTES_MIN: usize = 64;

/// Types of values.
mod kind {
    pub(super) const SMALL_OBJECT: u8 = 0;
    pub(super) const LARGE_OBJECT: u8 = 1;
    pub(super) const SMALL_ARRAY: u8 = 2;
    pub(super) const LARGE_ARRAY: u8 = 3;
    pub(super) const LITERAL: u8 = 4;
    pub(super) const INT16: u8 = 5;
    pub(super) const UINT16: u8 = 6;
    pub(super) const INT32: u8 = 7;
    pub(super) const UINT32: u8 = 8;
    pub(super) const INT64: u8 = 9;
    pub(super) const UINT64: u8 = 10;
    pub(super) const DOUBLE: u8 = 11;
    pub(super) const STRING: u8 = 12;
    pub(super) const OPAQUE: u8 = 15;
}

pub(super) fn copy(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let document = packed(input)?;
    as_avro(out, |out| write_document(document, out))
}

/// Copies a document that is given by another one, packed as well, and what was changed in it.
pub(crate) fn copy_changed(
    before: &[u8],
    input: &mut Input<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let document = packed(&mut Input::new(before))?;
    let changes = packed(input)?;
    as_avro(out, |out| diff::write_changed(document, changes, out))
}

/// Bytes after their length.
fn packed<'a>(input: &mut Input<'a>) -> Result<&'a [u8], Truncated> {
    let length = usize::try_from(input.u32()?).map_err(|_| Truncated)?;
    input.take(length)
}

/// Appends what is written as an Avro string, or nothing. The length of the text is known last, and goes before it.
fn as_avro(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), ValueError>,
) -> Result<(), ValueError> {
    let start = out.len();
    write(out).inspect_err(|_| out.truncate(start))?;
    let end = out.len();
    write_length(out, end - start);
    let moved = out.len() - end;
    let text = out.get_mut(start..).unwrap_or_default();
    text.rotate_right(moved);
    Ok(())
}

/// Appends the text of a document.
fn write_document(document: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let Some((kind, value)) = document.split_first() else {
        // What the server stores where a statement ignores that there is no value.
        out.extend_from_slice(b"null");
        return Ok(());
    };
    let end_max = bytes_max(out.len(), document.len());
    Printer { out, end_max }.value(*kind, value, DEPTH_MAX)
}

/// How long an output may become by the text of so many packed bytes.
fn bytes_max(start: usize, packed: usize) -> usize {
    let text = packed.saturating_mul(TEXT_FOR_EACH_BYTE_MAX);
    start.saturating_add(text).saturating_add(TEXT_BYTES_MIN)
}

struct Printer<'a> {
    out: &'a mut Vec<u8>,
    /// How long the output may become.
    end_max: usize,
}

/// How wide counts, sizes and offsets of a container are.
#[derive(Clone, Copy)]
struct Width(usize);

impl Width {
    fn read(self, input: &mut Input<'_>) -> Result<usize, ValueError> {
        let number = input.little_endian(self.0).map_err(|_| ValueError::Json)?;
        usize::try_from(number).map_err(|_| ValueError::Json)
    }
}

impl Printer<'_> {
    /// Prints a value whose bytes begin those given.
    fn value(&mut self, kind: u8, bytes: &[u8], depth: usize) -> Result<(), ValueError> {
        let mut input = Input::new(bytes);
        let damaged = |_| ValueError::Json;
        if let Some((is_object, is_large)) = container_kind(kind) {
            let depth = depth.checked_sub(1).ok_or(ValueError::Json)?;
            return self.container(bytes, is_object, is_large, depth);
        }
        match kind {
            kind::LITERAL => self.literal(input.u8().map_err(damaged)?)?,
            kind::INT16 => self.number(signed(&mut input, 2)?),
            kind::INT32 => self.number(signed(&mut input, 4)?),
            kind::INT64 => self.number(signed(&mut input, 8)?),
            kind::UINT16 => self.number(input.little_endian(2).map_err(damaged)?),
            kind::UINT32 => self.number(input.little_endian(4).map_err(damaged)?),
            kind::UINT64 => self.number(input.u64().map_err(damaged)?),
            kind::DOUBLE => {
                let bits = input.u64().map_err(damaged)?;
                write_double(f64::from_bits(bits), self.out)?;
            }
            kind::STRING => write_string(variable(&mut input)?, self.out)?,
            kind::OPAQUE => {
                let field_type = input.u8().map_err(damaged)?;
                write_opaque(field_type, variable(&mut input)?, self.out)?;
            }
            _ => return Err(ValueError::Json),
        }
        self.check()
    }

    /// Refuses a text that has become too long. Asked for each entry of a container too: empty ones may be shared.
    fn check(&self) -> Result<(), ValueError> {
        if self.out.len() > self.end_max {
            return Err(ValueError::Json);
        }
        Ok(())
    }

    fn literal(&mut self, number: u8) -> Result<(), ValueError> {
        let text: &[u8] = match number {
            0 => b"null",
            1 => b"true",
            2 => b"false",
            _ => return Err(ValueError::Json),
        };
        self.out.extend_from_slice(text);
        Ok(())
    }

    fn number(&mut self, number: impl std::fmt::Display) {
        text::write_display(number, self.out);
    }

    fn container(
        &mut self,
        bytes: &[u8],
        is_object: bool,
        is_large: bool,
        depth: usize,
    ) -> Result<(), ValueError> {
        let width = Width(if is_large { 4 } else { 2 });
        let mut parts = parts(bytes, is_object, width)?;
        self.out.push(if is_object { b'{' } else { b'[' });
        for number in 0..parts.count {
            self.separate(number);
            if is_object {
                self.name(key(parts.bytes, width, &mut parts.keys)?)?;
            }
            self.check()?;
            let (kind, value) = entry(&mut parts, width, is_large)?;
            self.value(kind, value, depth)?;
        }
        self.out.push(if is_object { b'}' } else { b']' });
        Ok(())
    }

    fn separate(&mut self, number: usize) {
        if number > 0 {
            self.out.extend_from_slice(b", ");
        }
    }

    fn name(&mut self, name: &[u8]) -> Result<(), ValueError> {
        write_string(name, self.out)?;
        self.out.extend_from_slice(b": ");
        Ok(())
    }
}

/// Whether a kind is that of an object and not of an array, and whether it is a large one; `None` for scalars.
fn container_kind(kind: u8) -> Option<(bool, bool)> {
    match kind {
        kind::SMALL_OBJECT => Some((true, false)),
        kind::LARGE_OBJECT => Some((true, true)),
        kind::SMALL_ARRAY => Some((false, false)),
        kind::LARGE_ARRAY => Some((false, true)),
        _ => None,
    }
}

/// A container, before its entries are looked at.
struct Parts<'a> {
    /// All its bytes, which offsets count in.
    bytes: &'a [u8],
    count: usize,
    keys: Input<'a>,
    values: Input<'a>,
}

fn parts(bytes: &[u8], is_object: bool, width: Width) -> Result<Parts<'_>, ValueError> {
    let mut header = Input::new(bytes);
    let count = width.read(&mut header)?;
    let size = width.read(&mut header)?;
    let bytes = bytes.get(..size).ok_or(ValueError::Json)?;
    let mut table = |entry: usize| {
        let size = count.checked_mul(entry).ok_or(ValueError::Json)?;
        header.take(size).map_err(|_| ValueError::Json)
    };
    let keys = table(if is_object { width.0 + 2 } else { 0 })?;
    let values = table(1 + width.0)?;
    Ok(Parts {
        bytes,
        count,
        keys: Input::new(keys),
        values: Input::new(values),
    })
}

/// The kind of the next value, and the bytes that begin with it.
fn entry<'a>(
    parts: &mut Parts<'a>,
    width: Width,
    is_large: bool,
) -> Result<(u8, &'a [u8]), ValueError> {
    let kind = parts.values.u8().map_err(|_| ValueError::Json)?;
    let entry = parts.values.take(width.0).map_err(|_| ValueError::Json)?;
    if is_inlined(kind, is_large) {
        return Ok((kind, entry));
    }
    let offset = width.read(&mut Input::new(entry))?;
    let bytes = parts.bytes.get(offset..).ok_or(ValueError::Json)?;
    Ok((kind, bytes))
}

/// True for values that stand in the place of their offset.
fn is_inlined(kind: u8, is_large: bool) -> bool {
    match kind {
        kind::LITERAL | kind::INT16 | kind::UINT16 => true,
        kind::INT32 | kind::UINT32 => is_large,
        _ => false,
    }
}

/// The key that the next entry points to.
fn key<'a>(bytes: &'a [u8], width: Width, entries: &mut Input<'_>) -> Result<&'a [u8], ValueError> {
    let offset = width.read(entries)?;
    let length = usize::from(entries.u16().map_err(|_| ValueError::Json)?);
    let rest = bytes.get(offset..).ok_or(ValueError::Json)?;
    rest.get(..length).ok_or(ValueError::Json)
}

fn signed(input: &mut Input<'_>, bytes: u32) -> Result<i64, ValueError> {
    let size = usize::try_from(bytes).map_err(|_| ValueError::Json)?;
    let raw = input.little_endian(size).map_err(|_| ValueError::Json)?;
    let shift = 64 - 8 * bytes;
    Ok((raw << shift).cast_signed() >> shift)
}

/// Bytes after their length, which has seven bits a byte, the lowest first.
fn variable<'a>(input: &mut Input<'a>) -> Result<&'a [u8], ValueError> {
    let mut length = 0;
    for shift in (0..35).step_by(7) {
        let byte = input.u8().map_err(|_| ValueError::Json)?;
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let length = usize::try_from(length).map_err(|_| ValueError::Json)?;
            return input.take(length).map_err(|_| ValueError::Json);
        }
    }
    Err(ValueError::Json)
}

#[cfg(test)]
mod tests;
