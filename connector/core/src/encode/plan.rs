//! The plan of a table: a flat list of column steps, made once for each definition version.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::TopicPartition;
use super::error::EncodeErrorKind;
use super::partition::partition_of;
use crate::avro::binary::{BRANCH_0, BRANCH_1};
use crate::avro::{Branches, branches, field_name};
use crate::decode::RowsEvent;
use crate::input::Input;
use crate::schema::TableDefinition;
use crate::selection::TableName;
use crate::value::json::copy_changed;
use crate::value::{ColumnType, ValueError, Written};

/// Where the rows of a table go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The topic.
    pub topic: String,
    /// Partitions in use; the recorded number, not what the cluster has.
    pub partitions: i32,
    /// Registry id of the key's schema; `None` if records have no key.
    pub key_schema_id: Option<u32>,
    /// Registry id of the value's schema.
    pub value_schema_id: u32,
}

/// How rows of a table become records.
#[derive(Debug, PartialEq, Eq)]
pub struct TablePlan {
    pub(super) name: TableName,
    steps: Vec<Step>,
    key_columns: usize,
    /// Fields of the key are unions: those of one that a configuration chooses.
    has_union_key: bool,
    /// Columns of which a row's place is noted: those of the key, and those of the primary key that are not of it.
    slots: usize,
    json_columns: usize,
    is_widened: bool,
    pub(super) key_schema_id: Option<u32>,
    pub(super) value_schema_id: u32,
    targets: Vec<TopicPartition>,
}

#[derive(Debug, PartialEq, Eq)]
struct Step {
    column: String,
    column_type: ColumnType,
    branches: Branches,
    nullable: bool,
    /// Where the place of the column is noted. It is in every image: in the after image that lacks it, it has not changed.
    slot: Option<usize>,
    is_key: bool,
    /// It is of the primary key, whose fields are never null.
    is_of_primary: bool,
    /// It is read, and not published.
    is_left_out: bool,
}

/// Two columns cannot be told apart in Avro.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("columns {first} and {second} of {table} would both be named {field} in Avro")]
pub struct PlanError {
    /// The table.
    pub table: TableName,
    /// One column.
    pub first: String,
    /// The other column.
    pub second: String,
    /// The name that both would have.
    pub field: String,
}

/// Where the Avro bytes of a column lie in a value.
#[derive(Debug, Clone, Copy, Default)]
enum Span {
    /// It is not in the image.
    #[default]
    Absent,
    Null,
    /// From and to, without the branch.
    Value(usize, usize),
}

/// Where the Avro bytes of key columns lie in a value, which columns are invalid, which are not in the image, and where
/// documents are packed; kept between rows.
#[derive(Debug, Default)]
pub(super) struct ImageNotes {
    spans: Vec<Span>,
    invalid: Vec<usize>,
    unset: Vec<usize>,
    /// Column, and the place of its document in the event.
    documents: Vec<(usize, usize, usize)>,
}

/// What the images of a kind have in common within a rows event.
#[derive(Clone, Copy, Default)]
pub(super) struct Image<'a> {
    /// The images of the whole event.
    pub(super) event: &'a [u8],
    /// A bit for each column that is in it; `None` if all are.
    pub(super) present: Option<&'a [u8]>,
    /// True if the after images of the event may hold changes of documents.
    pub(super) has_changes: bool,
}

impl Image<'_> {
    /// Where in the event the rest of an input begins.
    fn place(&self, rest: &Input<'_>) -> usize {
        self.event.len().saturating_sub(rest.rest().len())
    }
}

