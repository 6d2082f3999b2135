//! The real half of [`Dump`]: a connection for questions, and one that has become a binlog stream.
//!
//! The client library hands over events one by one, without checksum and out of their packet; here they are put
//! together again as the server sent them, so that the decoder can verify every byte itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use binlog_bridge_core::event::{EventBlock, Part};
use binlog_bridge_core::position::{FileOffset, GtidSet, Position};
use binlog_bridge_core::schema::Dialect;
use binlog_bridge_core::selection::TableName;
use futures_util::{FutureExt, StreamExt};
use mysql_async::binlog::EventType;
use mysql_async::binlog::events::Event;
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStream, BinlogStreamRequest, GnoInterval, Sid};

use super::client::{SourceClient, SourceSettings};
use super::dump::{Description, Dump, Survey};
use super::error::{Place, SourceError};

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
    /// When silence was too long, lately; shared by all dumps of a task.
    pub silences: Arc<Mutex<Vec<Instant>>>,
    /// Events that have arrived are gathered up to about so many bytes.
    pub block_bytes_max: usize,
    /// Larger events are handed on in parts of so many bytes.
    pub event_bytes_max: usize,
}

/// The server's number for a database that does not exist.
const UNKNOWN_DATABASE: u16 = 1049;
/// How long a silence is remembered.
const SILENCES_REMEMBERED: Duration = Duration::from_secs(600);
/// Patience grows to so many times its double: 32 times.
const PATIENCE_DOUBLED_MAX: u32 = 5;

/// A binlog dump from a MySQL server.
pub struct MysqlDump {
    settings: DumpSettings,
    place: Place,
    stream: Option<BinlogStream>,
    /// A large event, and how many bytes of its body were handed on.
    large: Option<(Event, usize)>,
    /// An error that came after events that were handed on first.
    failed: Option<SourceError>,
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
            large: None,
            failed: None,
            client: None,
        }
    }

    /// A connection that is to be kept.
    async fn new_client(&self) -> Result<SourceClient, SourceError> {
        let mut client = SourceClient::connect(&self.settings.source).await?;
        client.prepare_to_describe().await?;
        Ok(client)
    }

    /// Appends an event as it was on the wire. Of a large one the first part; the rest is kept for later calls.
    fn push(&mut self, event: Event, block: &mut EventBlock) {
        let header = header_bytes(&event);
        let limit = self.settings.event_bytes_max;
        match event.data().split_at_checked(limit) {
            Some((first, rest)) if !rest.is_empty() => {
                block.push(Part::First, &[&header, first]);
                self.large = Some((event, limit));
            }
            Some(_) | None => {
                let (trailer, length) = trailer(&event);
                let trailer = trailer.get(..length).unwrap_or_default();
                block.push(Part::Whole, &[&header, event.data(), trailer]);
            }
        }
    }

    /// Appends the next part of a large event whose first `done` bytes were handed on.
    fn push_part(&mut self, event: Event, done: usize, block: &mut EventBlock) {
        let rest = event.data().get(done..).unwrap_or_default();
        let limit = self.settings.event_bytes_max;
        match rest.split_at_checked(limit) {
            Some((middle, more)) if !more.is_empty() => {
                block.push(Part::Middle, &[middle]);
                self.large = Some((event, done + limit));
            }
            Some(_) | None => {
                let (trailer, length) = trailer(&event);
                block.push(
                    Part::Last,
                    &[rest, trailer.get(..length).unwrap_or_default()],
                );
            }
        }
    }

    /// How long silence is borne. The client hands over whole packets only, so that a large event on a slow line
    /// looks like silence: each time-out doubles the patience for a while.
    fn patience(&self) -> Duration {
        let silences = self
            .settings
            .silences
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let recent = silences
            .iter()
            .filter(|at| at.elapsed() < SILENCES_REMEMBERED)
            .count();
        let doubled = u32::try_from(recent)
            .unwrap_or(u32::MAX)
            .min(PATIENCE_DOUBLED_MAX);
        self.settings.silence_timeout * 2_u32.pow(doubled)
    }

    fn silent(&self, limit: Duration) -> SourceError {
        let mut silences = self
            .settings
            .silences
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        silences.retain(|at| at.elapsed() < SILENCES_REMEMBERED);
        silences.push(Instant::now());
        SourceError::Timeout {
            operation: "send the next event or heartbeat",
            limit,
        }
    }

    fn sort(&self, item: Option<mysql_async::Result<Event>>) -> Result<Event, SourceError> {
        match item {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let error = self.place.sort(error);
                if error.is_server_id_taken()
                    && !self.settings.server_id_taken.swap(true, Ordering::Relaxed)
                {
                    let server_id = self.settings.server_id;
                    tracing::warn!(
                        server_id,
                        "another replica has this server id, and the server ended our dump: from now on a random one is used; if source.server_id is set, remove it or choose another"
                    );
                }
                Err(error)
            }
            None => Err(self.place.unreachable("the server ended the dump")),
        }
    }
}

