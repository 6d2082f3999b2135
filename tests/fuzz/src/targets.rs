//! One function for each target: any bytes go in, and how much was understood comes out.

use apache_avro::types::Value as Avro;
use binlog_bridge_core::avro::{SchemaNames, key_schema, value_schema};
use binlog_bridge_core::decode::{Decoder, Item, Pairs, Statement};
use binlog_bridge_core::event::Part;
use binlog_bridge_core::frames::{Frame, Frames};
use binlog_bridge_core::position::{FileOffset, GtidSet, Position};
use binlog_bridge_core::schema::{
    DescribedColumn, DescribedKey, DescribedTable, Dialect, KeyPart, Mentions, PRIMARY,
    TableDefinition, may_define,
};
use binlog_bridge_core::selection::TableName;
use binlog_bridge_core::value::{BigintUnsigned, InvalidText, KeyDates, Tinyint1, TypeOptions};

use super::stream::{PARTIAL_UPDATE_ROWS, Stream, TABLE_MAP, WRITE_ROWS, beginning, event, format};

const TABLE_ID: [u8; 6] = [8, 0, 0, 0, 0, 0];

/// Takes so many bytes from the front; less if there are no more.
fn take<'a>(data: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = data.split_at(count.min(data.len()));
    *data = rest;
    taken
}

fn number(data: &mut &[u8]) -> usize {
    take(data, 2)
        .iter()
        .fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// Takes two bytes of a length, and so many bytes.
fn chunk<'a>(data: &mut &'a [u8]) -> &'a [u8] {
    let length = number(data);
    take(data, length)
}

/// Events: a byte of flags, the number, and a body. Bit 0 cuts the event in parts, bit 1 damages the checksum.
pub fn events(data: &[u8]) -> usize {
    events_of("8.0.31", data)
}

/// The same of a MariaDB server.
pub fn mariadb(data: &[u8]) -> usize {
    events_of("11.8.6-MariaDB", data)
}

fn events_of(version: &str, mut data: &[u8]) -> usize {
    let mut stream = Stream::new(false, TypeOptions::default());
    stream.event(&format(version));
    let mut count = 0;
    while let [flags, number, rest @ ..] = data {
        data = rest;
        let mut bytes = event(*number, chunk(&mut data));
        if flags & 2 != 0 {
            bytes[10] ^= 1;
        }
        let goes_on = if flags & 1 == 0 {
            stream.piece(Part::Whole, &bytes)
        } else {
            let (first, rest) = bytes.split_at(bytes.len().min(27));
            let (middle, last) = rest.split_at(rest.len() / 2);
            stream.piece(Part::First, first)
                && stream.piece(Part::Middle, middle)
                && stream.piece(Part::Last, last)
        };
        if !goes_on {
            break;
        }
        count += 1;
    }
    count
}

/// A compressed transaction: a byte of flags (bit 0: compressed with zstd, bit 1: in parts), the size that its events are said
/// to have, and what is packed.
pub fn payloads(mut data: &[u8]) -> usize {
    const TRANSACTION_PAYLOAD: u8 = 40;
    let flags = take(&mut data, 1).first().copied().unwrap_or_default();
    let size = u16::try_from(number(&mut data)).unwrap();
    let packed = u16::try_from(data.len()).unwrap_or(u16::MAX);
    // A number and its length: ZSTD, or none.
    let mut body = match flags & 1 {
        1 => vec![2, 1, 0],
        _ => vec![2, 3, 252, 255, 0],
    };
    body.extend([3, 3, 252]);
    body.extend(size.to_le_bytes());
    body.extend([1, 3, 252]);
    body.extend(packed.to_le_bytes());
    body.push(0);
    body.extend(data);
    let event = event(TRANSACTION_PAYLOAD, &body);
    let mut stream = Stream::new(false, TypeOptions::default());
    let [format, gtid, _] = beginning();
    let is_open = stream.event(&format) && stream.event(&gtid);
    let is_read = is_open
        && match flags & 2 {
            0 => stream.piece(Part::Whole, &event),
            _ => {
                let (first, rest) = event.split_at(event.len().min(60));
                let (middle, last) = rest.split_at(rest.len() / 2);
                stream.piece(Part::First, first)
                    && stream.piece(Part::Middle, middle)
                    && stream.piece(Part::Last, last)
            }
        };
    usize::from(is_read)
}

