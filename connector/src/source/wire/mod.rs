//! The connection that becomes a dump.
//!
//! ```text
//! connect ─▶ sign_in (TLS, account) ─▶ session (settings, identity) ─▶ request ─▶ stream (frames in a block)
//! ```
//!
//! Questions go over connections of `mysql_async`; this one is of our own, so that what the server sends is taken as it comes:
//! bytes are read into the block that is handed on, large events go on in parts before they have arrived, and a line that is
//! slow is no silence. Nothing that a server sends makes it panic, wait for ever, or take more memory than its buffer.

mod channel;
mod request;
mod session;
mod sign_in;
mod stream;

use std::time::Duration;

use binlog_bridge_core::frames::Frames;
use binlog_bridge_core::position::{FileOffset, Position};
use tokio::net::TcpStream;
use tokio_native_tls::{TlsConnector, native_tls};

pub(super) use self::stream::DumpStream;
use super::client::{SourceSettings, TCP_KEEPALIVE, TlsMode, identity, read_certificates};
use super::error::SourceError;
use sign_in::Account;

/// What went wrong with the connection, before it is told as a [`SourceError`].
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Tls(#[from] native_tls::Error),
    /// One that has its words already.
    #[error("{0}")]
    Told(#[from] SourceError),
    /// The server has none.
    #[error("no TLS")]
    NoTls,
    #[error("error {code}")]
    Server { code: u16, message: String },
    /// An authentication plugin that is not spoken.
    #[error("the plugin {0}")]
    Plugin(String),
    /// The server asks for a file of ours.
    #[error("a file is asked for")]
    LocalInfile,
    /// It makes no sense.
    #[error("{0}")]
    Protocol(String),
}

impl WireError {
    /// Of a packet with an error: a number of two bytes, perhaps `#` and five letters, and a text.
    fn server(packet: &[u8]) -> Self {
        let code = packet.get(1..3).and_then(|bytes| bytes.first_chunk());
        let Some(code) = code else {
            return Self::Protocol("an error without a number".to_owned());
        };
        let mut text = packet.get(3..).unwrap_or_default();
        if let [b'#', _, _, _, _, _, words @ ..] = text {
            text = words;
        }
        Self::Server {
            code: u16::from_le_bytes(*code),
            message: String::from_utf8_lossy(text).into_owned(),
        }
    }
}

/// What is asked of the server.
#[derive(Debug)]
pub(super) struct DumpRequest<'a> {
    pub(super) server_id: u32,
    pub(super) position: &'a Position,
    pub(super) heartbeat_interval: Duration,
    /// Larger events are handed on in parts of so many bytes.
    pub(super) part_bytes_max: usize,
    /// About so many bytes are handed on at once.
    pub(super) block_bytes_max: usize,
}

/// A dump from a position, and what tells its server from others.
pub(super) async fn open(
    source: &SourceSettings,
    request: &DumpRequest<'_>,
) -> Result<(DumpStream, String), WireError> {
    let connector = tls_connector(source)?;
    let stream = connect(source).await?;
    let account = Account {
        user: &source.user,
        password: &source.password,
        host: &source.host,
        tls: connector.as_ref(),
    };
    let (mut channel, version) = sign_in::sign_in(stream, &account).await?;
    let is_mariadb = version.contains("MariaDB");
    let settings = session_settings(request.heartbeat_interval, request.position);
    session::query(&mut channel, &settings).await?;
    let variables = session::query(&mut channel, IDENTITY).await?;
    let pairs = variables.into_iter().filter_map(|row| {
        let [name, value] = <[_; 2]>::try_from(row).ok()?;
        Some((name?.to_ascii_lowercase(), value?))
    });
    let server = identity(&pairs.collect());
    session::command(&mut channel, &request::register(request.server_id)).await?;
    let command = command(request, is_mariadb)?;
    channel.command(&command).await?;
    let (bytes, sequence) = channel.into_bytes();
    let frames = Frames::new(request.part_bytes_max, sequence);
    let stream = DumpStream::new(bytes, frames, request.block_bytes_max);
    Ok((stream, server))
}

/// What tells a server from others: see [`identity`].
const IDENTITY: &str =
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'server_uid', 'server_id')";

async fn connect(source: &SourceSettings) -> Result<TcpStream, WireError> {
    let stream = TcpStream::connect((source.host.as_str(), source.port)).await?;
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new().with_time(TCP_KEEPALIVE);
    socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

fn command(request: &DumpRequest<'_>, is_mariadb: bool) -> Result<Vec<u8>, WireError> {
    let id = request.server_id;
    Ok(match request.position {
        Position::Gtid { gtid_set, .. } => request::dump_gtid(id, gtid_set),
        // The session says from where.
        Position::Mariadb { .. } => request::dump(id, "", 4, is_mariadb),
        Position::File { at } => request::dump(id, &at.file, offset(at)?, is_mariadb),
    })
}

/// Commands that name a file have four bytes for an offset.
fn offset(at: &FileOffset) -> Result<u32, WireError> {
    u32::try_from(at.offset).map_err(|_| {
        WireError::Protocol(format!(
            "a dump by file and offset cannot begin behind 4 GiB, at {at}; with gtid_mode=ON it can"
        ))
    })
}

/// What the server is told before a dump: how often to send a heartbeat, that checksums are known, whatever they are, and if it
/// is a MariaDB server, that we know its GTIDs, and by which we name the place. (MySQL source, `sql/rpl_binlog_sender.cc`,
/// MariaDB source, `sql/sql_repl.cc`; a server has no use for the variables of the other.)
fn session_settings(heartbeat_interval: Duration, position: &Position) -> String {
    /// MARIA_SLAVE_CAPABILITY_MINE
    const CAPABILITY: u8 = 4;
    let nanoseconds = heartbeat_interval.as_nanos();
    let mut session = format!(
        "SET @master_heartbeat_period = {nanoseconds}, @source_heartbeat_period = {nanoseconds}, \
         @master_binlog_checksum = 'ALL', @source_binlog_checksum = 'ALL', @mariadb_slave_capability = {CAPABILITY}"
    );
    if let Position::Mariadb { gtid_pos, .. } = position {
        // Strict: a transaction that the server does not have is an error, and nothing near it will do.
        session += &format!(
            ", @slave_connect_state = '{gtid_pos}', @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0"
        );
    }
    session
}

/// None without TLS.
fn tls_connector(source: &SourceSettings) -> Result<Option<TlsConnector>, WireError> {
    let (any_name, any_certificate) = match source.tls.mode {
        TlsMode::Off => return Ok(None),
        TlsMode::VerifyIdentity => (false, false),
        TlsMode::VerifyCa => (true, false),
        TlsMode::Encrypt => (true, true),
    };
    let mut builder = native_tls::TlsConnector::builder();
    builder
        .danger_accept_invalid_hostnames(any_name)
        .danger_accept_invalid_certs(any_certificate);
    if let Some(path) = &source.tls.ca_file {
        let pem = read_certificates(path)?;
        builder.disable_built_in_roots(true);
        for certificate in native_tls::Certificate::stack_from_pem(&pem)? {
            builder.add_root_certificate(certificate);
        }
    }
    Ok(Some(builder.build()?.into()))
}

#[cfg(test)]
mod tests;