impl TablePlan {
    /// The plan for a definition whose schemas are registered. Widened, it takes images that lack columns.
    ///
    /// # Errors
    /// [`PlanError`] if two columns would share a name in Avro.
    pub fn new(
        definition: &TableDefinition,
        is_widened: bool,
        to: &Destination,
    ) -> Result<Self, PlanError> {
        Self::check_names(definition)?;
        let key = definition.key();
        let primary = definition.primary_key.iter();
        let carried = primary.filter(|index| !key.contains(index));
        let slots: Vec<usize> = key.iter().chain(carried).copied().collect();
        let steps = definition
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| Step {
                column: column.name.clone(),
                column_type: column.column_type.clone(),
                branches: branches(definition, index, is_widened),
                nullable: column.nullable,
                slot: slots.iter().position(|slot| *slot == index),
                is_key: key.contains(&index),
                is_of_primary: definition.primary_key.contains(&index),
                is_left_out: column.column_type.is_left_out(),
            })
            .collect();
        let topic: Arc<str> = to.topic.as_str().into();
        let targets = (0..to.partitions.max(1))
            .map(|partition| TopicPartition {
                topic: Arc::clone(&topic),
                partition,
            })
            .collect();
        Ok(Self {
            name: definition.name.clone(),
            steps,
            key_columns: key.len(),
            has_union_key: !definition.message_key.is_empty(),
            slots: slots.len(),
            json_columns: (definition.columns.iter())
                .filter(|column| column.column_type.is_document())
                .count(),
            is_widened,
            key_schema_id: to.key_schema_id,
            value_schema_id: to.value_schema_id,
            targets,
        })
    }

    /// Refuses a definition that has no schema, as two columns would share a name in Avro.
    ///
    /// # Errors
    /// [`PlanError`]
    pub fn check_names(definition: &TableDefinition) -> Result<(), PlanError> {
        let mut seen = BTreeMap::new();
        let published = definition.columns.iter();
        for column in published.filter(|column| !column.column_type.is_left_out()) {
            let field = field_name(&column.name);
            if let Some(first) = seen.insert(field.clone(), column.name.clone()) {
                return Err(PlanError {
                    table: definition.name.clone(),
                    first,
                    second: column.name.clone(),
                    field,
                });
            }
        }
        Ok(())
    }

    /// The table.
    #[must_use]
    pub fn name(&self) -> &TableName {
        &self.name
    }

    /// True if it takes images that lack columns.
    #[must_use]
    pub fn is_widened(&self) -> bool {
        self.is_widened
    }

    /// All partitions of the table's topic that are in use.
    pub(super) fn targets(&self) -> &[TopicPartition] {
        &self.targets
    }

    /// The partition for a key (without its header); rows without a key go to partition 0.
    #[inline]
    pub(super) fn target(&self, key: Option<&[u8]>) -> Option<&TopicPartition> {
        if self.targets.len() == 1 {
            return self.targets.first();
        }
        let count = i32::try_from(self.targets.len()).unwrap_or(i32::MAX);
        let partition = key.map_or(0, |key| partition_of(key, count));
        self.targets.get(usize::try_from(partition).unwrap_or(0))
    }

    /// Refuses rows events that do not fit the definition, before any row of them is read.
    pub(super) fn check(&self, event: &RowsEvent<'_>) -> Result<(), EncodeErrorKind> {
        if event.columns != self.steps.len() || event.columns == 0 {
            let (event, table) = (event.columns, self.steps.len());
            return Err(EncodeErrorKind::ColumnCount { event, table });
        }
        if !self.is_widened && !event.is_full() {
            return Err(EncodeErrorKind::PartialImage);
        }
        // There would be no end to rows that take no bytes.
        if self.has_empty_rows(event) && !event.images.is_empty() {
            return Err(EncodeErrorKind::BytesOfNothing);
        }
        Ok(())
    }

    /// True if no image of the event has a column, so that a row takes no bytes: the server writes an INSERT so that
    /// gives no value, with the image MINIMAL, each in an event of its own.
    pub(super) fn has_empty_rows(&self, event: &RowsEvent<'_>) -> bool {
        let is_empty = |bits: &[u8]| ones(bits, self.steps.len()) == 0;
        is_empty(event.present) && event.present_after.is_none_or(is_empty)
    }

    /// Copies one packed image into `out` as the Avro record of the row. With the after image of an update go the notes
    /// of its before image.
    pub(super) fn copy_image(
        &self,
        input: &mut Input<'_>,
        image: Image<'_>,
        before: Option<&ImageNotes>,
        out: &mut Vec<u8>,
        notes: &mut ImageNotes,
    ) -> Result<(), EncodeErrorKind> {
        notes.invalid.clear();
        notes.unset.clear();
        notes.spans.clear();
        notes.spans.resize(self.slots, Span::Absent);
        notes.documents.clear();
        let mut changed = match before {
            Some(_) if image.has_changes => self.changed_documents(input)?,
            Some(_) | None => None,
        };
        let columns = self.steps.len();
        let count = image
            .present
            .map_or(columns, |present| ones(present, columns));
        let null_bits = input
            .take(count.div_ceil(8))
            .map_err(|_| EncodeErrorKind::Truncated)?;
        // Columns that are not in the image have no bit.
        let mut place = 0;
        for (index, step) in self.steps.iter().enumerate() {
            let changes = match &mut changed {
                Some(bits) if step.is_document() => bits.next(),
                Some(_) | None => false,
            };
            let branch = out.len();
            if image.present.is_some_and(|present| !bit(present, index)) {
                if !step.is_left_out {
                    step.write_unset(before, index, out, notes)?;
                }
                continue;
            }
            let is_null = bit(null_bits, place);
            place += 1;
            if is_null {
                step.write_null(out)?;
                step.take_back(branch, out);
                step.note(Span::Null, notes);
                continue;
            }
            out.extend(step.branches.value());
            let start = out.len();
            let is_noted = image.has_changes && step.is_document();
            let before_value = if is_noted { image.place(input) } else { 0 };
            let copied = match changes {
                true => step.copy_changed(document(index, image, before), input, out)?,
                false => step.column_type.copy(input, out),
            };
            if is_noted {
                let place = (index, before_value, image.place(input));
                notes.documents.push(place);
            }
            if step.is_invalid(copied)? {
                out.truncate(branch);
                out.extend(step.branches.null());
                notes.invalid.push(index);
                step.note(Span::Null, notes);
            } else {
                step.note(Span::Value(start, out.len()), notes);
            }
            step.take_back(branch, out);
        }
        Ok(())
    }

    /// Of an after image: for each JSON column of the table, whether its changes stand in the place of the document.
    fn changed_documents<'a>(
        &self,
        input: &mut Input<'a>,
    ) -> Result<Option<Bits<'a>>, EncodeErrorKind> {
        let truncated = |_| EncodeErrorKind::Truncated;
        match input.length_encoded().map_err(truncated)? {
            0 => Ok(None),
            JSON_CHANGES => {
                let bits = input
                    .take(self.json_columns.div_ceil(8))
                    .map_err(truncated)?;
                Ok(Some(Bits { bits, place: 0 }))
            }
            _ => Err(EncodeErrorKind::RowOptions),
        }
    }

    /// Gathers the key (without header) of the image that was copied last. The fields are those of the value, but for what
    /// stands before them: those of a key that was chosen are unions, `["null", type]`.
    pub(super) fn copy_key(&self, value: &[u8], notes: &ImageNotes, key: &mut Vec<u8>) {
        let may_be_null = self.has_union_key;
        for span in notes.spans.iter().take(self.key_columns) {
            match span {
                Span::Value(start, end) => {
                    key.extend(may_be_null.then_some(BRANCH_1));
                    key.extend_from_slice(value.get(*start..*end).unwrap_or_default());
                }
                Span::Null | Span::Absent => key.extend(may_be_null.then_some(BRANCH_0)),
            }
        }
    }

    /// The names of the columns that were invalid in the image that was copied last.
    pub(super) fn invalid<'a>(
        &'a self,
        notes: &'a ImageNotes,
    ) -> impl ExactSizeIterator<Item = &'a str> {
        self.names(&notes.invalid)
    }

    /// The names of the columns that were not in the image that was copied last.
    pub(super) fn unset<'a>(
        &'a self,
        notes: &'a ImageNotes,
    ) -> impl ExactSizeIterator<Item = &'a str> {
        self.names(&notes.unset)
    }

    fn names<'a>(&'a self, columns: &'a [usize]) -> impl ExactSizeIterator<Item = &'a str> {
        columns.iter().map(|index| {
            self.steps
                .get(*index)
                .map_or("", |step| step.column.as_str())
        })
    }
}

