//! Events of before a table was changed, read with the schema of after: by the Avro library here, and by another one
//! (`tests/end_to_end/test_schema_evolution.py`) from the file that this test makes.
//!
//! BINLOG_BRIDGE_REWRITE=1 writes the file anew.

use std::path::Path;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use apache_avro::types::Value as Avro;

use super::kinds::{Kind, every_kind};
use super::*;
use crate::schema::{Declared, DeclaredDefault};
use crate::value::Bit;

/// The rule whose values are decimals of fewer bytes than their precision could need, which nearly all are.
const SHORT: &str = "short decimals stay";
/// The rule with defaults of bytes above 0x7f: in JSON, the characters of those numbers.
const HIGH: &str = "a column with a DEFAULT of high bytes comes";

/// A change of a table, and an update of a row that was written before it.
struct Change {
    rule: &'static str,
    old: Vec<Column>,
    new: Vec<Column>,
    is_widened: bool,
    /// The images of before the change, in the order of the old columns.
    before: Vec<Option<Vec<u8>>>,
    after: Vec<Option<Vec<u8>>>,
    /// What they are after it, in the order of the new columns.
    before_read: Vec<Value>,
    after_read: Vec<Value>,
}

/// A column of a kind, and what it holds or stands for.
#[derive(Clone)]
struct Cell {
    column: Column,
    packed: Option<Vec<u8>>,
    read: Value,
}

fn cells(kinds: &[Kind], of: impl Fn(&Kind) -> Cell) -> Vec<Cell> {
    let named = |(number, kind)| {
        let mut cell = of(kind);
        cell.column.name = format!("c{number}");
        cell
    };
    kinds.iter().enumerate().map(named).collect()
}

/// A column that is not null, and its value.
fn cell(kind: &Kind) -> Cell {
    Cell {
        column: Column {
            name: String::new(),
            column_type: kind.column_type.clone(),
            nullable: false,
            declared: Some(Declared {
                sql_type: kind.sql.clone(),
                default: None,
                expression: None,
            }),
        },
        packed: Some(kind.packed.clone()),
        read: kind.value.clone(),
    }
}

impl Cell {
    fn nullable(mut self) -> Self {
        self.column.nullable = true;
        self
    }

    fn null(mut self) -> Self {
        self.packed = None;
        self.reads(Value::Null)
    }

    fn reads(mut self, read: Value) -> Self {
        self.read = read;
        self
    }

    fn default(mut self, default: Option<DeclaredDefault>) -> Self {
        self.column.declared.as_mut().unwrap().default = default;
        self
    }

    fn literal(self, text: &str) -> Self {
        self.default(Some(DeclaredDefault::Literal(text.to_owned())))
    }

    fn expression(self) -> Self {
        self.default(Some(DeclaredDefault::Expression(
            "(something())".to_owned(),
        )))
    }
}

/// What a column reads as in rows of before it came, without a literal default.
fn implicit(kind: &Kind) -> Value {
    match kind.column_type.may_be_invalid() {
        true => Value::Null,
        false => kind.implicit.clone(),
    }
}

/// The kinds once for each of their literal defaults.
fn literals(kinds: &[Kind]) -> Vec<(&Kind, &'static str, &Option<Value>)> {
    let mut all = Vec::new();
    for kind in kinds {
        all.extend(kind.literals.iter().map(|(text, read)| (kind, *text, read)));
    }
    all
}

fn with_literals(kinds: &[Kind], of: impl Fn(&Kind, &str, &Option<Value>) -> Cell) -> Vec<Cell> {
    let named = |(number, (kind, text, read)): (usize, (&Kind, &str, &Option<Value>))| {
        let mut cell = of(kind, text, read);
        cell.column.name = format!("c{number}");
        cell
    };
    literals(kinds).into_iter().enumerate().map(named).collect()
}

