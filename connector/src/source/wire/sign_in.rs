//! Signing in: who is the server, is the connection to be encrypted, and does it know us?
//!
//! Format: MySQL source, "Connection Phase" (`page_protocol_connection_phase`), and MariaDB's documentation of the same.
//! A password goes out as it is over TLS only, and only for the plugin that cannot do without.

use std::collections::HashMap;

use binlog_bridge_core::frames::{END, ERROR};
use mysql_common::constants::CapabilityFlags as Capabilities;
use mysql_common::io::ParseBuf;
use mysql_common::packets::{
    AuthPlugin, AuthSwitchRequest, HandshakePacket, HandshakeResponse, SslRequest,
};
use mysql_common::proto::MySerialize;
use openssl::rsa::{Padding, Rsa};
use tokio::net::TcpStream;
use tokio_native_tls::TlsConnector;

use super::WireError;
use super::channel::Channel;
use crate::secret::Secret;

/// Whom to sign in as.
#[derive(Debug)]
pub(super) struct Account<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a Secret,
    /// The name that the server's certificate is to have.
    pub(super) host: &'a str,
    /// None without TLS.
    pub(super) tls: Option<&'a TlsConnector>,
}

/// Largest packet of a server that is signing somebody in.
const PACKET_BYTES_MAX: usize = 64 * 1024;
/// A server that has not decided after so many packets never will.
const ROUNDS_MAX: usize = 8;
/// What we say of the largest packet that we take. The server minds its own limit.
const CLIENT_PACKET_BYTES_MAX: u32 = 1 << 30;
/// utf8mb4_general_ci; utf8_general_ci on servers before 5.5.3.
const UTF8MB4: u8 = 45;
/// Bytes of a nonce.
const NONCE_LEN: usize = 20;
/// Rounds for a password, as a power of two over 1024; MariaDB's own are 0 to 3.
const PARSEC_FACTOR_MAX: u8 = 10;
/// Letters of a plugin's name that are told.
const NAME_LEN_MAX: usize = 64;
/// Where, behind the version and its end, the handshake says how long the nonce is.
const NONCE_LEN_AT: usize = 20;

const OK: u8 = 0;
const MORE: u8 = 1;
/// caching_sha2_password: the server knows the account's hash, and all is well.
const FAST_OK: u8 = 3;
/// It does not, and needs the password.
const FULL: u8 = 4;
/// Asks for the server's RSA key.
const WANT_KEY: u8 = 2;

/// Signs in.
pub(super) async fn sign_in(
    stream: TcpStream,
    account: &Account<'_>,
) -> Result<(Channel, String), WireError> {
    let mut channel = Channel::new(stream);
    let packet = channel.read(PACKET_BYTES_MAX).await?;
    let handshake = read_handshake(&packet)?;
    let theirs = handshake.capabilities();
    let needed = Capabilities::CLIENT_PROTOCOL_41 | Capabilities::CLIENT_SECURE_CONNECTION;
    if handshake.protocol_version() != 10 || !theirs.contains(needed) {
        return Err(WireError::Protocol(
            "it speaks a protocol of before MySQL 4.1".to_owned(),
        ));
    }
    let mut ours = needed
        | Capabilities::CLIENT_LONG_PASSWORD
        | Capabilities::CLIENT_TRANSACTIONS
        | (theirs & Capabilities::CLIENT_PLUGIN_AUTH)
        | (theirs & Capabilities::CLIENT_CONNECT_ATTRS);
    if let Some(connector) = account.tls {
        if !theirs.contains(Capabilities::CLIENT_SSL) {
            return Err(WireError::NoTls);
        }
        ours |= Capabilities::CLIENT_SSL;
        let request = SslRequest::new(ours, CLIENT_PACKET_BYTES_MAX, UTF8MB4);
        channel.write(&serialized(&request)).await?;
        channel = channel.encrypt(connector, account.host).await?;
    }
    let mut nonce = handshake.scramble_1_ref().to_vec();
    nonce.extend_from_slice(handshake.scramble_2_ref().unwrap_or_default());
    nonce.resize(NONCE_LEN, 0);
    // Any other is asked for by a switch.
    let plugin = match handshake.auth_plugin() {
        Some(AuthPlugin::CachingSha2Password) => AuthPlugin::CachingSha2Password,
        _ => AuthPlugin::MysqlNativePassword,
    };
    let version = handshake.server_version_str().into_owned();
    let numbers = handshake.server_version_parsed().unwrap_or((8, 0, 0));
    let attributes = ours.contains(Capabilities::CLIENT_CONNECT_ATTRS).then(|| {
        let name = "binlog-bridge".to_owned();
        HashMap::from([("program_name".to_owned(), name)])
    });
    let answer = plugin.gen_data(Some(account.password.expose()), &nonce);
    let with_plugin = theirs.contains(Capabilities::CLIENT_PLUGIN_AUTH);
    let response = HandshakeResponse::new(
        answer.as_deref(),
        numbers,
        Some(account.user.as_bytes()),
        None::<&[u8]>,
        with_plugin.then(|| plugin.clone()),
        ours,
        attributes,
        CLIENT_PACKET_BYTES_MAX,
    );
    channel.write(&serialized(&response)).await?;
    let signing = Signing {
        channel,
        password: account.password,
        plugin,
        nonce,
    };
    Ok((signing.answer().await?, version))
}

