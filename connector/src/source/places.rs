//! Where the server's binlog begins and ends, and which server it is.

use binlog_bridge_core::position::{FileOffset, gtids};
use mysql_async::Row;

use super::client::{SourceClient, identity, missing, number, one_line, pairs, text};
use super::describe::literal;
use super::dump::MariadbPlaces;
use super::error::{SYNTAX_ERROR, SourceError};
use crate::start::FIRST_EVENT;

/// Where the server's binlog ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinlogStatus {
    /// The file being written.
    pub file: String,
    /// Its length.
    pub offset: u64,
    /// MySQL's executed GTID set in one line; empty without GTIDs and on MariaDB.
    pub gtid_executed: String,
    /// The options that leave statements out of the binlog; empty without them.
    pub filters: String,
}

impl BinlogStatus {
    /// The same as a place.
    pub(super) fn end(&self) -> FileOffset {
        FileOffset {
            file: self.file.clone(),
            offset: self.offset,
        }
    }
}

/// SHOW does not mind a name that a server lacks.
const SERVER_UUID: &str =
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'server_uid', 'server_id')";

/// Since 8.2, and the only name since 8.4.
const BINARY_LOG_STATUS: &str = "SHOW BINARY LOG STATUS";

impl SourceClient {
    /// The binlog files the server still has, oldest first, with their sizes in bytes.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn binlog_files(&mut self) -> Result<Vec<(String, u64)>, SourceError> {
        let rows = self
            .query("list the binlog files", "SHOW BINARY LOGS")
            .await?;
        let file = |row: &Row| {
            let name = text(row, 0).ok_or_else(|| missing("Log_name"))?;
            Ok((name, number(text(row, 1), "File_size")?))
        };
        rows.iter().map(file).collect()
    }

    /// The same where MySQL before 5.5.25 lists files to the highest accounts only: those from the first event that it
    /// shows to replicas up to the end. How long the others are is not known: `u64::MAX`.
    pub(super) async fn binlog_files_up_to(
        &mut self,
        end: &FileOffset,
    ) -> Result<Vec<(String, u64)>, SourceError> {
        let sql = "SHOW BINLOG EVENTS LIMIT 1";
        let first = self.texts("find the first binlog file", sql).await?;
        let first = first.into_iter().next().ok_or_else(|| missing(sql))?;
        let first = FileOffset {
            file: first,
            offset: 0,
        };
        let base = end.file.rsplit_once('.').map_or("", |(base, _)| base);
        let numbers = first.file_number()..end.file_number();
        let mut files: Vec<_> = numbers
            .map(|number| (format!("{base}.{number:06}"), u64::MAX))
            .collect();
        files.push((end.file.clone(), end.offset));
        Ok(files)
    }

    /// Where the binlog ends; `None` if the server writes none.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn master_status(&mut self) -> Result<Option<BinlogStatus>, SourceError> {
        let operation = "read the end of the binlog";
        let rows = match self.query(operation, self.status_statement).await {
            // 8.4 has the statement under another name only. Asked once for each connection: servers count errors.
            Err(SourceError::Server {
                code: SYNTAX_ERROR, ..
            }) if self.status_statement != BINARY_LOG_STATUS => {
                self.status_statement = BINARY_LOG_STATUS;
                self.query(operation, self.status_statement).await?
            }
            rows => rows?,
        };
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let filters = [("binlog_do_db", 2), ("binlog_ignore_db", 3)].map(|(option, column)| {
            let databases = text(row, column).unwrap_or_default();
            match databases.is_empty() {
                true => String::new(),
                false => format!("{option}={databases}"),
            }
        });
        Ok(Some(BinlogStatus {
            file: text(row, 0).ok_or_else(|| missing("File"))?,
            offset: number(text(row, 1), "Position")?,
            gtid_executed: one_line(&text(row, 4).unwrap_or_default()),
            filters: filters.join(" ").trim().to_owned(),
        }))
    }

    /// The server's uuid, and where its binlog ends; `None` if it writes none.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub(super) async fn end(&mut self) -> Result<(String, Option<FileOffset>), SourceError> {
        let uuid = self.server_uuid().await?;
        let status = self.master_status().await?;
        Ok((uuid, status.map(|status| status.end())))
    }

    /// The server's uuid. MariaDB has another number of its own (`server_uid`, since 10.11); of older servers only the
    /// id within their replication is known.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn server_uuid(&mut self) -> Result<String, SourceError> {
        let rows = self.query("read the server's uuid", SERVER_UUID).await?;
        Ok(identity(&pairs(&rows)))
    }

    /// The places of a MariaDB server's binlog by GTIDs: of the beginning of its first file, and of its end.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub(super) async fn mariadb_places(
        &mut self,
        first_file: &str,
        current: &FileOffset,
    ) -> Result<MariadbPlaces, SourceError> {
        let operation = "read the GTID positions";
        // Of one place file and offset and GTIDs belong together. MariaDB 10.11 cannot say that (NULL) where the file has an event
        // larger than its max_allowed_packet: then the end that is asked for after file and offset stands for it.
        let sql = format!(
            "SELECT BINLOG_GTID_POS('{}', {FIRST_EVENT}), \
             COALESCE(BINLOG_GTID_POS('{}', {}), @@GLOBAL.gtid_binlog_pos), @@GLOBAL.gtid_binlog_state",
            literal(first_file),
            literal(&current.file),
            current.offset
        );
        let rows = self.query(operation, &sql).await?;
        let read = |column| {
            let row = rows.first().ok_or_else(|| missing(operation))?;
            text(row, column).ok_or_else(|| missing(operation))
        };
        let wrong = |_| missing(operation);
        Ok(MariadbPlaces {
            first: read(0)?.parse().map_err(wrong)?,
            current: read(1)?.parse().map_err(wrong)?,
            state: gtids(&read(2)?).map_err(wrong)?,
        })
    }
}