fn id() -> Cell {
    let column_type = INT;
    Cell {
        column: Column {
            name: "id".to_owned(),
            column_type,
            nullable: false,
            declared: None,
        },
        packed: int(1),
        read: json!(1),
    }
}

impl Change {
    /// Cells of the old table and of the new one, before the update and after it.
    fn new(rule: &'static str, old: [Vec<Cell>; 2], new: [Vec<Cell>; 2]) -> Self {
        let with_id = |cells: Vec<Cell>| [vec![id()], cells].concat();
        let [old, old_after] = old.map(with_id);
        let [new, new_after] = new.map(with_id);
        let packed = |cells: &[Cell]| cells.iter().map(|cell| cell.packed.clone()).collect();
        let read = |cells: &[Cell]| cells.iter().map(|cell| cell.read.clone()).collect();
        let columns = |cells: Vec<Cell>| cells.into_iter().map(|cell| cell.column).collect();
        Self {
            rule,
            is_widened: false,
            before: packed(&old),
            after: packed(&old_after),
            before_read: read(&new),
            after_read: read(&new_after),
            old: columns(old),
            new: columns(new),
        }
    }

    fn table(columns: &[Column]) -> TableDefinition {
        TableDefinition {
            name: TableName::new("shop", "t"),
            columns: columns.to_vec(),
            primary_key: vec![0],
            message_key: Vec::new(),
            packing: String::new(),
        }
    }

    fn schema(columns: &[Column], is_widened: bool) -> Value {
        let table = Self::table(columns);
        value_schema(&SchemaNames::new("bridge", &table.name), &table, is_widened).unwrap()
    }

    /// The event as it was published before the change.
    fn bytes(&self) -> Vec<u8> {
        let mut case = Case::new(Self::table(&self.old), 1);
        let images = [image(&self.before), image(&self.after)].concat();
        assert_eq!(case.rows(RowsKind::Update, &images), Ok(1), "{}", self.rule);
        let (_, arena) = case.batch.arenas().next().unwrap();
        let (_, value) = arena.get(arena.records()[0]).unwrap();
        value.unwrap()[5..].to_vec()
    }
}

fn changes() -> Vec<Change> {
    let kinds = every_kind();
    let mut changes = coming_and_going(&kinds);
    changes.extend(between_null_and_not(&kinds));
    changes.extend(other_defaults(&kinds));
    changes.extend(other_types(&kinds));
    changes.extend([short_decimals(), high_bytes()]);
    changes
}

fn coming_and_going(kinds: &[Kind]) -> Vec<Change> {
    let nothing = || [vec![], vec![]];
    let twice = |cells: Vec<Cell>| [cells.clone(), cells];
    let added = |rule, cells| Change::new(rule, nothing(), twice(cells));
    let plain = cells(kinds, |kind| cell(kind).reads(implicit(kind)));
    let expressions = cells(kinds, |kind| cell(kind).reads(implicit(kind)).expression());
    let literals = with_literals(kinds, |kind, text, read| {
        let read = read.clone().unwrap_or_else(|| implicit(kind));
        cell(kind).literal(text).reads(read)
    });
    let nullable_literals = with_literals(kinds, |kind, text, read| {
        let read = read.clone().unwrap_or(Value::Null);
        cell(kind).nullable().literal(text).reads(read)
    });
    let widened = |rule, cells| Change {
        is_widened: true,
        ..added(rule, cells)
    };
    let added_widened = plain.clone();
    let nullable = cells(kinds, |kind| cell(kind).nullable().null());
    let nullable_expressions = cells(kinds, |kind| cell(kind).nullable().null().expression());
    vec![
        added("a NOT NULL column without DEFAULT comes", plain),
        added("a NOT NULL column with a literal DEFAULT comes", literals),
        added("a NOT NULL column with an expression comes", expressions),
        added("a NULL column without DEFAULT comes", nullable),
        added(
            "a NULL column with a literal DEFAULT comes",
            nullable_literals,
        ),
        added(
            "a NULL column with an expression comes",
            nullable_expressions,
        ),
        widened("a column comes, and an image lacks columns", added_widened),
        Change::new("a column goes", twice(cells(kinds, cell)), nothing()),
    ]
}

