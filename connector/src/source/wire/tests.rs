//! Servers that lie: whatever they send, it is an error with words, soon, and no password goes out that should not.

use std::time::Duration;

use binlog_bridge_core::event::{EventBlock, Part};
use mysql_common::packets::AuthPlugin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::secret::Secret;
use crate::source::client::TlsSettings;
use crate::source::error::Place;

const PASSWORD: &str = "hunter2-hunter2";
const NONCE: &[u8; 20] = b"12345678abcdefghijkl";
/// No test waits longer for what a server never says.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server does next.
#[derive(Clone)]
enum Step {
    /// Sends a packet.
    Send(Vec<u8>),
    /// Sends bytes as they are.
    Raw(Vec<u8>),
    /// Takes a packet that begins a conversation or goes on with one.
    Take,
    /// Sends a packet until nobody takes it any more.
    Flood(Vec<u8>),
    /// Sends a packet in pieces, with pauses between them.
    Slowly(Vec<u8>),
}

use Step::{Flood, Raw, Send, Slowly, Take};

/// How long a slow server sends nothing, and how often.
const PAUSE: Duration = Duration::from_millis(300);
const PAUSES: usize = 6;

/// Plays the steps to one client, and returns what it sent; then the connection ends.
async fn serve(steps: Vec<Step>) -> (u16, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    #[allow(
        clippy::disallowed_methods,
        reason = "whoever asks what it took joins it"
    )]
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut taken = Vec::new();
        let mut sequence = 0;
        for step in steps {
            let played = play(step, &mut stream, &mut sequence, &mut taken).await;
            if played.is_err() {
                break;
            }
        }
        // Whatever still comes.
        stream.shutdown().await.ok();
        stream.read_to_end(&mut taken).await.ok();
        taken
    });
    (port, task)
}

async fn play(
    step: Step,
    stream: &mut TcpStream,
    sequence: &mut u8,
    taken: &mut Vec<u8>,
) -> std::io::Result<()> {
    match step {
        Raw(bytes) => stream.write_all(&bytes).await,
        Send(payload) => {
            stream.write_all(&packet(&payload, *sequence)).await?;
            *sequence = sequence.wrapping_add(1);
            Ok(())
        }
        Flood(payload) => loop {
            stream.write_all(&packet(&payload, *sequence)).await?;
            *sequence = sequence.wrapping_add(1);
        },
        Slowly(payload) => {
            let packet = packet(&payload, *sequence);
            *sequence = sequence.wrapping_add(1);
            for piece in packet.chunks(packet.len().div_ceil(PAUSES)) {
                tokio::time::sleep(PAUSE).await;
                stream.write_all(piece).await?;
            }
            Ok(())
        }
        Take => {
            let mut header = [0; 4];
            stream.read_exact(&mut header).await?;
            let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut payload).await?;
            taken.extend(payload);
            *sequence = header[3].wrapping_add(1);
            Ok(())
        }
    }
}

fn packet(payload: &[u8], sequence: u8) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    [&length[..3], &[sequence], payload].concat()
}

/// As MySQL 8 says it, without TLS unless told.
fn handshake(plugin: &str, with_tls: bool) -> Vec<u8> {
    let capabilities: u32 = 0x0008_a201 | if with_tls { 0x800 } else { 0 };
    let [first, second, third, fourth] = capabilities.to_le_bytes();
    let mut bytes = vec![10];
    bytes.extend(b"8.0.31\0");
    bytes.extend([1, 0, 0, 0]);
    bytes.extend(&NONCE[..8]);
    bytes.extend([0, first, second, 45, 2, 0, third, fourth, 21]);
    bytes.extend([0; 10]);
    bytes.extend(&NONCE[8..]);
    bytes.push(0);
    bytes.extend(plugin.as_bytes());
    bytes.push(0);
    bytes
}

fn switch(plugin: &str) -> Vec<u8> {
    [&[0xfe], plugin.as_bytes(), &[0], &NONCE[..], &[0]].concat()
}

const OK_PACKET: &[u8] = &[0, 0, 0, 2, 0, 0, 0];
const EOF_PACKET: &[u8] = &[0xfe, 0, 0, 2, 0];

/// A server that lets us in; the steps are what follows.
fn signed_in(steps: &[Step]) -> Vec<Step> {
    let handshake = handshake("mysql_native_password", false);
    let mut all = vec![Send(handshake), Take, Send(OK_PACKET.to_vec()), Take];
    all.extend_from_slice(steps);
    all
}

