//! Whether what was written with one schema can be read with another.

use std::collections::{BTreeMap, BTreeSet};

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, RecordField, RecordSchema, SchemaKind};
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};

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