/// What a server sends in a dump: the size of parts, how many bytes arrive at once, and the packets. What is not taken apart yet
/// fits into the buffer that was asked for, and parts are those of one event.
pub fn frames(mut data: &[u8]) -> usize {
    let part_bytes_max = number(&mut data);
    let at_once = 1 + number(&mut data);
    let mut frames = Frames::new(part_bytes_max, 1);
    let (mut buffer, mut at, mut count) = (Vec::new(), 0, 0);
    let mut is_open = false;
    for arrived in data.chunks(at_once) {
        buffer.extend(arrived);
        loop {
            match frames.next(&buffer, &mut at) {
                Ok(None) => break,
                Ok(Some(Frame::Piece(part, range))) => {
                    assert!(!buffer[range].is_empty());
                    assert_eq!(is_open, matches!(part, Part::Middle | Part::Last));
                    is_open = matches!(part, Part::First | Part::Middle);
                    count += 1;
                }
                Ok(Some(Frame::Error(range))) => {
                    assert!(!buffer[range].is_empty());
                    return count;
                }
                Ok(Some(Frame::End)) | Err(_) => return count,
            }
        }
        buffer.drain(..at);
        at = 0;
        assert!(buffer.len() < frames.buffer_bytes_min());
    }
    count
}

/// A table map's body behind the table id, and what the server says of the table.
pub fn table_maps(mut data: &[u8]) -> usize {
    let body = [&TABLE_ID[..], chunk(&mut data)].concat();
    let bytes = event(TABLE_MAP, &body);
    let dialect = Dialect::of_version(
        ["8.0.31", "5.7.22", "11.8.6-MariaDB"]
            .get(data.len() % 3)
            .unwrap(),
    );
    let described = described(data);
    let at = FileOffset::default();
    let mut decoder = Decoder::new(Position::File { at });
    for bytes in beginning() {
        decoder.event(&bytes).unwrap();
    }
    let Ok((_, Item::TableMap(map))) = decoder.event(&bytes) else {
        return 0;
    };
    let mut count = 0;
    let _ = map.packing();
    let named = TableDefinition::from_table_map(&map);
    let from_server = TableDefinition::from_described(&map, &described, dialect);
    for definition in named.into_iter().chain(from_server) {
        count += 1;
        let definition = definition.declared(&map, &described, dialect);
        let names = SchemaNames::new("task", &definition.name);
        // Names that clash are refused elsewhere; whatever else is made can be read.
        let schemas = [
            Some(value_schema(&names, &definition, true).unwrap()),
            key_schema(&names, &definition),
        ];
        for schema in schemas.into_iter().flatten() {
            if let Err(error) = apache_avro::Schema::parse_str(&schema.to_string()) {
                let text = error.to_string();
                assert!(
                    text.to_lowercase().contains("duplicate") || text.contains("unique"),
                    "{text}: {schema}"
                );
            }
        }
    }
    count
}

/// Lines of text as columns: name, type, default, and what else there is of them.
fn described(data: &[u8]) -> DescribedTable {
    let text = String::from_utf8_lossy(data);
    for pairs in [Pairs::None, Pairs::Sjis, Pairs::Wide] {
        let statement = Statement {
            database: b"shop",
            text: data,
            has_escapes: pairs == Pairs::None,
            pairs,
            ends_transaction: true,
            ..Statement::default()
        };
        let _ = may_define(&statement);
        let _ = Mentions::of(&statement, true).may_touch(&TableName::new("shop", "t"));
    }
    let columns: Vec<_> = text
        .lines()
        .map(|line| {
            let mut parts = line.split('\t');
            let mut next = || parts.next().map(str::to_owned);
            DescribedColumn {
                name: next().unwrap_or_default(),
                sql_type: next().unwrap_or_default(),
                nullable: line.len() % 2 == 0,
                collation: (line.len() % 3 != 0).then_some(255),
                default: next(),
                extra: next().unwrap_or_default(),
                expression: next().unwrap_or_default(),
                is_unproven: false,
            }
        })
        .collect();
    let part = |column: &DescribedColumn| KeyPart {
        column: Some(column.name.clone()),
        prefix: None,
    };
    let keys = columns.first().map(|column| DescribedKey {
        name: PRIMARY.to_owned(),
        is_unique: true,
        parts: vec![part(column)],
        is_declared: false,
    });
    DescribedTable {
        columns,
        keys: keys.into_iter().collect(),
        collation: None,
        is_versioned: false,
    }
}

/// The types that flags choose.
fn types(flags: u8) -> TypeOptions {
    let mut types = TypeOptions::default();
    if flags & 2 != 0 {
        types.bigint_unsigned = BigintUnsigned::Long;
        types.invalid_text = InvalidText::Replace;
        types.key_dates = KeyDates::String;
    }
    if flags & 4 != 0 {
        types.tinyint1 = Tinyint1::Boolean;
    }
    types
}

/// A byte of flags (bit 0 widens, bits 1 and 2 choose types), a table map's body behind the table id, and rows events of
/// a number and a body behind the id.
pub fn rows(mut data: &[u8]) -> usize {
    let flags = take(&mut data, 1).first().copied().unwrap_or_default();
    let mut stream = Stream::new(flags & 1 == 1, types(flags));
    let map = [&TABLE_ID[..], chunk(&mut data)].concat();
    let is_open = beginning().iter().all(|bytes| stream.event(bytes))
        && stream.event(&event(TABLE_MAP, &map));
    while is_open && !data.is_empty() {
        let number = take(&mut data, 1)[0];
        let body = [&TABLE_ID[..], chunk(&mut data)].concat();
        if !stream.event(&event(number, &body)) {
            break;
        }
    }
    stream.values.len()
}