/// A column of an answer; nobody looks into it.
fn column() -> Step {
    Send(b"\x03def".to_vec())
}

fn row(name: &str, value: &str) -> Step {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    Send([text(name), text(value)].concat())
}

/// A server that dumps; the steps are the dump.
fn dumping(steps: &[Step]) -> Vec<Step> {
    let before = [
        Send(OK_PACKET.to_vec()),
        Take,
        Send(vec![2]),
        column(),
        column(),
        Send(EOF_PACKET.to_vec()),
        row("server_id", "1"),
        row("server_uuid", "3e11fa47"),
        Send(EOF_PACKET.to_vec()),
        Take,
        Send(OK_PACKET.to_vec()),
        Take,
    ];
    signed_in(&[&before[..], steps].concat())
}

fn settings(port: u16, mode: TlsMode) -> SourceSettings {
    SourceSettings {
        host: "127.0.0.1".to_owned(),
        port,
        user: "bridge".to_owned(),
        password: Secret::new(PASSWORD),
        tls: TlsSettings {
            mode,
            ca_file: None,
        },
        connect_timeout: PATIENCE,
    }
}

async fn open_with(
    steps: Vec<Step>,
    mode: TlsMode,
) -> (Result<(DumpStream, String), SourceError>, Vec<u8>) {
    let (port, task) = serve(steps).await;
    let position = Position::File {
        at: FileOffset {
            file: "binlog.000001".to_owned(),
            offset: 4,
        },
    };
    let request = DumpRequest {
        server_id: 7,
        position: &position,
        heartbeat_interval: Duration::from_secs(1),
        part_bytes_max: 1000,
        block_bytes_max: 4000,
    };
    let settings = settings(port, mode);
    let opened = tokio::time::timeout(PATIENCE, open(&settings, &request)).await;
    let place = Place {
        host: settings.host.clone(),
        port: 3306,
        user: settings.user.clone(),
    };
    let opened = opened.expect("it waits for ever");
    let opened = opened.map_err(|error| place.sort_wire(error));
    let taken = match opened {
        Ok(_) => Vec::new(),
        Err(_) => task.await.unwrap(),
    };
    (opened, taken)
}

/// The words of the error, and nothing of the password on the line.
async fn refused(steps: Vec<Step>) -> String {
    refused_with(steps, TlsMode::Off).await
}

async fn refused_with(steps: Vec<Step>, mode: TlsMode) -> String {
    let (opened, taken) = open_with(steps, mode).await;
    let text = String::from_utf8_lossy(&taken).into_owned();
    assert!(!text.contains(PASSWORD), "the password was sent: {text}");
    opened.unwrap_err().to_string()
}

async fn check(steps: Vec<Step>, expected: &str) {
    let words = refused(steps).await;
    assert!(words.contains(expected), "{words}");
}

#[tokio::test]
async fn fault_101_a_handshake_that_is_none_is_refused() {
    let right = handshake("mysql_native_password", false);
    for length in 0..right.len() - 45 {
        refused(vec![Send(right[..length].to_vec())]).await;
    }
    let mut old = right.clone();
    old[0] = 9;
    check(vec![Send(old), Take], "before MySQL 4.1").await;
    // The library subtracts 8 from it.
    let mut nonce = right.clone();
    nonce[8 + 20] = 0x80;
    check(vec![Send(nonce), Take], "no handshake").await;
    check(vec![Send(vec![10; 60_000]), Take], "no handshake").await;
    check(
        vec![Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())],
        "a packet is missing",
    )
    .await;
    check(
        vec![Raw(vec![0xff, 0xff, 0xff, 0])],
        "a packet of 16777215 bytes",
    )
    .await;
    check(vec![Send(vec![])], "a packet of 0 bytes").await;
    let host = b"\xff\x6a\x04Host '10.0.0.1' is not allowed to connect".to_vec();
    check(vec![Send(host)], "not allowed to connect").await;
}

