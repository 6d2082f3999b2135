//! The real half of [`Dump`]: connections for questions, and one that is the dump.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use binlog_bridge_core::event::EventBlock;
use binlog_bridge_core::position::{FileOffset, Position};
use binlog_bridge_core::schema::Dialect;
use binlog_bridge_core::selection::TableName;

use super::client::{SourceClient, SourceSettings};
use super::dump::{Description, Dump, Survey};
use super::error::{Place, SourceError};
use super::wire::{self, DumpRequest, DumpStream, WireError};

/// How the dump behaves.
#[derive(Debug, Clone)]
pub struct DumpSettings {
    /// The connection.
    pub source: SourceSettings,
    /// Under which id we register as a replica; no other replica may have it.
    pub server_id: u32,
    /// Another replica has that id; shared by all dumps of a task.
    pub server_id_taken: Arc<AtomicBool>,
    /// How often the server is to send a heartbeat when it has nothing else.
    pub heartbeat_interval: Duration,
    /// A connection that sends nothing for so long is broken.
    pub silence_timeout: Duration,
    /// Events that have arrived are gathered up to about so many bytes.
    pub block_bytes_max: usize,
    /// Larger events are handed on in parts of so many bytes.
    pub event_bytes_max: usize,
}

/// The server's number for a database that does not exist.
const UNKNOWN_DATABASE: u16 = 1049;
/// A binlog dump from a MySQL server.
pub struct MysqlDump {
    settings: DumpSettings,
    place: Place,
    stream: Option<DumpStream>,
    /// For questions that may be many: about tables, and where the binlog ends.
    client: Option<SourceClient>,
}

impl MysqlDump {
    /// A dump that is not open.
    #[must_use]
    pub fn new(settings: DumpSettings) -> Self {
        let source = &settings.source;
        let place = Place {
            host: source.host.clone(),
            port: source.port,
            user: source.user.clone(),
        };
        Self {
            settings,
            place,
            stream: None,
            client: None,
        }
    }

    /// A connection that is to be kept.
    async fn new_client(&self) -> Result<SourceClient, SourceError> {
        let mut client = SourceClient::connect(&self.settings.source).await?;
        client.prepare_to_describe().await?;
        Ok(client)
    }

    /// What the server or the line has done to the dump.
    fn sort(&self, error: WireError) -> SourceError {
        let error = self.place.sort_wire(error);
        if error.is_server_id_taken()
            && !self.settings.server_id_taken.swap(true, Ordering::Relaxed)
        {
            let server_id = self.settings.server_id;
            tracing::warn!(
                server_id,
                "another replica has this server id, and the server ended our dump: from now on a random one is used; if source.server_id is set, remove it or choose another"
            );
        }
        error
    }
}

/// The binlog files that the server has, whether it lists them to the account or not.
async fn binlog_files(client: &mut SourceClient) -> Result<Vec<(String, u64)>, SourceError> {
    match client.binlog_files().await {
        // A right that the account lacks on any server is told by the next question.
        Err(SourceError::AccessDenied { .. }) => match client.master_status().await? {
            Some(status) => client.binlog_files_up_to(&status.end()).await,
            None => Ok(Vec::new()),
        },
        files => files,
    }
}

impl Dump for MysqlDump {
    async fn survey(&mut self) -> Result<Survey, SourceError> {
        let mut client = SourceClient::connect(&self.settings.source).await?;
        let facts = client.server_facts().await?;
        let mut survey = Survey {
            version: facts.version,
            server_uuid: facts.server_uuid,
            log_bin: facts.log_bin,
            binlog_format: facts.binlog_format,
            binlog_row_image: facts.binlog_row_image,
            binlog_row_metadata: facts.binlog_row_metadata,
            gtid_on: facts
                .gtid_mode
                .is_some_and(|mode| mode.eq_ignore_ascii_case("ON")),
            gtid_owned: facts.gtid_owned,
            gtid_executed: facts.gtid_executed,
            gtid_purged: facts.gtid_purged,
            lower_case_names: facts.lower_case_table_names != 0,
            databases: client.databases().await?,
            ..Survey::default()
        };
        if survey.log_bin {
            survey.files = binlog_files(&mut client).await?;
            survey.first_file = survey
                .files
                .first()
                .map(|(name, _)| name.clone())
                .unwrap_or_default();
            // File, offset and GTID set of one answer belong together.
            if let Some(status) = client.master_status().await? {
                survey.current = status.end();
                if Dialect::of_version(&survey.version).is_mariadb {
                    let (first, current) = (&survey.first_file, &survey.current);
                    let places = client.mariadb_places(first, current).await?;
                    survey.mariadb = Some(places);
                }
                survey.binlog_filters.clone_from(&status.filters);
                if survey.gtid_on {
                    survey.gtid_executed = status.gtid_executed;
                }
            }
        }
        Ok(survey)
    }

    async fn tables(&mut self, databases: &[String]) -> Result<Vec<TableName>, SourceError> {
        let mut client = SourceClient::connect(&self.settings.source).await?;
        let mut all = Vec::new();
        for database in databases {
            match client.tables(database).await {
                Ok(tables) => {
                    all.extend(tables.iter().map(|table| TableName::new(database, table)));
                }
                // Dropped by now.
                Err(SourceError::Server {
                    code: UNKNOWN_DATABASE,
                    ..
                }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    async fn end(&mut self) -> Result<(String, Option<FileOffset>), SourceError> {
        // A connection is kept only if all went well; one that was idle for long may have been ended by the server.
        if let Some(mut client) = self.client.take()
            && let Ok(end) = client.end().await
        {
            self.client = Some(client);
            return Ok(end);
        }
        let mut client = self.new_client().await?;
        let end = client.end().await?;
        self.client = Some(client);
        Ok(end)
    }

    async fn describe(&mut self, table: &TableName) -> Result<Option<Description>, SourceError> {
        // As above.
        if let Some(mut client) = self.client.take()
            && let Ok(described) = client.describe(table).await
        {
            self.client = Some(client);
            return Ok(described);
        }
        let mut client = self.new_client().await?;
        let described = client.describe(table).await?;
        self.client = Some(client);
        Ok(described)
    }

    async fn open(&mut self, position: &Position) -> Result<String, SourceError> {
        self.stream = None;
        let DumpSettings {
            source,
            server_id,
            heartbeat_interval,
            block_bytes_max,
            event_bytes_max,
            silence_timeout,
            ..
        } = &self.settings;
        let request = DumpRequest {
            server_id: *server_id,
            position,
            heartbeat_interval: *heartbeat_interval,
            part_bytes_max: *event_bytes_max,
            block_bytes_max: *block_bytes_max,
        };
        let limit = source.connect_timeout + *silence_timeout;
        let opened = tokio::time::timeout(limit, wire::open(source, &request)).await;
        let opened = opened.map_err(|_| SourceError::Timeout {
            operation: "open the dump",
            limit,
        })?;
        let (stream, server_uuid) = opened.map_err(|error| self.place.sort_wire(error))?;
        self.stream = Some(stream);
        Ok(server_uuid)
    }

    async fn next(&mut self, block: &mut EventBlock) -> Result<(), SourceError> {
        let limit = self.settings.silence_timeout;
        let Some(stream) = &mut self.stream else {
            return Err(self.place.unreachable("the dump is not open"));
        };
        match stream.next(block, limit).await {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(self.sort(error)),
            None => Err(SourceError::Timeout {
                operation: "send the next event or heartbeat",
                limit,
            }),
        }
    }
}