fn between_null_and_not(kinds: &[Kind]) -> Vec<Change> {
    let twice = |cells: Vec<Cell>| [cells.clone(), cells];
    let not_null = || twice(cells(kinds, cell));
    let literals = || twice(with_literals(kinds, |kind, _, _| cell(kind)));
    let mut widened = Change::new("an image lacks columns", not_null(), not_null());
    widened.is_widened = true;
    vec![
        Change::new(
            "NOT NULL goes",
            not_null(),
            twice(cells(kinds, |kind| cell(kind).nullable())),
        ),
        Change::new(
            "NOT NULL goes, a literal DEFAULT comes",
            literals(),
            twice(with_literals(kinds, |kind, text, _| {
                cell(kind).nullable().literal(text)
            })),
        ),
        widened,
    ]
}

fn other_defaults(kinds: &[Kind]) -> Vec<Change> {
    let without = with_literals(kinds, |kind, _, _| cell(kind).nullable());
    let with = with_literals(kinds, |kind, text, _| cell(kind).nullable().literal(text));
    let null = |cells: &[Cell]| cells.iter().cloned().map(Cell::null).collect::<Vec<_>>();
    let from_null = |cells: &[Cell]| [null(cells), cells.to_vec()];
    let not_null = with_literals(kinds, |kind, _, _| cell(kind));
    let not_null_with = with_literals(kinds, |kind, text, _| cell(kind).literal(text));
    let twice = |cells: &[Cell]| [cells.to_vec(), cells.to_vec()];
    vec![
        Change::new(
            "NULL: a literal DEFAULT comes",
            from_null(&without),
            from_null(&with),
        ),
        Change::new(
            "NULL: a literal DEFAULT goes",
            from_null(&with),
            from_null(&without),
        ),
        Change::new(
            "NOT NULL: a literal DEFAULT comes",
            twice(&not_null),
            twice(&not_null_with),
        ),
        Change::new(
            "NOT NULL: a literal DEFAULT goes",
            twice(&not_null_with),
            twice(&not_null),
        ),
    ]
}

/// Types whose values Avro can read as those of another.
fn other_types(kinds: &[Kind]) -> Vec<Change> {
    const TYPES: [(&str, &str); 14] = [
        ("tinyint", "smallint"),
        ("smallint", "mediumint unsigned"),
        ("mediumint", "int"),
        ("int", "bigint"),
        ("int", "int unsigned"),
        ("int unsigned", "bigint"),
        ("smallint", "float"),
        ("int", "double"),
        ("float", "double"),
        ("char(10)", "varchar(10)"),
        ("varchar(10)", "text"),
        ("enum", "varchar(10)"),
        ("json", "text"),
        ("year", "int"),
    ];
    let kind = |sql: &str| kinds.iter().find(|kind| kind.sql == sql).unwrap();
    let cells = |of: fn(&Kind, &Kind) -> Cell| {
        let pair = |(number, (old, new)): (usize, &(&str, &str))| {
            let mut cell = of(kind(old), kind(new));
            cell.column.name = format!("c{number}");
            cell
        };
        TYPES.iter().enumerate().map(pair).collect::<Vec<_>>()
    };
    // JSON's numbers are as they are written: -128 and -128.0 differ.
    let read = |old: &Kind, new: &Kind| match (&new.column_type, old.value.as_i64()) {
        (ColumnType::Float(_), Some(number)) => {
            cell(new).reads(json!(f64::from(i32::try_from(number).unwrap())))
        }
        _ => cell(new).reads(old.value.clone()),
    };
    let old = cells(|old, _| cell(old));
    let new = cells(read);
    vec![Change::new(
        "a type is promoted",
        [old.clone(), old],
        [new.clone(), new],
    )]
}