#[tokio::test]
async fn fault_101_a_password_is_not_given_away() {
    let switched = |plugin: &str, rest: &[Step]| {
        let handshake = handshake("mysql_native_password", false);
        let mut steps = vec![Send(handshake), Take, Send(switch(plugin)), Take];
        steps.extend_from_slice(rest);
        steps
    };
    for plugin in [
        "mysql_clear_password",
        "dialog",
        "sha256_password",
        "mysql_old_password",
    ] {
        let words = refused(switched(plugin, &[])).await;
        assert!(
            words.contains(plugin) && words.contains("ALTER USER"),
            "{words}"
        );
    }
    let old = vec![Send(handshake("", false)), Take, Send(vec![0xfe]), Take];
    check(old, "mysql_old_password").await;
    // It asks for the password itself, and has no key that it could be encrypted for.
    for key in [&b"\x01no key"[..], b"\x01", b"\x07", b"\xff\x15\x04denied"] {
        let rest = [Send(vec![1, 4]), Take, Send(key.to_vec()), Take];
        refused(switched("caching_sha2_password", &rest)).await;
    }
    let questions = [Send(vec![1, 9]), Take];
    check(
        switched("caching_sha2_password", &questions),
        "asks something",
    )
    .await;
    check(
        switched("mysql_native_password", &questions),
        "asks something",
    )
    .await;
    check(
        switched("parsec", &[Send(vec![1, b'P', 200]), Take]),
        "salt",
    )
    .await;
    // Without an end.
    let again = [Send(switch("mysql_native_password")), Take];
    let mut steps = vec![Send(handshake("mysql_native_password", false)), Take];
    steps.extend(again.iter().cycle().take(40).cloned());
    check(steps, "within 8 packets").await;
}

/// The last byte of MariaDB's numbers may be zero.
#[tokio::test]
async fn passwords_are_answered_by_the_plugin_that_is_asked_for() {
    let raw: Vec<u8> = (0..31).map(|byte| byte + 1).chain([0]).collect();
    let with_end = [&NONCE[..], &[0]].concat();
    for (plugin, data, nonce) in [
        (AuthPlugin::MysqlNativePassword, &with_end, &NONCE[..]),
        (AuthPlugin::CachingSha2Password, &with_end, &NONCE[..]),
        (AuthPlugin::Ed25519, &raw, &raw[..]),
    ] {
        let name = plugin.as_bytes().to_vec();
        let switch = [&[0xfe], &name[..], &[0], data].concat();
        let denied = b"\xff\x15\x04#28000denied".to_vec();
        let first = handshake("mysql_native_password", false);
        let steps = vec![Send(first), Take, Send(switch), Take, Send(denied)];
        let (opened, taken) = open_with(steps, TlsMode::Off).await;
        assert!(matches!(opened, Err(SourceError::AccessDenied { .. })));
        let answer = plugin.gen_data(Some(PASSWORD), nonce).unwrap();
        assert!(
            taken.ends_with(&answer),
            "{}",
            String::from_utf8_lossy(&name)
        );
    }
    // That one asks for a salt first.
    let switch = [&[0xfe], &b"parsec"[..], &[0], &raw].concat();
    let salt = [&[1, b'P', 0], &[7; 18][..]].concat();
    let denied = b"\xff\x15\x04#28000denied".to_vec();
    let first = handshake("mysql_native_password", false);
    let steps = vec![
        Send(first),
        Take,
        Send(switch),
        Take,
        Send(salt.clone()),
        Take,
        Send(denied),
    ];
    let (_, taken) = open_with(steps, TlsMode::Off).await;
    let (iterations, salt) = mysql_common::packets::parse_parsec_salt(&salt[1..]).unwrap();
    let answer = mysql_common::scramble::create_response_for_parsec(
        PASSWORD.as_bytes(),
        &raw.try_into().unwrap(),
        iterations,
        salt,
    );
    // Its first half is ours by chance.
    assert_eq!(answer.len(), 96);
    assert!(taken.len() > 96);
}

#[tokio::test]
async fn what_came_before_tls_is_not_taken_for_what_came_within() {
    let handshake = handshake("mysql_native_password", true);
    let early = packet(OK_PACKET, 2);
    let steps = vec![Raw([packet(&handshake, 0), early].concat()), Take];
    let words = refused_with(steps, TlsMode::Encrypt).await;
    // What came early is no TLS; who had read it ahead would be cut off.
    assert!(
        words.contains("TLS") && !words.contains("cut off"),
        "{words}"
    );
    let without = vec![Send(self::handshake("mysql_native_password", false)), Take];
    let words = refused_with(without, TlsMode::Encrypt).await;
    assert!(words.contains("offers no TLS"), "{words}");
}

