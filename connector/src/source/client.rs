//! Queries to the source server, on one connection, each with a time limit.
//!
//! A connection on which anything but a server's refusal went wrong is given up: what is still on the wire
//! would be read as the answer to the next query. `LOAD DATA LOCAL` is never answered, as no handler is set:
//! a server that asks for a file gets an error, and loses the connection.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use binlog_bridge_core::position::Uuid;
use binlog_bridge_core::selection::lower_case;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row, SslOpts, Value};
use tokio::time::timeout;

use super::describe::Told;
use super::error::{Place, SourceError};
use crate::secret::Secret;

/// Where the source server is, and how to get in.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The account.
    pub user: String,
    /// Its password; may be empty.
    pub password: Secret,
    /// Encryption of the connection.
    pub tls: TlsSettings,
    /// Time limit for a connection, TLS and authentication included.
    pub connect_timeout: Duration,
}

/// Encryption of the connection to the source.
#[derive(Debug, Clone, Default)]
pub struct TlsSettings {
    /// What is asked of the server.
    pub mode: TlsMode,
    /// PEM file of the only CAs trusted; without one, those of the system are.
    pub ca_file: Option<PathBuf>,
}

/// What is asked of the server before the password is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// A certificate of a trusted CA, made out to the host's name.
    #[default]
    VerifyIdentity,
    /// A certificate of a trusted CA, whatever its name.
    VerifyCa,
    /// TLS with any certificate.
    Encrypt,
    /// No TLS.
    Off,
}

/// What the server says of itself and of its binlog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// Such as `8.0.31` or `10.11.18-MariaDB-log`.
    pub version: String,
    /// What tells the server from others: see [`SourceClient::server_uuid`].
    pub server_uuid: String,
    /// 0 if it was never set.
    pub server_id: u32,
    /// Whether the server writes a binlog.
    pub log_bin: bool,
    /// `ROW`, `MIXED` or `STATEMENT`.
    pub binlog_format: String,
    /// `FULL`, `MINIMAL` or `NOBLOB`; `FULL` on servers that know no other.
    pub binlog_row_image: String,
    /// `MINIMAL`, `FULL` or `NO_LOG` (MariaDB); none on servers without the variable.
    pub binlog_row_metadata: Option<String>,
    /// None on servers without MySQL's GTIDs.
    pub gtid_mode: Option<String>,
    /// MySQL: those of transactions that are being executed, as a set. Else empty.
    pub gtid_owned: String,
    /// MySQL: the whole set, in one line. Else empty.
    pub gtid_executed: String,
    /// MySQL: the whole set, in one line. Else empty.
    pub gtid_purged: String,
    /// `CRC32` or `NONE`; `NONE` on servers without checksums.
    pub binlog_checksum: String,
    /// 0, 1 or 2.
    pub lower_case_table_names: u8,
    /// `PARTIAL_JSON` or empty; none on servers without the variable.
    pub row_value_options: Option<String>,
    /// Whether transactions are compressed; none on servers without the variable.
    pub transaction_compression: Option<bool>,
}

/// Time limit of one query. Lists of tables can take seconds on servers with very many.
const QUERY_TIMEOUT: Duration = Duration::from_secs(60);

/// Largest packet taken from the server: the protocol's own limit for an event. Without it the *server's*
/// `max_allowed_packet` would hold, which older events may exceed.
const PACKET_BYTES_MAX: usize = 1 << 30;

/// Idle time after which the operating system asks whether the other side is still there.
pub(super) const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// One connection for queries.
pub struct SourceClient {
    /// None while a query runs, and for good after one that did not end as it should.
    conn: Option<Conn>,
    place: Place,
    /// How the server calls the end of its binlog.
    pub(super) status_statement: &'static str,
    /// What it tells of tables.
    pub(super) told: Told,
}

