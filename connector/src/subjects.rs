//! May this schema go under this subject, and under which id?
//!
//! Whether new readers can read old bytes (BACKWARD) is decided here, before anything is registered: a
//! registry's own default may be no check at all. Stricter than the registries are: a change of a logical
//! type, of a decimal's precision or scale, of a record's name, or from bytes to string is refused, as a
//! reader would take the old bytes for something else or fail on some of them.
//!
//! No text made here holds a default value: defaults are SQL literals (I9).

use std::collections::{BTreeMap, BTreeSet};

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, RecordField, RecordSchema, SchemaKind};
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use serde::Deserialize;
use serde_json::Value;

use crate::registry::{Registry, RegistryError, RegistryErrorKind};

/// The level set on the subjects we make.
pub const COMPATIBILITY_LEVEL: &str = "BACKWARD";

/// The level at which a registry checks nothing.
const UNCHECKED: &str = "NONE";

/// Bytes of one schema's text. A table of 4096 columns (the server's limit) takes less than 4 MiB.
pub const SCHEMA_BYTES_MAX: usize = 4 << 20;

/// What is done if readers of a table's new schema could not read its old events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Incompatible {
    /// The stream halts before the first row of it.
    #[default]
    Halt,
    /// It is registered all the same, as the next version of its subject.
    NewVersion,
    /// The table goes on in another topic.
    NewTopic,
}

/// A schema could not be put under its subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// Readers of the new schema could not read what the newest one wrote. Nothing was registered.
    #[error("subject {subject}: the new schema cannot read what the newest one wrote: {cause}")]
    Incompatible {
        /// The subject.
        subject: String,
        /// Which field, and what became of it.
        cause: String,
    },
    /// One of the schemas is not one we can read, so that nothing can be said. Nothing was registered.
    #[error("subject {subject}: {cause}")]
    Unreadable {
        /// The subject.
        subject: String,
        /// Which schema, and why.
        cause: String,
    },
    /// The registry has another schema under the id that it gave.
    #[error("subject {subject}: the registry gave id {id}, under which it has another schema")]
    OtherSchema {
        /// The subject.
        subject: String,
        /// The id.
        id: u32,
    },
    /// A request to the registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// What a new schema is to the newest one under its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The same, all properties included.
    None,
    /// Another one that reads what the newest one wrote.
    Compatible,
}

/// Makes sure that `schema` stands under `subject`, which is BACKWARD, and returns its id.
///
/// Registers only what is new and compatible. A level somebody else set on the subject stays.
///
/// # Errors
/// See [`SubjectError`].
pub async fn ensure_subject<R: Registry>(
    registry: &R,
    subject: &str,
    schema: &str,
) -> Result<u32, SubjectError> {
    let id = find_or_register(registry, subject, schema).await?;
    check_stored(registry, subject, schema, id).await?;
    Ok(id)
}

/// Registers a schema with which what the newest one wrote cannot be read: meanwhile the registry does not check the subject.
///
/// # Errors
/// See [`SubjectError`].
pub async fn register_regardless<R: Registry>(
    registry: &R,
    subject: &str,
    schema: &str,
) -> Result<u32, SubjectError> {
    let level = registry.compatibility(subject).await?;
    registry.set_compatibility(subject, UNCHECKED).await?;
    let registered = register(registry, subject, schema).await;
    // Whoever ended in between has left the subject unchecked.
    let level = level.filter(|level| level != UNCHECKED);
    let level = level.as_deref().unwrap_or(COMPATIBILITY_LEVEL);
    registry.set_compatibility(subject, level).await?;
    let id = registered?;
    check_stored(registry, subject, schema, id).await?;
    Ok(id)
}

/// Whoever ended while [`register_regardless`] had the check of a subject off has left it so.
///
/// # Errors
/// See [`SubjectError`].
pub async fn check_again<R: Registry>(registry: &R, subject: &str) -> Result<(), SubjectError> {
    if registry.compatibility(subject).await?.as_deref() == Some(UNCHECKED) {
        registry
            .set_compatibility(subject, COMPATIBILITY_LEVEL)
            .await?;
    }
    Ok(())
}

async fn check_stored<R: Registry>(
    registry: &R,
    subject: &str,
    schema: &str,
    id: u32,
) -> Result<(), SubjectError> {
    // Readers decode by the id alone: a wrong one makes all that is written with it unreadable, or worse.
    let stored = registry.schema_by_id(id).await?;
    if decodes_alike(&stored, schema) {
        return Ok(());
    }
    Err(SubjectError::OtherSchema {
        subject: subject.to_owned(),
        id,
    })
}

