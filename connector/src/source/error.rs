//! What went wrong with the source, sorted from what the client library says.
//!
//! No error shows a password, a row value or a literal (I9): servers quote them in some of their messages.

use std::time::Duration;

use mysql_async::{DriverError, Error as ClientError, IoError};

use super::wire::WireError;

/// The source could not be asked, or refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No connection, or it was lost.
    #[error("mysql {host}:{port} is not reachable: {detail}")]
    Unreachable {
        /// The host as configured.
        host: String,
        /// The port as configured.
        port: u16,
        /// The operating system's words.
        detail: String,
    },
    /// Account, password or a right was refused.
    #[error("mysql refused the account {user}: {detail}")]
    AccessDenied {
        /// The account as configured.
        user: String,
        /// The server's words, which hold no password.
        detail: String,
    },
    /// The encryption asked for could not be had.
    #[error("no TLS connection to mysql: {detail}")]
    Tls {
        /// What is wrong, and what mends it.
        detail: String,
    },
    /// No answer in time.
    #[error("mysql did not answer within {} s: {operation}", limit.as_secs_f32())]
    Timeout {
        /// What was asked.
        operation: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The server refused a statement.
    #[error("mysql error {code}: {message}")]
    Server {
        /// The server's number, such as 1236.
        code: u16,
        /// The server's words; in messages that quote values, without what stands in quotes.
        message: String,
    },
    /// A connection led to another server than the one before it.
    #[error(
        "mysql is another server now: its server_uuid is {found} instead of {expected}; let source.host name one server"
    )]
    OtherServer {
        /// That of the run.
        expected: String,
        /// That of the connection.
        found: String,
    },
    /// The server's answer is not one the client understands.
    #[error("mysql answered unexpectedly: {detail}")]
    Protocol {
        /// What was unexpected.
        detail: String,
    },
}

impl SourceError {
    /// True if the server ended a dump since another replica came with its id.
    pub(crate) fn is_server_id_taken(&self) -> bool {
        match self {
            Self::Server {
                code: 1236,
                message,
            } => {
                let message = message.to_ascii_lowercase();
                message.contains("same server_uuid") || message.contains("same server_id")
            }
            _ => false,
        }
    }
}

/// The server's number for a syntax error.
pub(super) const SYNTAX_ERROR: u16 = 1064;

/// What errors name.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
}

/// A server that is restarting, or a proxy without one, ends the handshake: nothing is wrong with certificates.
fn is_cut_off(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    [
        "unexpected eof",
        "reset by peer",
        "connection closed",
        "broken pipe",
    ]
    .iter()
    .any(|sign| words.contains(sign))
}

impl Place {
    pub(super) fn unreachable(&self, detail: &str) -> SourceError {
        let (host, port) = (self.host.clone(), self.port);
        SourceError::Unreachable {
            host,
            port,
            detail: detail.to_owned(),
        }
    }

    fn access_denied(&self, detail: String) -> SourceError {
        SourceError::AccessDenied {
            user: self.user.clone(),
            detail,
        }
    }

    /// Sorts the client's error. Nothing of its `Debug` form is shown: it holds packets and rows.
    pub(super) fn sort(&self, error: ClientError) -> SourceError {
        match error {
            ClientError::Server(error) => self.sort_server(error.code, &error.message),
            ClientError::Io(IoError::Io(error)) => self.unreachable(&error.to_string()),
            ClientError::Io(IoError::Tls(error)) => self.sort_tls(&error.to_string()),
            ClientError::Driver(error) => self.sort_driver(&error),
            ClientError::Url(_) | ClientError::Other(_) => SourceError::Protocol {
                detail: "the client could not make sense of the answer".to_owned(),
            },
        }
    }

    /// Sorts what went wrong with the dump's own connection.
    pub(super) fn sort_wire(&self, error: WireError) -> SourceError {
        match error {
            WireError::Io(error) => self.unreachable(&error.to_string()),
            WireError::Tls(error) => self.sort_tls(&error.to_string()),
            WireError::Told(error) => error,
            WireError::NoTls => no_tls(),
            WireError::Server { code, message } => self.sort_server(code, &message),
            WireError::Plugin(name) => self.unknown_plugin(&name),
            WireError::LocalInfile => no_file(),
            WireError::Protocol(detail) => SourceError::Protocol { detail },
        }
    }

    fn sort_tls(&self, error: &str) -> SourceError {
        if is_cut_off(error) {
            return self.unreachable("the connection was cut off during the TLS handshake");
        }
        SourceError::Tls {
            detail: self.tls_detail(error),
        }
    }

    fn unknown_plugin(&self, name: &str) -> SourceError {
        let user = &self.user;
        self.access_denied(format!(
            "the account signs in with {name}, which is not supported. On MySQL 5.7 and later give it another: \
             ALTER USER '{user}'@'%' IDENTIFIED WITH caching_sha2_password BY '…' (mysql_native_password before 8.0); on \
             MariaDB: ALTER USER '{user}'@'%' IDENTIFIED VIA ed25519 USING PASSWORD('…')"
        ))
    }