/// The 19 bytes that the event began with.
fn header_bytes(event: &Event) -> [u8; 19] {
    let header = event.header();
    let mut bytes = [0; 19];
    let fields: [&[u8]; 6] = [
        &header.timestamp().to_le_bytes(),
        &[header.event_type_raw()],
        &header.server_id().to_le_bytes(),
        &header.event_size().to_le_bytes(),
        &header.log_pos().to_le_bytes(),
        &header.flags_raw().to_le_bytes(),
    ];
    let mut at = 0;
    for field in fields {
        bytes[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    }
    bytes
}

/// What the library cut off behind the body: a format description's checksum algorithm, and the checksum.
fn trailer(event: &Event) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut length = 0;
    let cut = usize::try_from(event.header().event_size())
        .unwrap_or(usize::MAX)
        .saturating_sub(19 + event.data().len());
    let is_format = event.header().event_type_raw() == EventType::FORMAT_DESCRIPTION_EVENT as u8;
    if is_format && cut > 0 {
        let algorithm = event.footer().get_checksum_alg().ok().flatten();
        bytes[0] = algorithm.map_or(0, |algorithm| algorithm as u8);
        length = 1;
    }
    if cut >= length + 4 {
        // A format description has the four bytes even where checksums are off; they mean nothing then.
        bytes[length..length + 4].copy_from_slice(&event.checksum().unwrap_or_default());
        length += 4;
    }
    (bytes, length)
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
        self.failed = None;
        self.large = None;
        let mut client = SourceClient::connect(&self.settings.source).await?;
        let server_uuid = client.server_uuid().await?;
        let Some(mut conn) = client.into_conn() else {
            return Err(self.place.unreachable("the connection was lost at once"));
        };
        let session = session(self.settings.heartbeat_interval, position);
        let file = position.at().file.as_bytes();
        let request = BinlogStreamRequest::new(self.settings.server_id);
        let request = match position {
            Position::Gtid { gtid_set, .. } => request
                .with_gtid()
                .with_gtid_set(sids(gtid_set, &self.place)?),
            // The session says from where.
            Position::Mariadb { .. } => request,
            Position::File { at } => request.with_filename(file).with_pos(at.offset),
        };
        let opening = async {
            conn.query_drop(session).await?;
            conn.get_binlog_stream(request).await
        };
        let limit = self.settings.silence_timeout;
        let opened =
            tokio::time::timeout(limit, opening)
                .await
                .map_err(|_| SourceError::Timeout {
                    operation: "open the dump",
                    limit,
                })?;
        self.stream = Some(opened.map_err(|error| self.place.sort(error))?);
        Ok(server_uuid)
    }

    async fn next(&mut self, block: &mut EventBlock) -> Result<(), SourceError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if let Some((event, done)) = self.large.take() {
            self.push_part(event, done, block);
            return Ok(());
        }
        let limit = self.patience();
        let Some(stream) = &mut self.stream else {
            return Err(self.place.unreachable("the dump is not open"));
        };
        let Ok(first) = tokio::time::timeout(limit, stream.next()).await else {
            return Err(self.silent(limit));
        };
        let mut event = self.sort(first)?;
        // From here on nothing waits: what was taken is in the block when this returns.
        loop {
            self.push(event, block);
            if self.large.is_some() || block.len() >= self.settings.block_bytes_max {
                return Ok(());
            }
            let more = self
                .stream
                .as_mut()
                .and_then(|stream| stream.next().now_or_never());
            match more {
                None => return Ok(()),
                Some(item) => match self.sort(item) {
                    Ok(next) => event = next,
                    Err(error) => {
                        self.failed = Some(error);
                        return Ok(());
                    }
                },
            }
        }
    }
}

/// What the server is told before a dump: how often to send a heartbeat, and if it is a MariaDB server, that we know its
/// GTIDs, and by which we name the place. (MariaDB source, `sql/sql_repl.cc`; another server has no use for the variables.)
fn session(heartbeat_interval: Duration, position: &Position) -> String {
    /// MARIA_SLAVE_CAPABILITY_MINE
    const CAPABILITY: u8 = 4;
    let nanoseconds = heartbeat_interval.as_nanos();
    let mut session = format!(
        "SET @master_heartbeat_period = {nanoseconds}, @source_heartbeat_period = {nanoseconds}, \
         @mariadb_slave_capability = {CAPABILITY}"
    );
    if let Position::Mariadb { gtid_pos, .. } = position {
        // Strict: a transaction that the server does not have is an error, and nothing near it will do.
        session += &format!(
            ", @slave_connect_state = '{gtid_pos}', @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0"
        );
    }
    session
}

/// A GTID set for the client library, whose intervals end one past their last number.
fn sids(set: &GtidSet, place: &Place) -> Result<Vec<Sid<'static>>, SourceError> {
    set.sources()
        .map(|(source, intervals)| {
            if source.tag.is_some() {
                return Err(place.unreachable("a tagged GTID cannot be named in the dump request"));
            }
            let intervals = intervals
                .iter()
                .map(|interval| GnoInterval::new(interval.first, interval.last + 1))
                .collect();
            Ok(Sid::new(source.uuid.0).with_intervals(intervals))
        })
        .collect()
}
