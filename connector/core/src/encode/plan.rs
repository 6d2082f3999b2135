//! The plan of a table: a flat list of column steps, made once for each definition version.

use std::sync::Arc;

use super::batch::TopicPartition;
use super::error::EncodeErrorKind;
use super::partition::partition_of;
use crate::avro::binary::{BRANCH_0, BRANCH_1};
use crate::avro::field_name;
use crate::decode::RowsEvent;
use crate::input::Input;
use crate::schema::TableDefinition;
use crate::selection::TableName;
use crate::value::{ColumnType, Written};

/// Where the rows of a table go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The topic.
    pub topic: String,
    /// Partitions in use; the recorded number, not what the cluster has.
    pub partitions: i32,
    /// Registry id of the key's schema; `None` without a primary key.
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
    pub(super) key_schema_id: Option<u32>,
    pub(super) value_schema_id: u32,
    targets: Vec<TopicPartition>,
}

#[derive(Debug, PartialEq, Eq)]
struct Step {
    column: String,
    column_type: ColumnType,
    /// True if the field is `["null", type]`.
    is_union: bool,
    nullable: bool,
    /// The column's place in the key.
    key_slot: Option<usize>,
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

/// Where the Avro bytes of key columns lie in a value, and which columns are invalid; kept between rows.
#[derive(Debug, Default)]
pub(super) struct ImageNotes {
    key_spans: Vec<(usize, usize)>,
    invalid: Vec<usize>,
}

impl TablePlan {
    /// The plan for a definition whose schemas are registered.
    ///
    /// # Errors
    /// [`PlanError`] if two columns would share a name in Avro.
    pub fn new(definition: &TableDefinition, to: &Destination) -> Result<Self, PlanError> {
        refuse_shared_names(definition)?;
        let steps = definition
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| Step {
                column: column.name.clone(),
                column_type: column.column_type.clone(),
                is_union: column.nullable || column.column_type.may_be_invalid(),
                nullable: column.nullable,
                key_slot: definition.primary_key.iter().position(|key| *key == index),
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
            key_columns: definition.primary_key.len(),
            key_schema_id: to.key_schema_id,
            value_schema_id: to.value_schema_id,
            targets,
        })
    }

    /// The table.
    #[must_use]
    pub fn name(&self) -> &TableName {
        &self.name
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
        // A row without columns has no bytes: there would be no end to them.
        if event.columns != self.steps.len() || event.columns == 0 {
            let (event, table) = (event.columns, self.steps.len());
            return Err(EncodeErrorKind::ColumnCount { event, table });
        }
        if !event.is_full() {
            return Err(EncodeErrorKind::PartialImage);
        }
        Ok(())
    }

    /// Copies one packed image into `out` as the Avro record of the row.
    pub(super) fn copy_image(
        &self,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
        notes: &mut ImageNotes,
    ) -> Result<(), EncodeErrorKind> {
        notes.invalid.clear();
        notes.key_spans.clear();
        notes.key_spans.resize(self.key_columns, (0, 0));
        let null_bits = input
            .take(self.steps.len().div_ceil(8))
            .map_err(|_| EncodeErrorKind::Truncated)?;
        for (index, step) in self.steps.iter().enumerate() {
            let is_null = null_bits
                .get(index / 8)
                .is_some_and(|byte| byte >> (index % 8) & 1 == 1);
            if is_null {
                step.write_null(out)?;
                continue;
            }
            let branch = out.len();
            if step.is_union {
                out.push(BRANCH_1);
            }
            let start = out.len();
            match step.column_type.copy(input, out) {
                Ok(Written::Value) => {}
                Ok(Written::Invalid) => {
                    step.refuse_invalid_key()?;
                    out.truncate(branch);
                    out.push(BRANCH_0);
                    notes.invalid.push(index);
                }
                Err(kind) => {
                    return Err(EncodeErrorKind::Value {
                        column: step.column.clone(),
                        kind,
                    });
                }
            }
            if let Some(span) = step.key_slot.and_then(|slot| notes.key_spans.get_mut(slot)) {
                *span = (start, out.len());
            }
        }
        Ok(())
    }

    /// Gathers the key (without header) of the image that was copied last. Key fields are never unions, so
    /// that their bytes are those in the value.
    pub(super) fn copy_key(&self, value: &[u8], notes: &ImageNotes, key: &mut Vec<u8>) {
        for (start, end) in &notes.key_spans {
            key.extend_from_slice(value.get(*start..*end).unwrap_or_default());
        }
    }

    /// The names of the columns that were invalid in the image that was copied last.
    pub(super) fn invalid<'a>(
        &'a self,
        notes: &'a ImageNotes,
    ) -> impl ExactSizeIterator<Item = &'a str> {
        notes.invalid.iter().map(|index| {
            self.steps
                .get(*index)
                .map_or("", |step| step.column.as_str())
        })
    }
}

impl Step {
    fn write_null(&self, out: &mut Vec<u8>) -> Result<(), EncodeErrorKind> {
        let column = || self.column.clone();
        if self.key_slot.is_some() {
            return Err(EncodeErrorKind::NullKey { column: column() });
        }
        if !self.nullable {
            return Err(EncodeErrorKind::Null { column: column() });
        }
        out.push(BRANCH_0);
        Ok(())
    }

    fn refuse_invalid_key(&self) -> Result<(), EncodeErrorKind> {
        match self.key_slot {
            Some(_) => Err(EncodeErrorKind::InvalidKey {
                column: self.column.clone(),
            }),
            None => Ok(()),
        }
    }
}

fn refuse_shared_names(definition: &TableDefinition) -> Result<(), PlanError> {
    let mut seen = std::collections::BTreeMap::new();
    for column in &definition.columns {
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
