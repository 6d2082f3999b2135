//! JSON: a length in four bytes, then the server's binary form; Avro gets the text that the server prints.
//!
//! The binary form is a tree of containers, whose entries point to their values by offset (MySQL source,
//! `sql-common/json_binary.h`). Keys stay in its order: by length, then by bytes. The text is what `Json_wrapper::
//! to_string` prints (`sql-common/json_dom.cc`); its numbers and opaque values are in [`text`].

mod text;

use super::ValueError;
use crate::avro::binary::write_length;
use crate::input::Input;
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
    let length = usize::try_from(input.u32()?).map_err(|_| ValueError::Truncated)?;
    let document = input.take(length)?;
    let start = out.len();
    write_document(document, out).inspect_err(|_| out.truncate(start))?;
    // The length of the text is known only now; it goes before it.
    let end = out.len();
    write_length(out, end - start);
    let moved = out.len() - end;
    out.get_mut(start..).unwrap_or_default().rotate_right(moved);
    Ok(())
}

/// Appends the text of a document.
fn write_document(document: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let Some((kind, value)) = document.split_first() else {
        // What the server stores where a statement ignores that there is no value.
        out.extend_from_slice(b"null");
        return Ok(());
    };
    let most = document
        .len()
        .saturating_mul(TEXT_FOR_EACH_BYTE_MAX)
        .saturating_add(TEXT_BYTES_MIN);
    let end_max = out.len().saturating_add(most);
    Printer { out, end_max }.value(*kind, value, DEPTH_MAX)
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
        match kind {
            kind::SMALL_OBJECT | kind::LARGE_OBJECT | kind::SMALL_ARRAY | kind::LARGE_ARRAY => {
                let depth = depth.checked_sub(1).ok_or(ValueError::Json)?;
                self.container(kind, bytes, depth)?;
            }
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

    fn container(&mut self, kind: u8, bytes: &[u8], depth: usize) -> Result<(), ValueError> {
        let is_large = matches!(kind, kind::LARGE_OBJECT | kind::LARGE_ARRAY);
        let is_object = matches!(kind, kind::SMALL_OBJECT | kind::LARGE_OBJECT);
        let width = Width(if is_large { 4 } else { 2 });
        let mut header = Input::new(bytes);
        let count = width.read(&mut header)?;
        let size = width.read(&mut header)?;
        let bytes = bytes.get(..size).ok_or(ValueError::Json)?;
        let key_entry = if is_object { width.0 + 2 } else { 0 };
        let keys_bytes = count.checked_mul(key_entry).ok_or(ValueError::Json)?;
        let mut keys = Input::new(header.take(keys_bytes).map_err(|_| ValueError::Json)?);
        let entries = count.checked_mul(1 + width.0).ok_or(ValueError::Json)?;
        let mut values = Input::new(header.take(entries).map_err(|_| ValueError::Json)?);
        self.out.push(if is_object { b'{' } else { b'[' });
        for number in 0..count {
            if number > 0 {
                self.out.extend_from_slice(b", ");
            }
            if is_object {
                write_string(key(bytes, width, &mut keys)?, self.out)?;
                self.out.extend_from_slice(b": ");
            }
            let kind = values.u8().map_err(|_| ValueError::Json)?;
            let entry = values.take(width.0).map_err(|_| ValueError::Json)?;
            if is_inlined(kind, is_large) {
                self.value(kind, entry, depth)?;
            } else {
                let offset = width.read(&mut Input::new(entry))?;
                self.value(kind, bytes.get(offset..).ok_or(ValueError::Json)?, depth)?;
            }
        }
        self.out.push(if is_object { b'}' } else { b']' });
        Ok(())
    }
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
