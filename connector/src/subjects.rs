//! May this schema go under this subject, and under which id?
//!
//! Whether new readers can read old bytes (BACKWARD) is decided here, before anything is registered: a
//! registry's own default may be no check at all. Stricter than the registries are: a change of a logical
//! type, of a decimal's precision or scale, of a record's name, or from bytes to string is refused, as a
//! reader would take the old bytes for something else or fail on some of them.
//!
//! No text made here holds a default value: defaults are SQL literals (I9).

mod backward;

use apache_avro::Schema;
use serde::Deserialize;
use serde_json::Value;

pub use self::backward::check_backward;
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
    /// The registry does not have the schema, and we are not to register it.
    #[error("subject {subject} does not have the schema of the table as it is published")]
    NotRegistered {
        /// The subject.
        subject: String,
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

/// The id of a schema that somebody else has registered under `subject`, in whatever version: nothing is changed there.
///
/// # Errors
/// See [`SubjectError`].
pub async fn find_subject<R: Registry>(
    registry: &R,
    subject: &str,
    schema: &str,
) -> Result<u32, SubjectError> {
    let newest = registry.latest(subject).await?;
    let same = newest.filter(|newest| same_text(&newest.schema, schema));
    let found = match same {
        Some(newest) => Some(newest.id),
        // An older version, or one that the registry compares in another way.
        None => registry.lookup(subject, schema).await?,
    };
    let id = found.ok_or_else(|| SubjectError::NotRegistered {
        subject: subject.to_owned(),
    })?;
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

/// True if the registry still has a schema of that record under an id that was used before: its storage may have been lost,
/// or it may be another registry.
///
/// # Errors
/// [`SubjectError::Registry`]
pub async fn reads_as<R: Registry>(
    registry: &R,
    id: u32,
    fullname: &str,
) -> Result<bool, SubjectError> {
    match registry.schema_by_id(id).await {
        Ok(stored) => Ok(match parse_schema(&stored) {
            Ok(Schema::Record(record)) => record.name.fullname(None) == fullname,
            Ok(_) | Err(_) => false,
        }),
        // There is no such id.
        Err(error) if error.kind == RegistryErrorKind::Other => Ok(false),
        Err(error) => Err(error.into()),
    }
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

#[cfg(test)]
mod tests;