impl fmt::Debug for SourceClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceClient")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl SourceClient {
    /// Connects and signs in.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn connect(settings: &SourceSettings) -> Result<SourceClient, SourceError> {
        let place = Place {
            host: settings.host.clone(),
            port: settings.port,
            user: settings.user.clone(),
        };
        let options = options(settings)?;
        let limit = settings.connect_timeout;
        let connect = || async {
            let conn = timeout(limit, Conn::new(options.clone())).await;
            let conn = conn.map_err(|_| SourceError::Timeout {
                operation: "connect",
                limit,
            })?;
            conn.map_err(|error| place.sort(error))
        };
        // The library refuses one in 256 numbers that ed25519 and parsec are asked with, and a right password with it.
        let conn = match connect().await {
            Err(SourceError::AccessDenied { .. }) => connect().await?,
            connected => connected?,
        };
        Ok(SourceClient {
            conn: Some(conn),
            place,
            status_statement: "SHOW MASTER STATUS",
            told: Told::default(),
        })
    }

    /// Reads everything precheck and resume need to know, in two round trips at most.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn server_facts(&mut self) -> Result<ServerFacts, SourceError> {
        let mut variables = self.variables().await?;
        // SHOW cuts values at 1024 characters, which a GTID set may exceed.
        let [gtid_owned, gtid_executed, gtid_purged] = match variables.contains_key("gtid_mode") {
            true => {
                // In this order: what is owned no more was executed by then.
                let sql =
                    "SELECT @@GLOBAL.gtid_owned, @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged";
                let row = self
                    .query("read the GTID sets", sql)
                    .await?
                    .into_iter()
                    .next();
                let set = |i| {
                    row.as_ref()
                        .and_then(|row| text(row, i))
                        .unwrap_or_default()
                };
                [owned_set(&set(0)), one_line(&set(1)), one_line(&set(2))]
            }
            false => Default::default(),
        };
        let server_uuid = identity(&variables);
        let mut take = |name: &str| variables.remove(name);
        Ok(ServerFacts {
            version: take("version").ok_or_else(|| missing("version"))?,
            server_uuid,
            server_id: number(take("server_id"), "server_id")?,
            log_bin: take("log_bin").is_some_and(|value| is_on(&value)),
            binlog_format: take("binlog_format").unwrap_or_default(),
            binlog_row_image: take("binlog_row_image").unwrap_or_else(|| "FULL".to_owned()),
            binlog_row_metadata: take("binlog_row_metadata"),
            gtid_mode: take("gtid_mode"),
            gtid_owned,
            gtid_executed,
            gtid_purged,
            binlog_checksum: take("binlog_checksum").unwrap_or_else(|| "NONE".to_owned()),
            lower_case_table_names: number(
                take("lower_case_table_names"),
                "lower_case_table_names",
            )?,
            row_value_options: take("binlog_row_value_options"),
            transaction_compression: take("binlog_transaction_compression")
                .map(|value| is_on(&value)),
        })
    }

    /// SHOW does not mind names a server lacks, where SELECT would fail.
    async fn variables(&mut self) -> Result<BTreeMap<String, String>, SourceError> {
        let sql = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'server_uuid', 'server_uid', 'server_id', \
                   'log_bin', 'binlog_format', 'binlog_row_image', 'binlog_row_metadata', 'gtid_mode', \
                   'binlog_checksum', 'lower_case_table_names', \
                   'binlog_row_value_options', 'binlog_transaction_compression')";
        let rows = self.query("read the server's variables", sql).await?;
        Ok(pairs(&rows))
    }

    /// The databases the account may see, the server's own too.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn databases(&mut self) -> Result<Vec<String>, SourceError> {
        let names = self.texts("list the databases", "SHOW DATABASES").await?;
        self.as_in_the_binlog(names).await
    }

    /// The tables of a database that the account may see, without views.
    ///
    /// # Errors
    /// See [`SourceError`]; 1049 if there is no such database.
    pub async fn tables(&mut self, database: &str) -> Result<Vec<String>, SourceError> {
        let database = database.replace('`', "``");
        let sql = format!(
            "SHOW FULL TABLES FROM `{database}` WHERE Table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')"
        );
        let names = self.texts("list the tables", &sql).await?;
        self.as_in_the_binlog(names).await
    }

    /// With `lower_case_table_names=2` the server lists names as they were typed, and logs them in lower case.
    async fn as_in_the_binlog(&mut self, names: Vec<String>) -> Result<Vec<String>, SourceError> {
        let sql = "SELECT @@lower_case_table_names";
        let kinds = self.texts("read how names are kept", sql).await?;
        Ok(match kinds.first().map(String::as_str) {
            Some("2") => names.iter().map(|name| lower_case(name)).collect(),
            Some(_) | None => names,
        })
    }

    /// The account the server signed us in as, such as `bridge@%`.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn current_user(&mut self) -> Result<String, SourceError> {
        let users = self
            .texts("read the account", "SELECT CURRENT_USER()")
            .await?;
        users
            .into_iter()
            .next()
            .ok_or_else(|| missing("CURRENT_USER()"))
    }

    /// The account's rights, as GRANT statements without password hashes.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn grants(&mut self) -> Result<Vec<String>, SourceError> {
        let grants = self
            .texts("read the account's rights", "SHOW GRANTS")
            .await?;
        Ok(grants.iter().map(|grant| without_hash(grant)).collect())
    }

    /// Runs a statement and drops its rows. Statements of one transaction go one after another on one client.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub async fn execute(&mut self, sql: &str) -> Result<(), SourceError> {
        self.query("run a statement", sql).await.map(|_| ())
    }

    pub(super) async fn texts(
        &mut self,
        operation: &'static str,
        sql: &str,
    ) -> Result<Vec<String>, SourceError> {
        let rows = self.query(operation, sql).await?;
        rows.iter()
            .map(|row| text(row, 0).ok_or_else(|| missing(operation)))
            .collect()
    }

    /// The connection is out while the query runs, so that a query whose future is dropped takes it along.
    pub(super) async fn query(
        &mut self,
        operation: &'static str,
        sql: &str,
    ) -> Result<Vec<Row>, SourceError> {
        let Some(mut conn) = self.conn.take() else {
            return Err(self
                .place
                .unreachable("the connection was given up after an earlier failure"));
        };
        let limit = QUERY_TIMEOUT;
        match timeout(limit, conn.query::<Row, _>(sql)).await {
            Ok(Ok(rows)) => {
                self.conn = Some(conn);
                Ok(rows)
            }
            Ok(Err(error)) => {
                if !error.is_fatal() {
                    self.conn = Some(conn);
                }
                Err(self.place.sort(error))
            }
            Err(_) => Err(SourceError::Timeout { operation, limit }),
        }
    }
}

