//! What the server says of a table now.

use binlog_bridge_core::schema::{DescribedColumn, DescribedTable};
use binlog_bridge_core::selection::TableName;

use super::client::{SourceClient, missing, text};
use super::dump::Description;
use super::error::SourceError;

/// The server's numbers for a table or database that is not there, and for a variable that it does not have.
const NO_SUCH_TABLE: u16 = 1146;
const NO_SUCH_DATABASE: u16 = 1049;
const UNKNOWN_VARIABLE: u16 = 1193;

/// How long a statement that changes the table may keep us waiting, in seconds.
const LOCK_WAIT_SECONDS: u8 = 2;

impl SourceClient {
    /// Sets what descriptions depend on: times in UTC, names as they are quoted here, no column hidden.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub(super) async fn prepare_to_describe(&mut self) -> Result<(), SourceError> {
        let set = format!(
            "SET SESSION time_zone = '+00:00', sql_mode = '', lock_wait_timeout = {LOCK_WAIT_SECONDS}"
        );
        self.execute(&set).await?;
        // A primary key that the server made is a column like any other in the binlog.
        let shown = "SET SESSION show_gipk_in_create_table_and_information_schema = ON";
        match self.execute(shown).await {
            Ok(())
            | Err(SourceError::Server {
                code: UNKNOWN_VARIABLE,
                ..
            }) => Ok(()),
            Err(error) => Err(error),
        }
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
        let quoted = |name: &str| name.replace('`', "``");
        let (database, name) = (quoted(&table.database), quoted(&table.table));
        // Reads nothing, but holds the metadata lock that a statement which changes the table needs alone, until after
        // it is in the binlog.
        self.execute(&format!("SELECT 1 FROM `{database}`.`{name}` LIMIT 0"))
            .await?;
        let of_table = format!(
            "TABLE_SCHEMA = '{}' AND TABLE_NAME = '{}'",
            literal(&table.database),
            literal(&table.table)
        );
        let columns = format!(
            "SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, GENERATION_EXPRESSION, \
             (SELECT ID FROM information_schema.COLLATIONS l WHERE l.COLLATION_NAME = c.COLLATION_NAME), \
             TABLE_SCHEMA, TABLE_NAME \
             FROM information_schema.COLUMNS c WHERE {of_table} ORDER BY ORDINAL_POSITION"
        );
        let key = format!(
            "SELECT COLUMN_NAME, TABLE_SCHEMA, TABLE_NAME FROM information_schema.STATISTICS \
             WHERE {of_table} AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX"
        );
        let operation = "read a table's definition";
        let columns = self.query(operation, &columns).await?;
        let key = self.query(operation, &key).await?;
        // The server may compare names without case.
        let is_of = |database: Option<String>, name: Option<String>| {
            database.as_ref() == Some(&table.database) && name.as_ref() == Some(&table.table)
        };
        let columns = columns
            .iter()
            .filter(|row| is_of(text(row, 7), text(row, 8)));
        let columns = columns.map(|row| {
            let wanted = |column| text(row, column).ok_or_else(|| missing(operation));
            Ok(DescribedColumn {
                name: wanted(0)?,
                sql_type: wanted(1)?,
                nullable: wanted(2)? == "YES",
                default: text(row, 3),
                extra: text(row, 4).unwrap_or_default(),
                expression: text(row, 5).unwrap_or_default(),
                collation: text(row, 6).and_then(|number| number.parse().ok()),
            })
        });
        let mut columns: Vec<_> = columns.collect::<Result<_, SourceError>>()?;
        if columns.iter().any(has_local_default) {
            let shown = format!("SHOW CREATE TABLE `{database}`.`{name}`");
            let shown = self.query(operation, &shown).await?;
            let shown = shown.first().and_then(|row| text(row, 1));
            let shown = shown.ok_or_else(|| missing(operation))?;
            for column in columns
                .iter_mut()
                .filter(|column| has_local_default(column))
            {
                column.default = shown_default(&shown, &column.name);
            }
        }
        let key = key.iter().filter(|row| is_of(text(row, 1), text(row, 2)));
        let table = DescribedTable {
            columns,
            primary_key: key.filter_map(|row| text(row, 0)).collect(),
        };
        let status = self.master_status().await?;
        let status = status.ok_or_else(|| missing("the end of the binlog"))?;
        Ok(Description {
            table,
            end: status.end(),
        })
    }
}

/// True for a literal default of a TIMESTAMP: `information_schema` has it in the time zone of whoever made the table,
/// which nobody knows. `SHOW CREATE TABLE` has it in that of the session.
fn has_local_default(column: &DescribedColumn) -> bool {
    let is_literal = column.default.is_some() && !column.extra.contains("DEFAULT_GENERATED");
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
fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "''")
}
