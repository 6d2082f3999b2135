//! A connection for one packet after another, with or without TLS. Nothing is read ahead, so that nothing that came before TLS
//! is taken for what came within.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use binlog_bridge_core::frames::{PACKET_BYTES_MAX, PACKET_HEADER_LEN};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_native_tls::{TlsConnector, TlsStream};

use super::WireError;

/// The bytes of a connection.
#[derive(Debug)]
pub(super) enum Bytes {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Bytes {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Bytes {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// Packets of a connection.
#[derive(Debug)]
pub(super) struct Channel {
    bytes: Bytes,
    /// Number of the next packet, whoever sends it.
    sequence: u8,
}

impl Channel {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            bytes: Bytes::Plain(stream),
            sequence: 0,
        }
    }

    /// True if nobody between can listen.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.bytes, Bytes::Tls(_))
    }

    /// The same connection, encrypted from here on.
    pub(super) async fn encrypt(
        self,
        connector: &TlsConnector,
        host: &str,
    ) -> Result<Self, WireError> {
        let Bytes::Plain(stream) = self.bytes else {
            return Ok(self);
        };
        let stream = connector.connect(host, stream).await?;
        Ok(Self {
            bytes: Bytes::Tls(Box::new(stream)),
            sequence: self.sequence,
        })
    }

    /// The bytes that follow, which are no single packets any more, and the number of the next one.
    pub(super) fn into_bytes(self) -> (Bytes, u8) {
        (self.bytes, self.sequence)
    }

    /// The next packet, of at most `limit` bytes.
    pub(super) async fn read(&mut self, limit: usize) -> Result<Vec<u8>, WireError> {
        let mut header = [0; PACKET_HEADER_LEN];
        self.bytes.read_exact(&mut header).await?;
        let [first, second, third, sequence] = header;
        if sequence != self.sequence {
            return Err(WireError::Protocol(format!(
                "a packet is missing or came twice: its number is {sequence} instead of {}",
                self.sequence
            )));
        }
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::from_le_bytes([first, second, third, 0]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length == 0 || length > limit || length >= PACKET_BYTES_MAX {
            return Err(WireError::Protocol(format!(
                "it sent a packet of {length} bytes where 1 to {limit} were expected"
            )));
        }
        let mut payload = vec![0; length];
        self.bytes.read_exact(&mut payload).await?;
        Ok(payload)
    }

    /// Sends a packet.
    pub(super) async fn write(&mut self, payload: &[u8]) -> Result<(), WireError> {
        // One that has room for no more says that another follows.
        let mut chunks = payload.chunks(PACKET_BYTES_MAX);
        let mut written = 0;
        loop {
            let chunk = chunks.next().unwrap_or_default();
            let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            let [first, second, third, _] = length.to_le_bytes();
            let header = [first, second, third, self.sequence];
            self.sequence = self.sequence.wrapping_add(1);
            let packet = [&header[..], chunk].concat();
            self.bytes.write_all(&packet).await?;
            written += chunk.len();
            if chunk.len() < PACKET_BYTES_MAX {
                break;
            }
        }
        debug_assert_eq!(written, payload.len());
        self.bytes.flush().await?;
        Ok(())
    }

    /// Sends a command: a packet that begins a conversation.
    pub(super) async fn command(&mut self, payload: &[u8]) -> Result<(), WireError> {
        self.sequence = 0;
        self.write(payload).await
    }
}