fn short_decimals() -> Change {
    let short = |precision, scale, packed: &[u8], read: &str| {
        let column_type = ColumnType::Decimal(Decimal {
            precision,
            scale,
            unsigned: false,
        });
        let mut cell = Cell {
            packed: Some(packed.to_vec()),
            read: json!(read),
            ..id()
        };
        cell.column.name = format!("c{precision}");
        cell.column.column_type = column_type;
        cell
    };
    let cells = vec![
        short(5, 2, &[0x80, 0, 7], "0.07"),
        short(10, 2, &[0x7f, 0xff, 0xff, 0xfe, !28], "-1.28"),
        short(20, 0, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0], "0"),
    ];
    let literal = |cell: &Cell| Cell {
        column: Column {
            declared: Some(Declared {
                sql_type: cell.column.column_type.sql(),
                default: Some(DeclaredDefault::Literal("9".to_owned())),
                expression: None,
            }),
            ..cell.column.clone()
        },
        ..cell.clone()
    };
    let nullable = cells
        .iter()
        .cloned()
        .map(Cell::nullable)
        .collect::<Vec<_>>();
    let new = nullable.iter().map(literal).collect::<Vec<_>>();
    Change::new(SHORT, [cells, nullable], [new.clone(), new])
}

fn high_bytes() -> Change {
    let bit = |bits, text: &str, read: &str| {
        let mut cell = Cell {
            read: json!(read),
            ..id()
        };
        cell.column.name = format!("c{bits}");
        cell.column.column_type = ColumnType::Bit(Bit { bits });
        cell.column.declared = Some(Declared {
            sql_type: format!("bit({bits})"),
            default: None,
            expression: None,
        });
        cell.literal(text)
    };
    let new = vec![
        bit(8, "b'11111111'", "0xff"),
        bit(12, "b'100010000000'", "0x0880"),
    ];
    Change::new(HIGH, [vec![], vec![]], [new.clone(), new])
}