/// The packed document of a column in the before image.
fn document<'a>(index: usize, image: Image<'a>, before: Option<&ImageNotes>) -> Option<&'a [u8]> {
    let mut all = before?.documents.iter();
    let (_, start, end) = all.find(|(column, _, _)| *column == index)?;
    image.event.get(*start..*end)
}

/// The row option that says that documents are given by their changes.
const JSON_CHANGES: u64 = 1;

/// Bits that are read one by one.
struct Bits<'a> {
    bits: &'a [u8],
    place: usize,
}

impl Bits<'_> {
    fn next(&mut self) -> bool {
        let is_set = bit(self.bits, self.place);
        self.place += 1;
        is_set
    }
}

fn bit(bits: &[u8], index: usize) -> bool {
    bits.get(index / 8)
        .is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

/// How many columns have a bit. The bits behind those of the last column may be set: of REPLACE with the image NOBLOB
/// the server writes them so.
fn ones(bits: &[u8], columns: usize) -> usize {
    let whole = bits.get(..columns / 8).unwrap_or_default();
    let rest = bits.get(columns / 8).copied().unwrap_or_default();
    let rest = rest & ((1 << (columns % 8)) - 1);
    let ones = |byte: &u8| usize::try_from(byte.count_ones()).unwrap_or_default();
    whole.iter().chain([&rest]).map(ones).sum()
}

impl Step {
    fn is_document(&self) -> bool {
        self.column_type.is_document()
    }

    /// Of a column that is left out nothing stays.
    #[inline]
    fn take_back(&self, start: usize, out: &mut Vec<u8>) {
        if self.is_left_out {
            out.truncate(start);
        }
    }

    fn write_null(&self, out: &mut Vec<u8>) -> Result<(), EncodeErrorKind> {
        let column = || self.column.clone();
        if self.is_of_primary || (self.is_key && !self.nullable) {
            return Err(EncodeErrorKind::NullKey { column: column() });
        }
        if !self.nullable {
            return Err(EncodeErrorKind::Null { column: column() });
        }
        out.extend(self.branches.null());
        Ok(())
    }

    /// Copies a document that is given by what was changed in that of the before image.
    fn copy_changed(
        &self,
        before: Option<&[u8]>,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Result<Written, ValueError>, EncodeErrorKind> {
        let Some(before) = before else {
            return Err(EncodeErrorKind::ChangeOfUnknown {
                column: self.column.clone(),
            });
        };
        let start = out.len();
        let copied = copy_changed(before, input, out);
        let masked = copied.and_then(|()| self.column_type.mask(start, out));
        Ok(masked.map(|()| Written::Value))
    }

    /// A column that is not in the image: null, unless it is of the key, which has not changed then.
    fn write_unset(
        &self,
        before: Option<&ImageNotes>,
        index: usize,
        out: &mut Vec<u8>,
        notes: &mut ImageNotes,
    ) -> Result<(), EncodeErrorKind> {
        let Some(slot) = self.slot else {
            out.extend(self.branches.null());
            notes.unset.push(index);
            return Ok(());
        };
        let known = before.and_then(|before| before.spans.get(slot));
        match known {
            Some(Span::Value(start, end)) => {
                out.extend(self.branches.value());
                let place = out.len();
                out.extend_from_within(*start..*end);
                self.note(Span::Value(place, out.len()), notes);
                Ok(())
            }
            Some(Span::Null) => {
                out.extend(self.branches.null());
                self.note(Span::Null, notes);
                Ok(())
            }
            Some(Span::Absent) | None => Err(EncodeErrorKind::KeyNotInImage {
                column: self.column.clone(),
            }),
        }
    }

    /// True if the value is one that Avro cannot hold.
    #[inline]
    fn is_invalid(&self, copied: Result<Written, ValueError>) -> Result<bool, EncodeErrorKind> {
        let column = || self.column.clone();
        match copied {
            Ok(Written::Value) => Ok(false),
            Ok(Written::Invalid) if self.is_key => {
                Err(EncodeErrorKind::InvalidKey { column: column() })
            }
            Ok(Written::Invalid) => Ok(true),
            Err(kind) => Err(EncodeErrorKind::Value {
                column: column(),
                kind,
            }),
        }
    }

    /// Keeps the place of a value of the key.
    #[inline]
    fn note(&self, span: Span, notes: &mut ImageNotes) {
        let place = self.slot.and_then(|slot| notes.spans.get_mut(slot));
        if let Some(place) = place {
            *place = span;
        }
    }
}