fn options(settings: &SourceSettings) -> Result<OptsBuilder, SourceError> {
    let password = Some(settings.password.expose()).filter(|password| !password.is_empty());
    Ok(OptsBuilder::default()
        .ip_or_hostname(settings.host.clone())
        .tcp_port(settings.port)
        .user(Some(settings.user.clone()))
        .pass(password)
        // Else the client changes over to the server's unix socket, where the account may be another one.
        .prefer_socket(false)
        .max_allowed_packet(Some(PACKET_BYTES_MAX))
        .tcp_keepalive(Some(TCP_KEEPALIVE))
        .ssl_opts(tls_options(&settings.tls)?))
}

fn tls_options(tls: &TlsSettings) -> Result<Option<SslOpts>, SourceError> {
    let (any_name, any_certificate) = match tls.mode {
        TlsMode::Off => return Ok(None),
        TlsMode::VerifyIdentity => (false, false),
        TlsMode::VerifyCa => (true, false),
        TlsMode::Encrypt => (true, true),
    };
    let options = SslOpts::default()
        .with_danger_skip_domain_validation(any_name)
        .with_danger_accept_invalid_certs(any_certificate);
    let Some(path) = &tls.ca_file else {
        return Ok(Some(options));
    };
    let certificates = read_certificates(path)?;
    Ok(Some(
        options
            .with_root_certs(vec![certificates.into()])
            .with_disable_built_in_roots(true),
    ))
}

/// Read here, as the client takes a missing file for an unreachable server and a text without certificates
/// for an empty list.
pub(super) fn read_certificates(path: &Path) -> Result<Vec<u8>, SourceError> {
    let wrong = |what: String| SourceError::Tls {
        detail: format!("the CA file {} {what}", path.display()),
    };
    let bytes = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let marker = b"-----BEGIN CERTIFICATE-----";
    match bytes.windows(marker.len()).any(|window| window == marker) {
        true => Ok(bytes),
        false => Err(wrong("holds no certificate in PEM form".to_owned())),
    }
}

/// Old servers and MariaDB end a GRANT with `IDENTIFIED BY PASSWORD '*...'`.
fn without_hash(grant: &str) -> String {
    let Some((rights, identified)) = grant.split_once(" IDENTIFIED ") else {
        return grant.to_owned();
    };
    let parts = identified.split('\'').enumerate();
    let masked: Vec<&str> = parts
        .map(|(i, part)| if i % 2 == 1 { "***" } else { part })
        .collect();
    format!("{rights} IDENTIFIED {}", masked.join("'"))
}