fn read_handshake(packet: &[u8]) -> Result<HandshakePacket<'_>, WireError> {
    if packet.first() == Some(&ERROR) {
        return Err(WireError::server(packet));
    }
    let wrong = || WireError::Protocol("its first packet is no handshake".to_owned());
    // The library would subtract from it as from a signed number.
    let version = packet.get(1..).unwrap_or_default();
    let end = version
        .iter()
        .position(|byte| *byte == 0)
        .ok_or_else(wrong)?;
    let nonce_len = version.get(end + 1 + NONCE_LEN_AT);
    if nonce_len.is_none_or(|length| *length > 0x7f) {
        return Err(wrong());
    }
    ParseBuf(packet).parse(()).map_err(|_| wrong())
}

fn serialized(packet: &impl MySerialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.serialize(&mut bytes);
    bytes
}

/// What is said after the response to the handshake.
struct Signing<'a> {
    channel: Channel,
    password: &'a Secret,
    plugin: AuthPlugin<'static>,
    nonce: Vec<u8>,
}

impl Signing<'_> {
    /// Answers the server until it has decided.
    async fn answer(mut self) -> Result<Channel, WireError> {
        for _ in 0..ROUNDS_MAX {
            let packet = self.channel.read(PACKET_BYTES_MAX).await?;
            match packet.split_first() {
                Some((&OK, _)) => return Ok(self.channel),
                Some((&ERROR, _)) => return Err(WireError::server(&packet)),
                Some((&END, rest)) => self.switch(&packet, rest).await?,
                Some((&MORE, rest)) => self.more(rest).await?,
                // MariaDB's first versions of the plugin.
                Some(_) if matches!(self.plugin, AuthPlugin::MariadbParsec { .. }) => {
                    self.more(&packet).await?;
                }
                Some(_) | None => {
                    return Err(WireError::Protocol(
                        "its answer to the password is none".to_owned(),
                    ));
                }
            }
        }
        Err(WireError::Protocol(format!(
            "it did not let us in, nor refuse us, within {ROUNDS_MAX} packets"
        )))
    }

    /// The account signs in with another plugin.
    async fn switch(&mut self, packet: &[u8], rest: &[u8]) -> Result<(), WireError> {
        if rest.is_empty() {
            return Err(WireError::Plugin("mysql_old_password".to_owned()));
        }
        let wrong = || WireError::Protocol("its switch of plugins is damaged".to_owned());
        let end = rest.iter().position(|byte| *byte == 0).ok_or_else(wrong)?;
        let (name, data) = rest.split_at(end);
        let data = data.get(1..).unwrap_or_default();
        let request: AuthSwitchRequest<'_> = ParseBuf(packet).parse(()).map_err(|_| wrong())?;
        let plugin = request.auth_plugin().into_owned();
        match plugin {
            AuthPlugin::MysqlNativePassword
            | AuthPlugin::CachingSha2Password
            | AuthPlugin::Ed25519
            | AuthPlugin::MariadbParsec { .. } => {}
            AuthPlugin::MysqlOldPassword
            | AuthPlugin::MysqlClearPassword
            | AuthPlugin::Other(_) => return Err(WireError::Plugin(printable(name))),
        }
        // Those of MySQL have a zero behind them; those of MariaDB are any 32 bytes, the last of which may be zero.
        self.nonce = match plugin {
            AuthPlugin::MysqlNativePassword | AuthPlugin::CachingSha2Password => {
                data.get(..NONCE_LEN).unwrap_or(data).to_vec()
            }
            _ => data.to_vec(),
        };
        // That one begins with a question of its own.
        let answer = match plugin {
            AuthPlugin::MariadbParsec { .. } => None,
            _ => plugin.gen_data(Some(self.password.expose()), &self.nonce),
        };
        self.channel
            .write(answer.as_deref().unwrap_or_default())
            .await?;
        self.plugin = plugin;
        Ok(())
    }

    /// The plugin has a question.
    async fn more(&mut self, data: &[u8]) -> Result<(), WireError> {
        match (&mut self.plugin, data) {
            (AuthPlugin::CachingSha2Password, [FAST_OK]) => Ok(()),
            (AuthPlugin::CachingSha2Password, [FULL]) => self.full().await,
            (plugin @ AuthPlugin::MariadbParsec { .. }, data) => {
                let wrong = || WireError::Protocol("its salt for the password is none".to_owned());
                // The library would take numbers of rounds that take hours.
                if data.get(1).is_none_or(|factor| *factor > PARSEC_FACTOR_MAX) {
                    return Err(wrong());
                }
                plugin.read_add_data(data).ok_or_else(wrong)?;
                let password = self.password.expose();
                let answer = plugin.gen_data(Some(password), &self.nonce);
                let answer = answer.as_deref().map(<[u8]>::to_vec);
                self.channel.write(&answer.unwrap_or_default()).await
            }
            _ => Err(WireError::Protocol(
                "it asks something that the authentication plugin does not".to_owned(),
            )),
        }
    }

    /// caching_sha2_password, the first time: the password itself is needed.
    async fn full(&mut self) -> Result<(), WireError> {
        let mut password = self.password.expose().as_bytes().to_vec();
        password.push(0);
        if self.channel.is_encrypted() {
            return self.channel.write(&password).await;
        }
        self.channel.write(&[WANT_KEY]).await?;
        let packet = self.channel.read(PACKET_BYTES_MAX).await?;
        let key = match packet.split_first() {
            Some((&MORE, key)) => key,
            Some((&ERROR, _)) => return Err(WireError::server(&packet)),
            Some(_) | None => {
                return Err(WireError::Protocol(
                    "it did not send its RSA key".to_owned(),
                ));
            }
        };
        for (byte, mask) in password.iter_mut().zip(self.nonce.iter().cycle()) {
            *byte ^= mask;
        }
        let encrypted = encrypt(&password, key).ok_or_else(|| {
            WireError::Protocol("its RSA key is none, or too short for the password".to_owned())
        })?;
        self.channel.write(&encrypted).await
    }
}

/// A name for people.
fn printable(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let name = name.chars().filter(|letter| !letter.is_control());
    name.take(NAME_LEN_MAX).collect()
}

/// What only the owner of the key can read; `None` if that is no key, or too small a one.
fn encrypt(password: &[u8], pem: &[u8]) -> Option<Vec<u8>> {
    let key = Rsa::public_key_from_pem(pem).ok()?;
    let mut encrypted = vec![0; usize::try_from(key.size()).ok()?];
    let written = key
        .public_encrypt(password, &mut encrypted, Padding::PKCS1_OAEP)
        .ok()?;
    encrypted.truncate(written);
    Some(encrypted)
}