/// True if both describe the same bytes: some registries do not keep the text of a schema, but write it anew. (Avro
/// specification, "Parsing Canonical Form for Schemas")
fn decodes_alike(stored: &str, schema: &str) -> bool {
    match (parse_schema(stored), parse_schema(schema)) {
        (Ok(stored), Ok(schema)) => canonical(&stored) == canonical(&schema),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// The library leaves the order of fields in, which says how records are sorted, not what their bytes mean.
fn canonical(schema: &Schema) -> Value {
    let mut form = serde_json::from_str(&schema.canonical_form()).expect("it is plain JSON");
    leave_out_order(&mut form);
    form
}

fn leave_out_order(form: &mut Value) {
    match form {
        Value::Object(entries) => {
            entries.remove("order");
            entries.values_mut().for_each(leave_out_order);
        }
        Value::Array(entries) => entries.iter_mut().for_each(leave_out_order),
        _ => {}
    }
}

async fn find_or_register<R: Registry>(
    registry: &R,
    subject: &str,
    schema: &str,
) -> Result<u32, SubjectError> {
    let Some(newest) = registry.latest(subject).await? else {
        parse_schema(schema).map_err(|cause| unreadable(subject, "the new schema", &cause))?;
        let id = register(registry, subject, schema).await?;
        registry
            .set_compatibility(subject, COMPATIBILITY_LEVEL)
            .await?;
        return Ok(id);
    };
    let id = match compare(subject, &newest.schema, schema)? {
        Change::None => newest.id,
        Change::Compatible => register(registry, subject, schema).await?,
    };
    // None if whoever made the subject ended between registering and setting the level.
    if registry.compatibility(subject).await?.is_none() {
        registry
            .set_compatibility(subject, COMPATIBILITY_LEVEL)
            .await?;
    }
    Ok(id)
}

async fn register<R: Registry>(
    registry: &R,
    subject: &str,
    schema: &str,
) -> Result<u32, SubjectError> {
    registry
        .register(subject, schema)
        .await
        .map_err(|error| match error.kind {
            // The subject's level is stricter than ours, such as FULL.
            RegistryErrorKind::Incompatible => SubjectError::Incompatible {
                subject: subject.to_owned(),
                cause: error.message,
            },
            RegistryErrorKind::Unreachable
            | RegistryErrorKind::Authentication
            | RegistryErrorKind::Invalid
            | RegistryErrorKind::Other => SubjectError::Registry(error),
        })
}

/// Compares the newest schema of a subject with a new one, without any request.
///
/// # Errors
/// [`SubjectError::Incompatible`] or [`SubjectError::Unreadable`].
pub fn compare(subject: &str, newest: &str, new: &str) -> Result<Change, SubjectError> {
    let parse =
        |which, text| parse_schema(text).map_err(|cause| unreadable(subject, which, &cause));
    let new_schema = parse("the new schema", new)?;
    if same_text(newest, new) {
        return Ok(Change::None);
    }
    let newest_schema = parse("the newest registered schema", newest)?;
    check_backward(&newest_schema, &new_schema).map_err(|cause| SubjectError::Incompatible {
        subject: subject.to_owned(),
        cause,
    })?;
    Ok(Change::Compatible)
}

fn unreadable(subject: &str, which: &str, cause: &str) -> SubjectError {
    SubjectError::Unreadable {
        subject: subject.to_owned(),
        cause: format!("{which} {cause}"),
    }
}

/// Parses a schema of at most [`SCHEMA_BYTES_MAX`].
///
/// # Errors
/// Why it cannot be read, as the end of a sentence that begins with the schema's name. The parser's own
/// words are left out: they quote defaults.
pub fn parse_schema(text: &str) -> Result<Schema, String> {
    if text.len() > SCHEMA_BYTES_MAX {
        return Err(format!(
            "has {} bytes, the limit is {SCHEMA_BYTES_MAX}",
            text.len()
        ));
    }
    // The JSON parser allows 128 levels, which bounds the recursion of everything below.
    Schema::parse_str(text)
        .map_err(|_| format!("is not a valid Avro schema ({} bytes)", text.len()))
}

/// Whether two texts are the same schema, all properties included, whatever the order of JSON keys.
///
/// Where a registry writes schemas anew in other ways this may say no to the same schema: then it is
/// registered again, which gives the same id.
fn same_text(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    match (serde_json::from_str(one), serde_json::from_str(other)) {
        (Ok(one), Ok(other)) => simplified(one) == simplified(other),
        _ => false,
    }
}

/// `{"type": "int"}` is `"int"`: registries write the one for the other.
fn simplified(value: Value) -> Value {
    match value {
        Value::Object(mut object) => match object.remove("type") {
            Some(inner @ Value::String(_)) if object.is_empty() => inner,
            kind => {
                let entries = object
                    .into_iter()
                    .chain(kind.map(|kind| ("type".to_owned(), kind)));
                Value::Object(
                    entries
                        .map(|(key, value)| (key, simplified(value)))
                        .collect(),
                )
            }
        },
        Value::Array(items) => Value::Array(items.into_iter().map(simplified).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// Whether every value that was written with `old` can be read with `new`, and means the same.
///
/// # Errors
/// The first field that does not, and why.
pub fn check_backward(old: &Schema, new: &Schema) -> Result<(), String> {
    let mut check = Check {
        old: Names::of(old),
        new: Names::of(new),
        seen: BTreeSet::new(),
    };
    check.reads(old, new).map_err(Mismatch::sentence)?;
    // The Avro library's own rules are looser, and have the last word where ours have a hole. Anything but
    // Full means that some values could be read and others not.
    match SchemaCompatibility::can_read(old, new) {
        Ok(Compatibility::Full) => Ok(()),
        Ok(Compatibility::Partial) | Err(_) => {
            Err("the rules of Avro's schema resolution do not allow the change".to_owned())
        }
    }
}

/// Where and why two schemas do not fit.
#[derive(Debug)]
struct Mismatch {
    /// Innermost first.
    path: Vec<String>,
    why: String,
}

impl Mismatch {
    fn new(why: String) -> Mismatch {
        Mismatch {
            path: Vec::new(),
            why,
        }
    }

    fn in_field(mut self, field: &str) -> Mismatch {
        self.path.push(field.to_owned());
        self
    }

    fn sentence(mut self) -> String {
        self.path.reverse();
        match self.path.is_empty() {
            true => self.why,
            false => format!("field {}: {}", self.path.join("."), self.why),
        }
    }
}

/// The named types of a schema, which is where a later reference leads.
struct Names<'s>(BTreeMap<String, &'s Schema>);

impl<'s> Names<'s> {
    fn of(schema: &'s Schema) -> Names<'s> {
        let mut names = Names(BTreeMap::new());
        names.collect(schema);
        names
    }

    fn collect(&mut self, schema: &'s Schema) {
        if let (Some(name), false) = (schema.name(), matches!(schema, Schema::Ref { .. })) {
            self.0.insert(name.fullname(None), schema);
        }
        match schema {
            Schema::Record(record) => record.fields.iter().for_each(|f| self.collect(&f.schema)),
            Schema::Union(union) => union.variants().iter().for_each(|v| self.collect(v)),
            Schema::Array(array) => self.collect(&array.items),
            Schema::Map(map) => self.collect(&map.types),
            _ => {}
        }
    }

    fn resolve(&self, schema: &'s Schema) -> &'s Schema {
        match schema {
            Schema::Ref { name } => self.0.get(&name.fullname(None)).copied().unwrap_or(schema),
            _ => schema,
        }
    }
}

struct Check<'o, 'n> {
    old: Names<'o>,
    new: Names<'n>,
    /// Pairs of record names that fit, or are being looked at.
    seen: BTreeSet<(String, String)>,
}

impl<'o, 'n> Check<'o, 'n> {
    fn reads(&mut self, old: &'o Schema, new: &'n Schema) -> Result<(), Mismatch> {
        let (old, new) = (self.old.resolve(old), self.new.resolve(new));
        match (old, new) {
            (Schema::Union(old), _) => old
                .variants()
                .iter()
                .try_for_each(|variant| self.reads(variant, new)),
            (_, Schema::Union(new)) => self.one_reads(old, new.variants()),
            (Schema::Record(old), Schema::Record(new)) => self.record_reads(old, new),
            (Schema::Array(old), Schema::Array(new)) => self
                .reads(&old.items, &new.items)
                .map_err(|error| error.in_field("[]")),
            (Schema::Map(old), Schema::Map(new)) => self
                .reads(&old.types, &new.types)
                .map_err(|error| error.in_field("{}")),
            (Schema::Enum(old), Schema::Enum(new)) if new.default.is_none() => {
                match old
                    .symbols
                    .iter()
                    .find(|symbol| !new.symbols.contains(symbol))
                {
                    // The symbol itself is not named: it is a literal of the table's definition.
                    Some(_) => Err(Mismatch::new("the enum lost a symbol".to_owned())),
                    None => same_name(old.name.fullname(None), new.name.fullname(None)),
                }
            }
            _ => scalar_reads(old, new),
        }
    }

    /// One of the variants must read all values of `old`.
    fn one_reads(&mut self, old: &'o Schema, variants: &'n [Schema]) -> Result<(), Mismatch> {
        let mut nearest = None;
        for variant in variants {
            let kind = SchemaKind::from(self.new.resolve(variant));
            match self.reads(old, variant) {
                Ok(()) => return Ok(()),
                Err(error) if kind == SchemaKind::from(old) => nearest = Some(error),
                Err(_) => {}
            }
        }
        Err(nearest.unwrap_or_else(|| {
            let new: Vec<String> = variants
                .iter()
                .map(|variant| type_text(self.new.resolve(variant)))
                .collect();
            Mismatch::new(format!(
                "{} is not among its types {}",
                type_text(old),
                new.join(", ")
            ))
        }))
    }

    fn record_reads(
        &mut self,
        old: &'o RecordSchema,
        new: &'n RecordSchema,
    ) -> Result<(), Mismatch> {
        let names = (old.name.fullname(None), new.name.fullname(None));
        same_name(names.0.clone(), names.1.clone())?;
        if !self.seen.insert(names.clone()) {
            return Ok(());
        }
        let result = self.fields_read(old, new);
        if result.is_err() {
            self.seen.remove(&names);
        }
        result
    }

    fn fields_read(
        &mut self,
        old: &'o RecordSchema,
        new: &'n RecordSchema,
    ) -> Result<(), Mismatch> {
        for field in &new.fields {
            let mut names = std::iter::once(&field.name).chain(&field.aliases);
            let written = names.find_map(|name| old.fields.iter().find(|f| &f.name == name));
            match written {
                Some(written) => same_meaning(written, field)
                    .and_then(|()| self.reads(&written.schema, &field.schema)),
                None if field.default.is_some() => Ok(()),
                None => Err(Mismatch::new("it is new and has no default".to_owned())),
            }
            .map_err(|error| error.in_field(&field.name))?;
        }
        Ok(())
    }
}

fn same_name(old: String, new: String) -> Result<(), Mismatch> {
    if old == new {
        return Ok(());
    }
    Err(Mismatch::new(format!("the type's name {old} became {new}")))
}

/// A TIME is a number in Avro, of microseconds: as a number of something else it would be read wrong.
fn same_meaning(old: &RecordField, new: &RecordField) -> Result<(), Mismatch> {
    let is_time = |field: &RecordField| {
        let sql_type = field.custom_attributes.get("mysql.type")?.as_str()?;
        let end = sql_type.find(['(', ' ']).unwrap_or(sql_type.len());
        Some(sql_type.get(..end)?.eq_ignore_ascii_case("time"))
    };
    match (is_time(old), is_time(new)) {
        (Some(true), Some(false)) => Err("microseconds of a TIME became another number"),
        (Some(false), Some(true)) => Err("a number became the microseconds of a TIME"),
        _ => Ok(()),
    }
    .map_err(|why| Mismatch::new(why.to_owned()))
}

/// Types without parts: the same one, or a promotion that keeps every value readable.
fn scalar_reads(old: &Schema, new: &Schema) -> Result<(), Mismatch> {
    if let (Some(old), Some(new)) = (old.name(), new.name()) {
        same_name(old.fullname(None), new.fullname(None))?;
    }
    let (old_text, new_text) = (type_text(old), type_text(new));
    let promoted = matches!(
        (old, new),
        (Schema::Int, Schema::Long | Schema::Float | Schema::Double)
            | (Schema::Long, Schema::Float | Schema::Double)
            | (Schema::Float, Schema::Double)
            | (Schema::String, Schema::Bytes)
    );
    if promoted || old_text == new_text {
        return Ok(());
    }
    Err(Mismatch::new(format!("{old_text} became {new_text}")))
}

/// A type as Avro spells it, with what makes a decimal or a fixed another one.
fn type_text(schema: &Schema) -> String {
    let mut text = String::new();
    for character in format!("{:?}", SchemaKind::from(schema)).chars() {
        if character.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(character.to_ascii_lowercase());
    }
    match schema {
        Schema::Decimal(decimal) => {
            let inner = match &decimal.inner {
                InnerDecimalSchema::Bytes => String::new(),
                InnerDecimalSchema::Fixed(fixed) => format!(" in {} bytes", fixed.size),
            };
            format!("{text}({},{}){inner}", decimal.precision, decimal.scale)
        }
        Schema::Fixed(fixed) => format!("{text}({})", fixed.size),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Ok("same")`, `Ok("compatible")`, or the cause of the refusal.
    fn check(old: &str, new: &str, expected: &str) {
        let got = match compare("s", old, new) {
            Ok(Change::None) => "same".to_owned(),
            Ok(Change::Compatible) => "compatible".to_owned(),
            Err(SubjectError::Incompatible { cause, .. }) => cause,
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected, "\nold {old}\nnew {new}");
    }

    fn record(fields: &str) -> String {
        format!(r#"{{"type":"record","name":"Value","namespace":"t.d.o","fields":[{fields}]}}"#)
    }

    /// Two records with one field each, whose types are given.
    fn check_types(old: &str, new: &str, expected: &str) {
        let field = |kind| record(&format!(r#"{{"name":"a","type":{kind}}}"#));
        check(&field(old), &field(new), expected);
    }

    #[test]
    fn a_registry_that_writes_schemas_anew_gives_back_the_same_schema() {
        let sent = r#"{"type":"record","name":"Envelope","namespace":"t.d","fields":[
            {"name":"before","type":["null",{"type":"record","name":"Value","namespace":"t.d","fields":[
                {"name":"id","type":{"type":"int","mysql.type":"int"},"default":0}]}],"default":null},
            {"name":"after","type":["null","t.d.Value"],"default":null}]}"#;
        let stored = r#"{"type":"record","name":"Envelope","namespace":"t.d","fields":[
            {"name":"before","type":["null",{"type":"record","name":"Value","fields":[
                {"name":"id","type":{"type":"int","mysql.type":"int"},"default":0}]}],"default":null},
            {"name":"after","type":["null","Value"],"default":null}]}"#;
        assert!(decodes_alike(stored, sent));
        for other in [
            ("t.d", "t.e"),
            (r#""int""#, r#""long""#),
            ("\"id\"", "\"di\""),
        ] {
            assert!(
                !decodes_alike(&stored.replace(other.0, other.1), sent),
                "{other:?}"
            );
        }
    }

    #[test]
    fn a_time_is_no_other_number() {
        let field = |kind: &str, sql_type: &str| {
            record(&format!(
                r#"{{"name":"a","type":{kind},"mysql.type":"{sql_type}"}}"#
            ))
        };
        let (time, micros) = (field(r#""long""#, "time"), field(r#""long""#, "time(6)"));
        let number = field(r#""long""#, "bigint");
        check(&time, &micros, "compatible");
        check(&time, &field(r#"["null","long"]"#, "time"), "compatible");
        let became = "field a: microseconds of a TIME became another number";
        check(&time, &number, became);
        check(&micros, &field(r#""double""#, "double"), became);
        let became = "field a: a number became the microseconds of a TIME";
        check(&number, &time, became);
        check(&field(r#""int""#, "int(8) unsigned"), &micros, became);
        check(&field(r#""int""#, "year"), &number, "compatible");
    }

    #[test]
    fn types_change_only_where_old_bytes_keep_their_meaning() {
        let decimal = |precision, scale| {
            format!(
                r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}}}"#
            )
        };
        let logical = |kind, name| format!(r#"{{"type":"{kind}","logicalType":"{name}"}}"#);
        let micros = &logical("long", "timestamp-micros");
        let local = &logical("long", "local-timestamp-micros");
        for (old, new, expected) in [
            (r#""int""#, r#"{"type":"int"}"#, "same"),
            (
                r#""int""#,
                r#"{"type":"int","mysql.type":"INT"}"#,
                "compatible",
            ),
            (r#""int""#, r#""long""#, "compatible"),
            (r#""int""#, r#"["null","int"]"#, "compatible"),
            (r#""int""#, r#"["null","long"]"#, "compatible"),
            (r#"["null","int"]"#, r#"["int","null"]"#, "compatible"),
            (r#""string""#, r#""bytes""#, "compatible"),
            (r#""long""#, r#""int""#, "field a: long became int"),
            (r#""int""#, r#""string""#, "field a: int became string"),
            (r#""bytes""#, r#""string""#, "field a: bytes became string"),
            (r#"["null","int"]"#, r#""int""#, "field a: null became int"),
            (
                r#"["null","int"]"#,
                r#"["null","string"]"#,
                "field a: int is not among its types null, string",
            ),
            (
                &decimal(10, 2),
                &decimal(10, 2).replace(",\"scale", ", \"scale"),
                "same",
            ),
            (
                &decimal(10, 2),
                &decimal(12, 2),
                "field a: decimal(10,2) became decimal(12,2)",
            ),
            (
                &decimal(10, 2),
                &decimal(10, 3),
                "field a: decimal(10,2) became decimal(10,3)",
            ),
            (
                &decimal(10, 2),
                r#""bytes""#,
                "field a: decimal(10,2) became bytes",
            ),
            (
                &decimal(20, 0),
                r#""string""#,
                "field a: decimal(20,0) became string",
            ),
            (r#""long""#, micros, "field a: long became timestamp-micros"),
            (micros, r#""long""#, "field a: timestamp-micros became long"),
            (
                micros,
                local,
                "field a: timestamp-micros became local-timestamp-micros",
            ),
            (
                &logical("int", "date"),
                micros,
                "field a: date became timestamp-micros",
            ),
            (
                r#"{"type":"array","items":"int"}"#,
                r#"{"type":"array","items":"string"}"#,
                "field a.[]: int became string",
            ),
        ] {
            check_types(old, new, expected);
        }
    }

    #[test]
    fn fields_come_with_a_default_and_go_at_will() {
        let a = r#"{"name":"a","type":"int"}"#;
        let b = r#"{"name":"b","type":"int","default":7}"#;
        let bare = r#"{"name":"b","type":"int"}"#;
        check(&record(a), &record(&format!("{a},{b}")), "compatible");
        check(&record(&format!("{a},{b}")), &record(a), "compatible");
        check(
            &record(&format!("{a},{bare}")),
            &record(&format!("{bare},{a}")),
            "compatible",
        );
        check(
            &record(a),
            &record(&format!("{a},{bare}")),
            "field b: it is new and has no default",
        );
        let other = record(a).replace("t.d.o", "t.d.p");
        check(
            &record(a),
            &other,
            "the type's name t.d.o.Value became t.d.p.Value",
        );
    }

    #[test]
    fn the_envelope_is_judged_through_its_references() {
        let envelope = |field: &str| {
            format!(
                r#"{{"type":"record","name":"Envelope","namespace":"t.d.o","fields":[
                {{"name":"before","type":["null",{}],"default":null}},
                {{"name":"after","type":["null","Value"],"default":null}},
                {{"name":"op","type":"string"}}]}}"#,
                record(field)
            )
        };
        let int = envelope(r#"{"name":"a","type":"int"}"#);
        check(&int, &envelope(r#"{"type":"int","name":"a"}"#), "same");
        check(
            &int,
            &envelope(r#"{"name":"a","type":"long"}"#),
            "compatible",
        );
        check(
            &int,
            &envelope(r#"{"name":"a","type":"string"}"#),
            "field before.a: int became string",
        );
    }

    #[test]
    fn what_is_no_schema_is_refused_without_quoting_it() {
        let bad =
            r#"{"type":"record","name":"V","fields":[{"name":"a","type":"int","default":"x'y"}]}"#;
        check(
            r#""int""#,
            bad,
            "subject s: the new schema is not a valid Avro schema (81 bytes)",
        );
        check(
            r#"{"#,
            r#""int""#,
            "subject s: the newest registered schema is not a valid Avro schema (1 bytes)",
        );
        let large = format!("\"{}\"", "x".repeat(SCHEMA_BYTES_MAX));
        check(
            &large,
            r#""int""#,
            "subject s: the newest registered schema has 4194306 bytes, the limit is 4194304",
        );
        let deep = format!(
            "{}\"int\"{}",
            r#"{"type":"array","items":"#.repeat(200),
            "}".repeat(200)
        );
        check(
            &deep,
            r#""int""#,
            "subject s: the newest registered schema is not a valid Avro schema (5005 bytes)",
        );
    }
}
