//! How fast can the binlog be read at all? The connector's own dump, to nowhere; and the same with `mysql_async`.

use std::time::Duration;

use anyhow::Context;
use binlog_bridge::secret::Secret;
use binlog_bridge::source::Dump;
use binlog_bridge::source::client::{SourceSettings, TlsMode, TlsSettings};
use binlog_bridge::source::mysql::{DumpSettings, MysqlDump};
use binlog_bridge_core::event::EventBlock;
use binlog_bridge_core::position::{FileOffset, Position};
use futures_util::StreamExt;
use mysql_async::{BinlogStreamRequest, Conn, OptsBuilder};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Port of the server on 127.0.0.1
    #[arg(long)]
    port: u16,
    /// The account
    #[arg(long)]
    user: String,
    /// Its password
    #[arg(long)]
    password: String,
    /// The binlog file to read from its beginning
    #[arg(long)]
    file: String,
    /// The offset in that file at which the last event ends
    #[arg(long)]
    end: u32,
    /// Read with `mysql_async` instead
    #[arg(long)]
    mysql_async: bool,
}

/// Where the first event of every binlog file begins.
const FIRST_OFFSET: u64 = 4;
/// Where an event's header holds the offset at which the event ends.
const END_AT: std::ops::Range<usize> = 13..17;

pub(super) fn dump(arguments: &Arguments) -> anyhow::Result<()> {
    super::await_start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (events, bytes) = runtime.block_on(async {
        match arguments.mysql_async {
            true => read_with_mysql_async(arguments).await,
            false => read(arguments).await,
        }
    })?;
    super::finish(&serde_json::json!({"events": events, "bytes": bytes}))
}

/// Reads up to the event that ends at the end, and returns the number of events and their bytes.
async fn read(arguments: &Arguments) -> anyhow::Result<(u64, u64)> {
    let mut dump = MysqlDump::new(settings(arguments));
    let at = FileOffset {
        file: arguments.file.clone(),
        offset: FIRST_OFFSET,
    };
    dump.open(&Position::File { at }).await?;
    let mut block = EventBlock::default();
    let (mut events, mut bytes) = (0, 0);
    loop {
        dump.next(&mut block).await?;
        for (_, event) in block.pieces() {
            let length = u64::try_from(event.len())?;
            (events, bytes) = (events + 1, bytes + length);
            let end = event.get(END_AT).context("an event without a header")?;
            if u32::from_le_bytes(end.try_into()?) == arguments.end {
                return Ok((events, bytes));
            }
        }
        block.clear();
    }
}

/// The same with the client library, which hands over one event after another.
async fn read_with_mysql_async(arguments: &Arguments) -> anyhow::Result<(u64, u64)> {
    let options = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(arguments.port)
        .user(Some(&arguments.user))
        .pass(Some(&arguments.password))
        .prefer_socket(false);
    let request = BinlogStreamRequest::new(std::process::id())
        .with_filename(arguments.file.as_bytes())
        .with_pos(FIRST_OFFSET);
    let mut stream = Conn::new(options).await?.get_binlog_stream(request).await?;
    let (mut events, mut bytes) = (0, 0);
    while let Some(event) = stream.next().await {
        let event = event?;
        let header = event.header();
        (events, bytes) = (events + 1, bytes + u64::from(header.event_size()));
        if header.log_pos() == arguments.end {
            break;
        }
    }
    Ok((events, bytes))
}

/// As the connector sets it by default, but for the encryption.
fn settings(arguments: &Arguments) -> DumpSettings {
    DumpSettings {
        source: SourceSettings {
            host: "127.0.0.1".to_owned(),
            port: arguments.port,
            user: arguments.user.clone(),
            password: Secret::new(arguments.password.clone()),
            tls: TlsSettings {
                mode: TlsMode::Off,
                ca_file: None,
            },
            connect_timeout: Duration::from_secs(10),
        },
        server_id: std::process::id(),
        heartbeat_interval: Duration::from_secs(1),
        silence_timeout: Duration::from_secs(10),
        server_id_taken: std::sync::Arc::default(),
        block_bytes_max: 256 << 10,
        event_bytes_max: 1 << 20,
    }
}