/// The body of a table map behind the table id: `shop.t` with columns `id`, an INT and the primary key, and `c`, that
/// may be NULL.
fn two_columns(type_number: u8, metadata: &[u8]) -> Vec<u8> {
    let mut body = [
        &TABLE_ID[..],
        &[1, 0, 4],
        b"shop\0",
        &[1],
        b"t\0",
        &[2, 3, type_number],
    ]
    .concat();
    body.push(u8::try_from(metadata.len()).unwrap());
    body.extend(metadata);
    // Which may be NULL; all signed; names; the primary key.
    body.extend([2, 1, 1, 0, 4, 5, 2, b'i', b'd', 1, b'c', 8, 1, 0]);
    body
}

/// The values of `c` that come out of an event of rows.
fn values_of(type_number: u8, metadata: &[u8], number: u8, body: &[u8]) -> Vec<Avro> {
    let mut stream = Stream::new(false, TypeOptions::default());
    assert!(beginning().iter().all(|bytes| stream.event(bytes)));
    assert!(stream.event(&event(TABLE_MAP, &two_columns(type_number, metadata))));
    let body = [&TABLE_ID[..], &[1, 0, 2, 0], body].concat();
    stream.event(&event(number, &body));
    let field = |value: Avro, name: &str| match value {
        Avro::Record(fields) => fields
            .into_iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value),
        _ => None,
    };
    let images = stream
        .values
        .into_iter()
        .filter_map(|value| match field(value, "after") {
            Some(Avro::Union(1, row)) => field(*row, "c"),
            _ => None,
        });
    images
        .filter_map(|value| match value {
            Avro::Union(1, value) => Some(*value),
            _ => None,
        })
        .collect()
}

/// Binary JSON as documents of inserted rows, or as changes of a document: the text must be JSON.
pub fn json(mut data: &[u8]) -> usize {
    const JSON: u8 = 245;
    let flags = take(&mut data, 1).first().copied().unwrap_or_default();
    let packed = |document: &[u8]| {
        let length = u32::try_from(document.len()).unwrap().to_le_bytes();
        [&[0, 1, 0, 0, 0], &length[..], document].concat()
    };
    let (number, body) = if flags & 1 == 0 {
        (WRITE_ROWS, [&[2, 0xff][..], &packed(data)].concat())
    } else {
        let before = packed(chunk(&mut data));
        // The row options of the after image: the one JSON column is given by its changes.
        let body = [&[2, 0xff, 0xff][..], &before, &[1, 1], &packed(data)].concat();
        (PARTIAL_UPDATE_ROWS, body)
    };
    let values = values_of(JSON, &[4], number, &body);
    for value in &values {
        let Avro::String(text) = value else {
            panic!("a document is no text");
        };
        let read = serde_json::from_str::<serde::de::IgnoredAny>(text);
        assert!(read.is_ok(), "{read:?}: {text}");
    }
    values.len()
}

/// Precision and scale, and packed decimals: what comes out has no more digits than the column.
pub fn decimals(mut data: &[u8]) -> usize {
    const NEWDECIMAL: u8 = 246;
    let [precision, scale] = *take(&mut data, 2) else {
        return 0;
    };
    let (precision, scale) = (1 + precision % 65, scale % 31);
    if scale > precision {
        return 0;
    }
    let body = [&[2, 0xff, 0, 1, 0, 0, 0][..], data].concat();
    let values = values_of(NEWDECIMAL, &[precision, scale], WRITE_ROWS, &body);
    for value in &values {
        let Avro::Decimal(decimal) = value else {
            panic!("a DECIMAL is no decimal");
        };
        let bytes: Vec<u8> = decimal.try_into().unwrap();
        // 10^65 takes 27 bytes and a bit.
        assert!(bytes.len() <= 28, "{bytes:?}");
    }
    values.len()
}

/// GTID sets as text: what is printed reads the same, and the operations agree with one another.
pub fn gtid_sets(mut data: &[u8]) -> usize {
    let parse = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<GtidSet>().ok();
    let (Some(one), Some(other)) = (parse(chunk(&mut data)), parse(data)) else {
        return 0;
    };
    for set in [&one, &other] {
        let again: GtidSet = set.to_string().parse().unwrap();
        assert_eq!(again, *set);
        assert!(set.is_subset_of(set) && set.subtract(set).is_empty());
    }
    let rest = one.subtract(&other);
    assert!(rest.is_subset_of(&one));
    assert_eq!(rest.is_empty(), one.is_subset_of(&other));
    assert_eq!(rest.subtract(&other), rest);
    // What is in both.
    let both = one.subtract(&rest);
    assert!(both.is_subset_of(&one) && both.is_subset_of(&other));
    assert_eq!(one.subtract(&both), rest);
    1
}