/// A value as the file has it: bytes in hex, a decimal as the server prints it, all else as Avro has it.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "what else the library has is not published"
)]
fn plain(value: &Avro, field_type: &Value) -> Value {
    let hex = |bytes: &[u8]| {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        json!(format!("0x{digits}"))
    };
    match value {
        Avro::Union(_, value) => {
            let branches = field_type.as_array().unwrap();
            let branch = branches.iter().find(|branch| *branch != "null").unwrap();
            plain(value, branch)
        }
        Avro::Null => Value::Null,
        Avro::Boolean(is_set) => json!(is_set),
        Avro::Int(number) | Avro::Date(number) => json!(number),
        Avro::Long(number) | Avro::TimestampMicros(number) | Avro::LocalTimestampMicros(number) => {
            json!(number)
        }
        // 0.1, not the double that is nearest to it.
        Avro::Float(number) => json!(number.to_string().parse::<f64>().unwrap()),
        Avro::Double(number) => json!(number),
        Avro::String(text) => json!(text),
        Avro::Bytes(bytes) => hex(bytes),
        Avro::Decimal(decimal) => {
            let scale = usize::try_from(field_type["scale"].as_u64().unwrap()).unwrap();
            json!(decimal_text(&<Vec<u8>>::try_from(decimal).unwrap(), scale))
        }
        Avro::Array(items) => items.iter().map(|item| plain(item, &Value::Null)).collect(),
        Avro::Record(fields) => {
            let of = |(name, value): &(String, Avro)| (name.clone(), plain(value, &Value::Null));
            fields.iter().map(of).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// A number in two's complement, digit by digit.
fn decimal_text(bytes: &[u8], scale: usize) -> String {
    let is_negative = bytes[0] >= 0x80;
    let mut digits = vec![0_u32];
    for byte in bytes {
        let mut carry = u32::from(if is_negative { !byte } else { *byte });
        for digit in &mut digits {
            let sum = *digit * 256 + carry;
            (*digit, carry) = (sum % 10, sum / 10);
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    }
    // -x - 1 became x.
    let mut carry = u32::from(is_negative);
    for digit in &mut digits {
        (*digit, carry) = ((*digit + carry) % 10, (*digit + carry) / 10);
    }
    digits.extend((carry > 0).then_some(1));
    digits.resize(digits.len().max(scale + 1), 0);
    let text = |digits: &[u32]| digits.iter().rev().map(u32::to_string).collect::<String>();
    let whole = text(&digits[scale..]);
    let sign = if is_negative { "-" } else { "" };
    let point = if scale > 0 { "." } else { "" };
    format!("{sign}{whole}{point}{}", text(&digits[..scale]))
}

/// The rows that the Avro library reads: before and after.
fn read_rows(change: &Change, writer: &Value, reader: &Value) -> Result<[Value; 2], String> {
    let parse = |schema: &Value| Schema::parse_str(&schema.to_string()).unwrap();
    let (writer, reader_schema) = (parse(writer), parse(reader));
    let verdict = SchemaCompatibility::can_read(&writer, &reader_schema).unwrap();
    assert_eq!(verdict, Compatibility::Full, "{}", change.rule);
    let datum = GenericDatumReader::builder(&writer)
        .reader_schema(&reader_schema)
        .build()
        .unwrap();
    let bytes = change.bytes();
    let value = datum
        .read_value(&mut &bytes[..])
        .map_err(|error| error.to_string())?;
    let Avro::Record(fields) = value else {
        panic!("no record");
    };
    let types = reader["fields"][0]["type"][1]["fields"].as_array().unwrap();
    let row = |number: usize| {
        let Avro::Union(1, row) = &fields[number].1 else {
            panic!("{fields:?}");
        };
        let Avro::Record(columns) = &**row else {
            panic!("{row:?}");
        };
        let column = |((_, value), field): (&(String, Avro), &Value)| plain(value, &field["type"]);
        columns.iter().zip(types).map(column).collect::<Value>()
    };
    Ok([row(0), row(1)])
}

#[test]
fn old_events_are_read_with_the_new_schema() {
    let mut lines = String::new();
    for change in changes() {
        let writer = Change::schema(&change.old, false);
        let reader = Change::schema(&change.new, change.is_widened);
        let expected = [json!(change.before_read), json!(change.after_read)];
        match read_rows(&change, &writer, &reader) {
            // The library takes UTF-8 for the bytes that the characters stand for.
            Ok(rows) if change.rule == HIGH => {
                let mistaken = json!([1, "0xc3bf", "0x08c280"]);
                assert_eq!(rows, [mistaken.clone(), mistaken]);
            }
            Ok(rows) => {
                assert_eq!(rows, expected, "{}", change.rule);
                assert_ne!(change.rule, SHORT, "the library reads them: SHORT can go");
            }
            // The library takes a decimal over to another schema only with as many bytes as its precision could
            // need; nobody writes them so.
            Err(error) => {
                assert_eq!(change.rule, SHORT, "{error}");
                assert!(error.starts_with("Could not find matching type"), "{error}");
            }
        }
        let bytes: String = change
            .bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let line = json!({
            "rule": change.rule, "writer": writer, "reader": reader, "event": bytes,
            "before": expected[0], "after": expected[1],
        });
        lines.push_str(&format!("{line}\n"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/evolution/cases.jsonl");
    if std::env::var_os("BINLOG_BRIDGE_REWRITE").is_some() {
        std::fs::write(&path, &lines).unwrap();
    }
    let is_same = std::fs::read_to_string(&path).unwrap_or_default() == lines;
    assert!(
        is_same,
        "{}: BINLOG_BRIDGE_REWRITE=1 writes it anew",
        path.display()
    );
}