    fn sort_server(&self, code: u16, message: &str) -> SourceError {
        match code {
            // Wrong user or password, no right to the database, table, column, statement or routine; host not
            // allowed, account locked, password expired.
            1044 | 1045 | 1130 | 1142 | 1143 | 1227 | 1370 | 1698 | 1820 | 1862 | 3118 | 4151 => {
                self.access_denied(format!("{message} (code {code})"))
            }
            3159 => SourceError::Tls {
                detail: "the server takes encrypted connections only (require_secure_transport): use a TLS \
                         mode other than off"
                    .to_owned(),
            },
            _ => SourceError::Server { code, message: without_literals(code, message) },
        }
    }

    fn sort_driver(&self, error: &DriverError) -> SourceError {
        match error {
            DriverError::NoClientSslFlagFromServer => no_tls(),
            DriverError::ConnectionClosed => self.unreachable("the server closed the connection"),
            DriverError::UnknownAuthPlugin { name } => self.unknown_plugin(name),
            DriverError::CleartextPluginDisabled => self.unknown_plugin("mysql_clear_password"),
            DriverError::MysqlOldPasswordDisabled => self.unknown_plugin("mysql_old_password"),
            DriverError::LocalInfile(_) => no_file(),
            error => SourceError::Protocol {
                detail: error.to_string(),
            },
        }
    }

    fn tls_detail(&self, error: &str) -> String {
        let Place { host, port, .. } = self;
        // OpenSSL's last words, in brackets, are the ones for people.
        let words = error
            .rsplit_once('(')
            .map_or(error, |(_, words)| words.trim_end_matches(')'));
        if words.contains("mismatch") {
            return format!(
                "{words}: the server's certificate is not made out to {host}. Connect by the name in it, or use \
                 TLS mode verify_ca with the server's CA (certificates the server made for itself name no host)"
            );
        }
        if error.contains("certificate") {
            return format!(
                "{words}: the server's certificate does not come from a trusted CA. Fetch the server's CA: the \
                 file named by SHOW VARIABLES LIKE 'ssl_ca' on the server (mostly ca.pem in its data \
                 directory), or the last certificate printed by `openssl s_client -starttls mysql -connect \
                 {host}:{port} -showcerts`; compare its fingerprint with the server's owner, and name the \
                 file as the TLS ca_file, with mode verify_ca if the certificate names no host. Mode encrypt \
                 takes any certificate, which protects against listeners but not against impostors"
            );
        }
        words.to_owned()
    }
}

fn no_tls() -> SourceError {
    SourceError::Tls {
        detail:
            "the server offers no TLS: give it a certificate (ssl_cert, ssl_key), or use TLS mode \
                 off if the network between is trusted"
                .to_owned(),
    }
}

fn no_file() -> SourceError {
    SourceError::Protocol {
        detail: "the server asked for a local file, which is never given".to_owned(),
    }
}

/// The server's words. Only messages known to quote names alone keep what stands in quotes.
fn without_literals(code: u16, message: &str) -> String {
    // Unknown database or table, unknown variable, binlog not to be had, server options in the way.
    if matches!(code, 1049 | 1051 | 1146 | 1193 | 1236 | 1290 | 1381) {
        return message.to_owned();
    }
    // From the first quote to the last: a quoted value may hold quotes.
    match (message.find('\''), message.rfind('\'')) {
        (Some(first), Some(last)) if first < last => {
            let end = message.get(last..).unwrap_or_default();
            format!("{}'***{end}", message.get(..first).unwrap_or_default())
        }
        (Some(first), _) => format!("{}'***", message.get(..first).unwrap_or_default()),
        (None, _) => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_quote_values_lose_them() {
        for (code, message, expected) in [
            (
                1062,
                "Duplicate entry 'it's me' for key 't.PRIMARY'",
                "Duplicate entry '***'",
            ),
            (
                1064,
                "You have an error near 'secret' at line 1",
                "You have an error near '***' at line 1",
            ),
            (1366, "Incorrect value: 'unended", "Incorrect value: '***"),
            (1049, "Unknown database 'shop'", "Unknown database 'shop'"),
            (1040, "Too many connections", "Too many connections"),
        ] {
            assert_eq!(without_literals(code, message), expected);
        }
    }

    #[test]
    fn errors_are_sorted_by_what_the_operator_must_do() {
        let place = Place {
            host: "db".into(),
            port: 3306,
            user: "bridge".into(),
        };
        let server = |code| place.sort_server(code, "words");
        assert!(matches!(server(1045), SourceError::AccessDenied { .. }));
        assert!(matches!(server(1227), SourceError::AccessDenied { .. }));
        assert!(matches!(server(3159), SourceError::Tls { .. }));
        assert!(matches!(
            server(1236),
            SourceError::Server { code: 1236, .. }
        ));
        let driver = |error| place.sort(ClientError::Driver(error));
        assert!(matches!(
            driver(DriverError::NoClientSslFlagFromServer),
            SourceError::Tls { .. }
        ));
        assert!(matches!(
            driver(DriverError::ConnectionClosed),
            SourceError::Unreachable { .. }
        ));
        let packet = DriverError::UnexpectedPacket {
            payload: b"hunter2".to_vec(),
        };
        let error = driver(packet);
        assert!(matches!(error, SourceError::Protocol { .. }));
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