#[tokio::test]
async fn fault_101_answers_that_are_none_are_refused() {
    check(
        signed_in(&[Send(b"\xfb/etc/passwd".to_vec()), Take]),
        "a local file",
    )
    .await;
    // A huge number of columns, columns without an end, rows without an end, and an end where a row was to be.
    let columns = [Send(vec![0xfe, 255, 255, 255, 255, 255, 255, 255, 255])];
    check(signed_in(&columns), "is none").await;
    let flood = [Send(vec![2]), Flood(b"\x03def".to_vec())];
    check(signed_in(&flood), "is none").await;
    let rows = [
        Send(vec![2]),
        column(),
        column(),
        Send(EOF_PACKET.to_vec()),
        Flood(b"\x01a\x01b".to_vec()),
    ];
    check(signed_in(&rows), "is none").await;
    let ends = [Flood(EOF_PACKET.to_vec())];
    check(signed_in(&ends), "is none").await;
    for row in [&b"\x01a"[..], b"\x01a\x01b\x01c", b"\x05a", b"\xfc"] {
        let steps = [
            Send(vec![2]),
            column(),
            column(),
            Send(EOF_PACKET.to_vec()),
            Send(row.to_vec()),
        ];
        check(signed_in(&steps), "is none").await;
    }
    check(
        signed_in(&[Send(b"\xff\xd4\x04#42000words".to_vec())]),
        "words",
    )
    .await;
}

fn event(size: usize) -> Vec<u8> {
    let mut event = vec![0; size];
    event[9..13].copy_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
    [&[0], &event[..]].concat()
}

async fn opened(steps: &[Step]) -> DumpStream {
    let (opened, _) = open_with(dumping(steps), TlsMode::Off).await;
    let (stream, server) = opened.unwrap();
    assert_eq!(server, "3e11fa47");
    stream
}

#[tokio::test]
async fn events_that_came_before_an_error_are_handed_on_before_it() {
    let error = b"\xff\xd4\x04#HY000gone".to_vec();
    let events = [Send(event(30)), Send(event(2500)), Send(error)];
    let mut stream = opened(&events).await;
    let mut block = EventBlock::default();
    let mut sizes = Vec::new();
    let result = loop {
        let result = stream.next(&mut block, PATIENCE).await.unwrap();
        if result.is_err() {
            break result;
        }
        sizes.extend(block.pieces().map(|(part, bytes)| (part, bytes.len())));
        block.clear();
    };
    let expected = [
        (Part::Whole, 30),
        (Part::First, 1000),
        (Part::Middle, 1000),
        (Part::Last, 500),
    ];
    assert_eq!(sizes, expected);
    assert!(matches!(result, Err(WireError::Server { code: 1236, .. })));
}

#[tokio::test]
async fn a_connection_that_ends_or_floods_is_an_error() {
    let mut block = EventBlock::default();
    let mut ended = opened(&[]).await;
    let result = ended.next(&mut block, PATIENCE).await.unwrap();
    assert!(matches!(result, Err(WireError::Io(_))), "{result:?}");
    let mut end = opened(&[Send(EOF_PACKET.to_vec())]).await;
    let result = end.next(&mut block, PATIENCE).await.unwrap();
    assert!(matches!(result, Err(WireError::Io(_))), "{result:?}");
    // An event without an end.
    let mut endless = event(0xff_fffe);
    endless[10..14].copy_from_slice(&0xff_ffff_u32.to_le_bytes());
    let mut stream = opened(&[Send(endless), Flood(vec![0; 0xff_ffff])]).await;
    let result = loop {
        let result = stream.next(&mut block, PATIENCE).await.unwrap();
        if result.is_err() {
            break result;
        }
        assert!(block.len() < 100_000);
        block.clear();
    };
    assert!(matches!(result, Err(WireError::Protocol(_))), "{result:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_and_one_that_is_slow_is_not() {
    let mut block = EventBlock::default();
    let limit = PAUSE * 4;
    let mut stream = opened(&[Slowly(event(900)), Take]).await;
    let began = std::time::Instant::now();
    let slow = stream.next(&mut block, limit).await;
    assert!(matches!(slow, Some(Ok(()))));
    assert!(began.elapsed() > limit, "it was not slow");
    let silent = stream.next(&mut block, Duration::from_millis(50)).await;
    assert!(silent.is_none());
}

#[test]
fn a_place_that_a_command_cannot_name_is_told() {
    let at = |offset| FileOffset {
        file: "binlog.000001".to_owned(),
        offset,
    };
    assert_eq!(offset(&at(4)).unwrap(), 4);
    assert_eq!(offset(&at(u64::from(u32::MAX))).unwrap(), u32::MAX);
    let error = offset(&at(1 << 32)).unwrap_err().to_string();
    assert!(error.contains("4 GiB"), "{error}");
}
