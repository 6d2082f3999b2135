//! The few pieces of Avro's binary encoding that rows need (Avro specification 1.12, "Binary Encoding").

/// Appends an int or a long: zigzag, then 7 bits a byte, lowest first.
#[inline]
pub(crate) fn write_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned();
    while rest > 0x7f {
        out.push(low_byte(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low_byte(rest));
}

#[inline]
#[allow(
    clippy::cast_possible_truncation,
    reason = "the low byte is what is wanted"
)]
fn low_byte(value: u64) -> u8 {
    value as u8
}

/// Reads what [`write_long`] has written; returns what follows it, too.
pub(crate) fn read_long(bytes: &[u8]) -> (i64, &[u8]) {
    let mut zigzag = 0_u64;
    let mut shift = 0;
    let mut rest = bytes;
    while let [byte, behind @ ..] = rest {
        rest = behind;
        zigzag |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift > 63 {
            break;
        }
    }
    (
        (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed(),
        rest,
    )
}

/// Appends a length as Avro counts it.
#[inline]
pub(crate) fn write_length(out: &mut Vec<u8>, length: usize) {
    // A slice is never longer than i64::MAX bytes.
    write_long(out, i64::try_from(length).unwrap_or(i64::MAX));
}

/// Appends bytes or a string: length, then the bytes.
#[inline]
pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// The first branch of a union.
pub(crate) const BRANCH_0: u8 = 0;
/// The second branch of a union.
pub(crate) const BRANCH_1: u8 = 2;

/// Appends an optional string as `["null", "string"]`.
pub(crate) fn write_optional_string(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => out.push(BRANCH_0),
        Some(text) => {
            out.push(BRANCH_1);
            write_bytes(out, text.as_bytes());
        }
    }
}

/// Appends an optional long as `["null", "long"]`.
pub(crate) fn write_optional_long(out: &mut Vec<u8>, value: Option<i64>) {
    match value {
        None => out.push(BRANCH_0),
        Some(value) => {
            out.push(BRANCH_1);
            write_long(out, value);
        }
    }
}

/// Appends an array of strings.
pub(crate) fn write_strings<'a>(out: &mut Vec<u8>, items: impl ExactSizeIterator<Item = &'a str>) {
    if items.len() > 0 {
        write_length(out, items.len());
        for item in items {
            write_bytes(out, item.as_bytes());
        }
    }
    out.push(0);
}

/// Bytes of the header that [`begin_record`] writes.
pub(crate) const RECORD_HEADER_LEN: usize = 5;

/// Begins a record in the wire format of Confluent's registry: a zero byte and the schema's id, big-endian.
pub(crate) fn begin_record(out: &mut Vec<u8>, schema_id: u32) {
    out.clear();
    out.push(0);
    out.extend_from_slice(&schema_id.to_be_bytes());
}
