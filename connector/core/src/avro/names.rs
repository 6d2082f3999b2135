//! Names for Avro and Kafka, whose alphabets are smaller than MySQL's.

use crate::selection::TableName;

/// A name in Avro's alphabet `[A-Za-z_][A-Za-z0-9_]*`: other characters become `_`.
#[must_use]
pub fn field_name(name: &str) -> String {
    let mut clean: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if clean.is_empty() || clean.starts_with(|c: char| c.is_ascii_digit()) {
        clean.insert(0, '_');
    }
    clean
}

/// The Avro names of a table's schemas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaNames {
    /// The namespace, `<task>.<database>.<table>`.
    pub namespace: String,
}

impl SchemaNames {
    /// The names for a table of a task.
    #[must_use]
    pub fn new(task: &str, table: &TableName) -> Self {
        let parts = [task, &table.database, &table.table];
        Self {
            namespace: parts.map(field_name).join("."),
        }
    }
}

/// The names of a task's topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicNames {
    task: String,
}

/// Kafka refuses longer names.
pub const TOPIC_LEN_MAX: usize = 249;

impl TopicNames {
    /// The names for a task.
    #[must_use]
    pub fn new(task: &str) -> Self {
        Self {
            task: task.to_owned(),
        }
    }

    /// The topic of a table, `<task>.<database>.<table>`; characters that Kafka does not take become `_`.
    /// `None` if the name is too long for Kafka.
    #[must_use]
    pub fn table(&self, table: &TableName) -> Option<String> {
        let clean = |name: &str| -> String {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            name.chars()
                .map(|c| if allowed(c) { c } else { '_' })
                .collect()
        };
        let name = format!(
            "{}.{}.{}",
            self.task,
            clean(&table.database),
            clean(&table.table)
        );
        (name.len() <= TOPIC_LEN_MAX).then_some(name)
    }

    /// The topic of transaction marks.
    #[must_use]
    pub fn transactions(&self) -> String {
        format!("{}.transactions", self.task)
    }

    /// The topic of schema changes.
    #[must_use]
    pub fn schema_changes(&self) -> String {
        format!("{}.schema-changes", self.task)
    }

    /// The topic of heartbeats.
    #[must_use]
    pub fn heartbeats(&self) -> String {
        format!("{}.heartbeats", self.task)
    }

    /// The topic of the task's state.
    #[must_use]
    pub fn state(&self) -> String {
        format!("binlog-bridge.{}.state", self.task)
    }

    /// What the names of all topics with data begin with.
    #[must_use]
    pub fn data_prefix(&self) -> String {
        format!("{}.", self.task)
    }

    /// The task's transactional id.
    #[must_use]
    pub fn transactional_id(&self) -> String {
        format!("binlog-bridge.{}", self.task)
    }
}
