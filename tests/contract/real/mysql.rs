//! The MySQL server that the tests of dumps use one after another, as they look at all of its binlog; and what
//! only a real connection can promise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use binlog_bridge::secret::Secret;
use binlog_bridge::source::client::{SourceClient, SourceSettings, TlsMode, TlsSettings};
use binlog_bridge::source::mysql::{DumpSettings, MysqlDump};
use binlog_bridge::source::{Dump, SourceError};
use binlog_bridge_core::event::EventBlock;
use binlog_bridge_core::position::Position;
use binlog_bridge_core::selection::TableName;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

use crate::dump::Source;
use crate::wait::Deadline;

/// Held by the test that has the server.
static SERVER: AsyncMutex<()> = AsyncMutex::const_new(());

pub(crate) struct MysqlSource {
    client: SourceClient,
    _alone: MutexGuard<'static, ()>,
}

impl Source for MysqlSource {
    type Dump = MysqlDump;

    async fn new() -> Self {
        let alone = SERVER.lock().await;
        let mut client = SourceClient::connect(&settings()).await.unwrap();
        for sql in [
            "CREATE DATABASE IF NOT EXISTS contract",
            "DROP TABLE IF EXISTS contract.t",
            "CREATE TABLE contract.t (id INT PRIMARY KEY AUTO_INCREMENT, v TEXT)",
        ] {
            client.execute(sql).await.unwrap();
        }
        Self {
            client,
            _alone: alone,
        }
    }

    fn dump(&self) -> MysqlDump {
        MysqlDump::new(dump_settings())
    }

    fn dump_in_parts(&self) -> MysqlDump {
        let mut settings = dump_settings();
        settings.event_bytes_max = 50;
        MysqlDump::new(settings)
    }

    fn table(&self) -> TableName {
        TableName::new("contract", "t")
    }

    async fn alter(&mut self) {
        self.client
            .execute("ALTER TABLE contract.t ADD COLUMN added INT NOT NULL DEFAULT 7")
            .await
            .unwrap();
    }

    async fn execute(&mut self) {
        let sql = "INSERT INTO contract.t (v) VALUES (REPEAT('x', 300)), ('y'), (NULL)";
        self.client.execute(sql).await.unwrap();
    }

    async fn rotate(&mut self) {
        let sql = "FLUSH BINARY LOGS";
        self.client.execute(sql).await.unwrap();
    }

    /// A file that a dump still reads is not removed: the server takes a moment to see that a dump has ended.
    async fn purge(&mut self) {
        let end = self.client.master_status().await.unwrap().unwrap();
        let sql = format!("PURGE BINARY LOGS TO '{}'", end.file);
        let deadline = Deadline::of("the server purges its binlog");
        loop {
            self.client.execute(&sql).await.unwrap();
            if self.client.binlog_files().await.unwrap().len() == 1 {
                return;
            }
            deadline.pause().await;
        }
    }
}

#[tokio::test]
async fn a_connection_without_heartbeats_is_given_up() {
    let source = MysqlSource::new().await;
    let mut settings = dump_settings();
    settings.heartbeat_interval = Duration::from_secs(60);
    settings.silence_timeout = Duration::from_millis(300);
    let mut dump = MysqlDump::new(settings);
    let survey = dump.survey().await.unwrap();
    let at = survey.current;
    dump.open(&Position::File { at }).await.unwrap();
    let mut block = EventBlock::default();
    let started = Instant::now();
    let error = loop {
        if let Err(error) = dump.next(&mut block).await {
            break error;
        }
    };
    assert!(matches!(error, SourceError::Timeout { .. }), "{error}");
    let waited = started.elapsed();
    assert!(waited < Duration::from_secs(20), "{waited:?}");
    drop(source);
}

/// No two dumps may have the same server id.
fn dump_settings() -> DumpSettings {
    static NEXT: AtomicU32 = AtomicU32::new(500_000);
    DumpSettings {
        source: settings(),
        server_id: NEXT.fetch_add(1, Ordering::Relaxed),
        server_id_taken: Arc::default(),
        heartbeat_interval: Duration::from_millis(100),
        silence_timeout: Duration::from_secs(30),
        block_bytes_max: 4096,
        event_bytes_max: 1 << 20,
    }
}

fn settings() -> SourceSettings {
    let place = std::env::var("BINLOG_BRIDGE_TEST_MYSQL")
        .expect("these tests need a MySQL server: set BINLOG_BRIDGE_TEST_MYSQL to its host:port");
    let (host, port) = place.rsplit_once(':').unwrap();
    SourceSettings {
        host: host.to_owned(),
        port: port.parse().unwrap(),
        user: "root".to_owned(),
        password: Secret::new(""),
        tls: TlsSettings {
            mode: TlsMode::Off,
            ca_file: None,
        },
        connect_timeout: Duration::from_secs(10),
    }
}
