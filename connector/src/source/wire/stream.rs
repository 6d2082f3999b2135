//! A dump that is open: bytes are read into a buffer, which is handed on as a block as soon as there is an event in it.

use std::io;
use std::ops::Range;

use binlog_bridge_core::event::{EventBlock, Part};
use binlog_bridge_core::frames::{Frame, Frames};
use futures_util::FutureExt;
use tokio::io::AsyncReadExt;
use tokio::time::{Duration, Instant};

use super::WireError;
use super::channel::Bytes;

/// A dump that is open.
#[derive(Debug)]
pub(in super::super) struct DumpStream {
    bytes: Bytes,
    frames: Frames,
    /// What has arrived and was not handed on yet.
    buffer: Vec<u8>,
    /// Up to where it was taken apart.
    at: usize,
    /// Events in it.
    pieces: Vec<(Part, Range<usize>)>,
    /// An error that came after them.
    failed: Option<WireError>,
    /// When something came last.
    heard: Instant,
    block_bytes_max: usize,
    /// Bytes that the buffer never exceeds.
    capacity: usize,
}

impl DumpStream {
    pub(super) fn new(bytes: Bytes, frames: Frames, block_bytes_max: usize) -> Self {
        let capacity = block_bytes_max.max(frames.buffer_bytes_min());
        Self {
            bytes,
            frames,
            buffer: Vec::new(),
            at: 0,
            pieces: Vec::new(),
            failed: None,
            heard: Instant::now(),
            block_bytes_max,
            capacity,
        }
    }

    /// Waits for events, and puts all that have arrived into the block, up to a limit. `None` if nothing at all came for
    /// `silence_max`. Cancel-safe.
    pub(in super::super) async fn next(
        &mut self,
        block: &mut EventBlock,
        silence_max: Duration,
    ) -> Option<Result<(), WireError>> {
        loop {
            self.take_apart();
            let is_waiting = self.pieces.is_empty();
            if is_waiting && let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            let is_full = self.buffer.len() >= self.block_bytes_max;
            if !is_waiting && (is_full || self.failed.is_some()) {
                self.hand_over(block);
                return Some(Ok(()));
            }
            let deadline = self.heard + silence_max;
            let read = self.read();
            let read = match is_waiting {
                true => tokio::time::timeout_at(deadline, read).await.ok()?,
                false => match read.now_or_never() {
                    Some(read) => read,
                    None => {
                        self.hand_over(block);
                        return Some(Ok(()));
                    }
                },
            };
            match read {
                Ok(0) => {
                    let ended = io::Error::new(io::ErrorKind::UnexpectedEof, ENDED);
                    self.failed = Some(ended.into());
                }
                Ok(_) => self.heard = Instant::now(),
                Err(error) => self.failed = Some(error.into()),
            }
        }
    }

    /// Reads what there is: up to the size of a block, or of the event that has begun.
    async fn read(&mut self) -> io::Result<usize> {
        let there = self.buffer.len();
        let limit = if there < self.block_bytes_max {
            self.block_bytes_max
        } else {
            self.capacity
        };
        let room = limit.saturating_sub(there);
        debug_assert!(room > 0, "the buffer holds nothing whole, and is full");
        self.buffer.reserve(room);
        let room = u64::try_from(room).unwrap_or(u64::MAX);
        let mut limited = (&mut self.bytes).take(room);
        limited.read_buf(&mut self.buffer).await
    }

    fn take_apart(&mut self) {
        while self.failed.is_none() {
            match self.frames.next(&self.buffer, &mut self.at) {
                Ok(None) => return,
                Ok(Some(Frame::Piece(part, range))) => self.pieces.push((part, range)),
                Ok(Some(Frame::Error(range))) => {
                    let packet = self.buffer.get(range).unwrap_or_default();
                    self.failed = Some(WireError::server(packet));
                }
                Ok(Some(Frame::End)) => {
                    let ended = io::Error::new(io::ErrorKind::UnexpectedEof, ENDED);
                    self.failed = Some(ended.into());
                }
                Err(error) => self.failed = Some(WireError::Protocol(error.to_string())),
            }
        }
    }

    /// Gives the buffer to the block, and takes the block's. Only what is not whole yet is copied.
    fn hand_over(&mut self, block: &mut EventBlock) {
        let end = std::mem::take(&mut self.at);
        block.replace(&mut self.buffer, &mut self.pieces, end);
    }
}

const ENDED: &str = "the server ended the dump";
