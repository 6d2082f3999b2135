//! A fast wrong answer counts as zero: every row is decoded by the Avro library and compared, by a checksum of
//! all its columns, with what the server said of the same rows.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;

use super::topic;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Kafka brokers, host:port
    #[arg(long)]
    bootstrap: String,
    /// The topic to read
    #[arg(long)]
    topic: String,
    /// The file with the Avro schema of its keys
    #[arg(long)]
    key_schema: PathBuf,
    /// The file with the Avro schema of its values
    #[arg(long)]
    value_schema: PathBuf,
}

/// A zero byte and the schema's id precede each datum.
const FRAME_LEN: usize = 5;

/// What `run.py` compares with the server's answer.
#[derive(Default)]
struct Sums {
    rows: u64,
    keys: i64,
    checksums: u64,
    /// Rows whose key does not follow the key before: lost, doubled or out of order.
    out_of_order: u64,
    last_key: i64,
}

pub(super) fn check(arguments: &Arguments) -> anyhow::Result<()> {
    let key_schema = schema(&arguments.key_schema)?;
    let value_schema = schema(&arguments.value_schema)?;
    let keys = GenericDatumReader::builder(&key_schema).build()?;
    let values = GenericDatumReader::builder(&value_schema).build()?;
    let mut sums = Sums::default();
    let mut text = String::new();
    topic::read(&arguments.bootstrap, &arguments.topic, |key, value| {
        let key = decode(&keys, key)?;
        let value = decode(&values, value)?;
        sums.add(&key, &value, &mut text)
    })?;
    super::say(&serde_json::json!({
        "rows": sums.rows,
        "keys": sums.keys,
        "checksums": sums.checksums,
        "out_of_order": sums.out_of_order,
    }))
}

impl Sums {
    fn add(&mut self, key: &Value, value: &Value, text: &mut String) -> anyhow::Result<()> {
        let after = field(value, "after").context("a row without its after image")?;
        let Value::Record(columns) = after else {
            bail!("the after image is no record");
        };
        text.clear();
        for (number, (_, column)) in columns.iter().enumerate() {
            if number > 0 {
                text.push('|');
            }
            write_column(column, text)?;
        }
        let key = long(key, "id")?;
        if key != long(after, "id")? {
            bail!("the key {key} is not that of its row");
        }
        if key != self.last_key + 1 {
            self.out_of_order += 1;
        }
        self.last_key = key;
        self.rows += 1;
        self.keys += key;
        self.checksums += u64::from(crc32fast::hash(text.as_bytes()));
        Ok(())
    }
}

/// A column in the form in which `bulk.py` has the server write it: a number, or the text itself.
fn write_column(column: &Value, text: &mut String) -> anyhow::Result<()> {
    match column {
        Value::Union(_, inner) => return write_column(inner, text),
        Value::Null => text.push('-'),
        Value::String(string) => text.push_str(string),
        Value::Int(number) => write!(text, "{number}")?,
        Value::Long(number)
        | Value::TimestampMicros(number)
        | Value::LocalTimestampMicros(number) => write!(text, "{number}")?,
        Value::Decimal(decimal) => {
            let bytes = Vec::<u8>::try_from(decimal)?;
            let sign = bytes
                .first()
                .map_or(0, |first| if *first < 0x80 { 0 } else { -1 });
            let unscaled = bytes
                .iter()
                .fold(sign, |number: i64, byte| (number << 8) | i64::from(*byte));
            write!(text, "{unscaled}")?;
        }
        other => bail!("a column of a kind that the bulk table does not have: {other:?}"),
    }
    Ok(())
}

fn long(record: &Value, name: &str) -> anyhow::Result<i64> {
    match field(record, name) {
        Some(Value::Long(number)) => Ok(*number),
        _ => bail!("{name} is not there or no long"),
    }
}

/// A field of a record, out of its union.
fn field<'a>(record: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Record(fields) = record else {
        return None;
    };
    let (_, value) = fields.iter().find(|(field, _)| field == name)?;
    match value {
        Value::Union(_, inner) => Some(inner),
        other => Some(other),
    }
}

fn decode(reader: &GenericDatumReader<'_>, framed: &[u8]) -> anyhow::Result<Value> {
    let mut rest = framed
        .get(FRAME_LEN..)
        .context("a record without a frame")?;
    let value = reader.read_value(&mut rest)?;
    if !rest.is_empty() {
        bail!("{} bytes are left behind a value", rest.len());
    }
    Ok(value)
}

fn schema(file: &Path) -> anyhow::Result<Schema> {
    let text = std::fs::read_to_string(file)?;
    Ok(Schema::parse_str(&text)?)
}
