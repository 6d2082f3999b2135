//! What the server says of a table now.

use binlog_bridge_core::schema::{DescribedColumn, DescribedKey, DescribedTable, KeyPart};
use binlog_bridge_core::selection::TableName;
use mysql_async::Row;

use super::client::{SourceClient, missing, text};
use super::dump::Description;
use super::error::SourceError;

/// The server's numbers for a table or database that is not there, and for a variable that it does not have.
const NO_SUCH_TABLE: u16 = 1146;
const NO_SUCH_DATABASE: u16 = 1049;
const UNKNOWN_VARIABLE: u16 = 1193;

/// How long a statement that changes the table may keep us waiting, in seconds.
const LOCK_WAIT_SECONDS: u8 = 2;
/// How long a query may take while we keep such a statement waiting, and whoever waits behind that.
const QUERY_SECONDS: u8 = 5;

impl SourceClient {
    /// Sets what descriptions depend on: times in UTC, names as they are quoted here, no column hidden.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub(super) async fn prepare_to_describe(&mut self) -> Result<(), SourceError> {
        let set = format!(
            "SET SESSION time_zone = '+00:00', sql_mode = '', sql_quote_show_create = 1, lock_wait_timeout = {LOCK_WAIT_SECONDS}"
        );
        self.execute(&set).await?;
        self.told = self.find_what_is_told().await?;
        for (variable, value) in [
            // A primary key that the server made is a column like any other in the binlog.
            (
                "show_gipk_in_create_table_and_information_schema",
                "ON".to_owned(),
            ),
            // In milliseconds; on MariaDB, in seconds.
            ("max_execution_time", format!("{QUERY_SECONDS}000")),
            ("max_statement_time", QUERY_SECONDS.to_string()),
        ] {
            match self
                .execute(&format!("SET SESSION {variable} = {value}"))
                .await
            {
                Ok(())
                | Err(SourceError::Server {
                    code: UNKNOWN_VARIABLE,
                    ..
                }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What `information_schema` has: no server has all of it.
    async fn find_what_is_told(&mut self) -> Result<Told, SourceError> {
        let has = |table: &str, column: &str| {
            format!(
                "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'information_schema' \
                 AND TABLE_NAME = '{table}' AND COLUMN_NAME = '{column}'"
            )
        };
        let expressions = has("COLUMNS", "GENERATION_EXPRESSION");
        let full_names = has(APPLICABILITY, "FULL_COLLATION_NAME");
        let sql = format!("SELECT ({expressions}), ({full_names})");
        let rows = self.query(OPERATION, &sql).await?;
        let is_there = |column| {
            let count = rows.first().and_then(|row| text(row, column));
            count.is_some_and(|count| count != "0")
        };
        Ok(Told {
            expressions: is_there(0),
            full_names: is_there(1),
        })
    }

    /// A table's definition, and where the binlog ends after it was read: no statement that would change it is between
    /// the two. `None` if there is no such table.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub(super) async fn describe(
        &mut self,
        table: &TableName,
    ) -> Result<Option<Description>, SourceError> {
        self.execute("START TRANSACTION").await?;
        let described = self.describe_locked(table).await;
        // Gives the lock back, whatever came of it.
        self.execute("COMMIT").await?;
        match described {
            Err(SourceError::Server {
                code: NO_SUCH_TABLE | NO_SUCH_DATABASE,
                ..
            }) => Ok(None),
            described => described.map(Some),
        }
    }

    async fn describe_locked(&mut self, table: &TableName) -> Result<Description, SourceError> {
        // Reads nothing, but holds the metadata lock that a statement which changes the table needs alone, until after
        // it is in the binlog.
        self.execute(&format!("SELECT 1 FROM {} LIMIT 0", quoted(table)))
            .await?;
        let mut columns = self.columns(table).await?;
        if columns.iter().any(has_local_default) {
            let shown = format!("SHOW CREATE TABLE {}", quoted(table));
            let shown = self.query(OPERATION, &shown).await?;
            let shown = shown.first().and_then(|row| text(row, 1));
            let shown = shown.ok_or_else(|| missing(OPERATION))?;
            let with_default = columns
                .iter_mut()
                .filter(|column| has_local_default(column));
            with_default.for_each(|column| {
                let is_quoted = column
                    .default
                    .as_ref()
                    .is_some_and(|text| text.starts_with('\''));
                let default = shown_default(&shown, &column.name);
                column.default = match is_quoted {
                    true => default.map(|text| format!("'{text}'")),
                    false => default,
                };
            });
        }
        let keys = self.keys(table).await?;
        let (collation, is_versioned) = self.options(table).await?;
        let server_uuid = self.server_uuid().await?;
        let status = self.master_status().await?;
        let status = status.ok_or_else(|| missing("the end of the binlog"))?;
        Ok(Description {
            table: DescribedTable {
                columns,
                keys,
                collation,
                is_versioned,
            },
            server_uuid,
            end: status.end(),
        })
    }

    async fn columns(&mut self, table: &TableName) -> Result<Vec<DescribedColumn>, SourceError> {
        let expression = match self.told.expressions {
            true => "GENERATION_EXPRESSION",
            false => "NULL",
        };
        let collation = self.told.collation_number("c.COLLATION_NAME");
        let sql = format!(
            "SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, {expression}, \
             {collation}, {NAMES} \
             FROM information_schema.COLUMNS c WHERE {} ORDER BY ORDINAL_POSITION",
            of_table(table)
        );
        let rows = self.query(OPERATION, &sql).await?;
        let rows = rows.iter().filter(|row| is_of(table, row, 7));
        let column = |row: &Row| {
            let wanted = |column| text(row, column).ok_or_else(|| missing(OPERATION));
            Ok(DescribedColumn {
                name: wanted(0)?,
                sql_type: wanted(1)?,
                nullable: wanted(2)? == "YES",
                default: text(row, 3),
                extra: text(row, 4).unwrap_or_default(),
                expression: text(row, 5).unwrap_or_default(),
                collation: text(row, 6).and_then(|number| number.parse().ok()),
                is_unproven: false,
            })
        };
        rows.map(column).collect()
    }

    async fn keys(&mut self, table: &TableName) -> Result<Vec<DescribedKey>, SourceError> {
        let sql = format!("SHOW INDEX FROM {}", quoted(table));
        let rows = self.query(OPERATION, &sql).await?;
        // Non_unique, Key_name, Column_name, Sub_part: in the order of the keys.
        let name = |row: &Row| text(row, 2).unwrap_or_default();
        let part = |row: &Row| KeyPart {
            column: text(row, 4),
            prefix: text(row, 7).and_then(|length| length.parse().ok()),
        };
        let keys = rows.chunk_by(|one, other| name(one) == name(other));
        let key = |rows: &[Row]| {
            let first = rows.first()?;
            Some(DescribedKey {
                name: name(first),
                is_unique: text(first, 1).as_deref() == Some("0"),
                parts: rows.iter().map(part).collect(),
                is_declared: false,
            })
        };
        Ok(keys.filter_map(key).collect())
    }

    /// The table's default collation, and whether its history is kept.
    async fn options(&mut self, table: &TableName) -> Result<(Option<u64>, bool), SourceError> {
        let sql = format!(
            "SELECT {}, {NAMES}, TABLE_TYPE FROM information_schema.TABLES t WHERE {}",
            self.told.collation_number("t.TABLE_COLLATION"),
            of_table(table)
        );
        let rows = self.query(OPERATION, &sql).await?;
        let row = rows.iter().find(|row| is_of(table, row, 1));
        let is_versioned = row.and_then(|row| text(row, 3)).as_deref() == Some("SYSTEM VERSIONED");
        Ok((row.and_then(|row| text(row, 0)?.parse().ok()), is_versioned))
    }
}

const OPERATION: &str = "read a table's definition";

/// What `information_schema` of a server has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    /// Expressions of generated columns: since MySQL 5.7.6 and MariaDB 10.2.5.
    expressions: bool,
    /// Collations that are of several character sets, with a name for each: since MariaDB 10.10.
    full_names: bool,
}

/// Where MariaDB has a number for each character set that a collation is of.
const APPLICABILITY: &str = "COLLATION_CHARACTER_SET_APPLICABILITY";

impl Told {
    /// A subquery for the number of the collation of a name.
    fn collation_number(self, name: &str) -> String {
        let (table, column) = match self.full_names {
            true => (APPLICABILITY, "FULL_COLLATION_NAME"),
            false => ("COLLATIONS", "COLLATION_NAME"),
        };
        format!("(SELECT MIN(ID) FROM information_schema.{table} l WHERE l.{column} = {name})")
    }
}

/// A table's two names as the binlog has them: with `lower_case_table_names=2` `information_schema` has them as they were typed.
const NAMES: &str = "IF(@@lower_case_table_names = 2, LOWER(TABLE_SCHEMA), TABLE_SCHEMA), \
    IF(@@lower_case_table_names = 2, LOWER(TABLE_NAME), TABLE_NAME)";

/// The table's name in a statement.
fn quoted(table: &TableName) -> String {
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    format!("{}.{}", quoted(&table.database), quoted(&table.table))
}

/// What the rows of a table in `information_schema` have in common.
fn of_table(table: &TableName) -> String {
    format!(
        "TABLE_SCHEMA = '{}' AND TABLE_NAME = '{}'",
        literal(&table.database),
        literal(&table.table)
    )
}

/// True if a row's database, and the table behind it, are the ones that were meant: the server may compare without case.
fn is_of(table: &TableName, row: &Row, database: usize) -> bool {
    text(row, database).as_ref() == Some(&table.database)
        && text(row, database + 1).as_ref() == Some(&table.table)
}

/// True for a literal default of a TIMESTAMP: `information_schema` has it in the time zone of whoever made the table,
/// which nobody knows. `SHOW CREATE TABLE` has it in that of the session.
fn has_local_default(column: &DescribedColumn) -> bool {
    let is_function = |text: &String| text.to_ascii_lowercase().starts_with("current_timestamp");
    let is_literal = column
        .default
        .as_ref()
        .is_some_and(|text| !is_function(text))
        && !column.extra.contains("DEFAULT_GENERATED");
    column.sql_type.starts_with("timestamp") && is_literal
}

/// The literal default of a TIMESTAMP in what `SHOW CREATE TABLE` shows, which has a line for each column.
fn shown_default(shown: &str, column: &str) -> Option<String> {
    let begins = format!("  `{}` timestamp", column.replace('`', "``"));
    let line = shown.lines().find(|line| line.starts_with(&begins))?;
    let (_, behind) = line.get(begins.len()..)?.split_once(" DEFAULT '")?;
    let (default, _) = behind.split_once('\'')?;
    Some(default.to_owned())
}

/// The inside of a text in single quotes.
pub(super) fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "''")
}