/// A column of a text answer; `None` for NULL and for a column the server does not have.
pub(super) fn text(row: &Row, column: usize) -> Option<String> {
    match row.as_ref(column)? {
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::UInt(number) => Some(number.to_string()),
        Value::NULL | Value::Float(_) | Value::Double(_) | Value::Date(..) | Value::Time(..) => {
            None
        }
    }
}

/// Names of variables in lower case, and their values.
pub(super) fn pairs(rows: &[Row]) -> BTreeMap<String, String> {
    let pair = |row: &Row| Some((text(row, 0)?.to_ascii_lowercase(), text(row, 1)?));
    rows.iter().filter_map(pair).collect()
}

pub(super) fn identity(variables: &BTreeMap<String, String>) -> String {
    let of = |name: &str| variables.get(name).filter(|value| !value.is_empty());
    // MariaDB makes it of the address of its network card and its port, which several may share.
    let uid = of("server_uid").filter(|uid| *uid != "unknown");
    match (of("server_uuid"), uid, of("server_id")) {
        (Some(uuid), _, _) => uuid.clone(),
        (None, Some(uid), Some(id)) => format!("{uid}/server_id={id}"),
        (None, None, Some(id)) => format!("server_id={id}"),
        (None, _, None) => String::new(),
    }
}

pub(super) fn number<T: std::str::FromStr>(
    text: Option<String>,
    what: &str,
) -> Result<T, SourceError> {
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| missing(what))
}

pub(super) fn missing(what: &str) -> SourceError {
    SourceError::Protocol {
        detail: format!("{what} is missing or not readable in its answer"),
    }
}

fn is_on(value: &str) -> bool {
    value.eq_ignore_ascii_case("ON") || value == "1"
}

pub(super) fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], "")
}

/// The text form of a uuid.
const UUID_BYTES: usize = 36;
/// Its part before the first hyphen.
const UUID_FIRST_BYTES: usize = 8;

/// The GTIDs of `gtid_owned`. It names a thread behind each (`:5#7`), and MySQL 8.0 writes nothing between those of one
/// uuid and the next uuid. (MySQL, `sql/rpl_gtid_owned.cc`)
fn owned_set(text: &str) -> String {
    let text = one_line(text);
    let uuid_around = |(hyphen, _): (usize, &str)| {
        let start = hyphen.checked_sub(UUID_FIRST_BYTES)?;
        let uuid = text.get(start..start + UUID_BYTES)?;
        uuid.parse::<Uuid>().ok().map(|_| start)
    };
    let starts: Vec<usize> = text.match_indices('-').filter_map(uuid_around).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let sets = starts.iter().zip(ends).map(|(start, end)| {
        let pieces = text.get(*start..end).unwrap_or_default().split(':');
        let numbers = pieces.map(|piece| piece.split('#').next().unwrap_or_default());
        numbers.collect::<Vec<_>>().join(":")
    });
    sets.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use binlog_bridge_core::position::GtidSet;

    use super::*;

    #[test]
    fn owned_gtids_are_read_without_their_threads() {
        const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        const B: &str = "71e11fa4-71ca-11e1-9e33-c80aa9429562";
        for (owned, expected) in [
            (String::new(), String::new()),
            (format!("{A}:23#20"), format!("{A}:23")),
            // As 8.0.31 writes it.
            (format!("{A}:9#8:5#7{B}:7#10"), format!("{A}:5:9,{B}:7")),
            (format!("{A}:9#81,\n{B}:7#10"), format!("{A}:9,{B}:7")),
            (format!("{A}:tag:9#1"), format!("{A}:tag:9")),
        ] {
            let found: GtidSet = owned_set(&owned).parse().unwrap();
            assert_eq!(found, expected.parse().unwrap(), "{owned}");
        }
    }

    #[test]
    fn a_grant_is_shown_without_its_password_hash() {
        for (grant, expected) in [
            (
                "GRANT SELECT ON `a`.* TO 'u'@'%'",
                "GRANT SELECT ON `a`.* TO 'u'@'%'",
            ),
            (
                "GRANT USAGE ON *.* TO 'u'@'%' IDENTIFIED BY PASSWORD '*0123' REQUIRE SSL",
                "GRANT USAGE ON *.* TO 'u'@'%' IDENTIFIED BY PASSWORD '***' REQUIRE SSL",
            ),
            (
                "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED VIA ed25519 USING 'abc' OR unix_socket",
                "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED VIA ed25519 USING '***' OR unix_socket",
            ),
        ] {
            assert_eq!(without_hash(grant), expected);
        }
    }
}
