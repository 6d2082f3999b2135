//! Compressed transactions, inflated as they arrive.
//!
//! Neither the event that holds a transaction nor what is in it is ever whole in memory: it comes in parts, and what is in
//! it goes on in pieces, as if the server had sent them. Whatever is no such event passes through as it is.
//!
//! The end of a transaction goes on only after the last byte of the event that holds it has arrived and was inflated, so that
//! its checksum and its size are known before it can be committed. Only of one that is so large that it is split are rows committed before.

use std::fmt;
use std::ops::Range;

use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::error::DecodeErrorKind;
use super::payload::{Compression, Packed, PayloadMark};
use crate::event::{CHECKSUM_LEN, EventHeader, EventType, HEADER_LEN, Part};

/// A piece of a block that is being read.
#[derive(Debug)]
pub struct Fed<'a> {
    part: Part,
    bytes: &'a [u8],
    /// Counted and summed up.
    is_noted: bool,
    /// All that it gives was given.
    is_taken: bool,
}

impl<'a> Fed<'a> {
    /// One that is not read yet.
    #[must_use]
    pub fn new(part: Part, bytes: &'a [u8]) -> Self {
        Self {
            part,
            bytes,
            is_noted: false,
            is_taken: false,
        }
    }
}

/// What comes out.
#[derive(Debug)]
pub(super) enum Unpacked<'a> {
    /// An event, or a part of a large one.
    Piece(Part, &'a [u8]),
    /// A compressed transaction begins, or has arrived.
    Mark(PayloadMark),
}

/// Events are inflated into a buffer of so many bytes; larger ones go on in parts.
pub(super) const BUFFER_BYTES: usize = 256 * 1024;
/// Larger windows are refused: the most that zstd makes at its highest level, and takes by default.
const WINDOW_LOG_MAX: u32 = 27;
/// After a transaction that may have used a larger window its memory is given back.
const WINDOW_KEEP_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Where an event's header holds its size.
const SIZE_AT: usize = 9;

/// Inflates compressed transactions.
#[derive(Default)]
pub(super) struct Inflater {
    open: Option<Open>,
    output: Output,
    zstd: Option<Decoder<'static>>,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

impl Inflater {
    /// The next thing that the piece gives; `None` once there is no more.
    ///
    /// # Errors
    /// If a compressed transaction is damaged, is not of the size that it should have, or pieces are out of order.
    pub(super) fn next<'a, 'f: 'a>(
        &'a mut self,
        fed: &mut Fed<'f>,
    ) -> Result<Option<Unpacked<'a>>, DecodeErrorKind> {
        let Some(open) = &mut self.open else {
            return self.outside(fed);
        };
        if let Some(mark) = open.note(fed)? {
            return Ok(Some(Unpacked::Mark(mark)));
        }
        let piece = self.inside(fed)?;
        Ok(piece.map(|(part, range)| Unpacked::Piece(part, self.output.get(range))))
    }

    /// What is compressed begins here, or is passed through.
    fn outside<'a, 'f: 'a>(
        &mut self,
        fed: &mut Fed<'f>,
    ) -> Result<Option<Unpacked<'a>>, DecodeErrorKind> {
        if fed.is_taken {
            return Ok(None);
        }
        let begins = matches!(fed.part, Part::Whole | Part::First);
        let header = EventHeader::of(fed.bytes)
            .filter(|header| begins && header.event_type == EventType::TransactionPayload);
        let Some(header) = header else {
            fed.is_taken = true;
            return Ok(Some(Unpacked::Piece(fed.part, fed.bytes)));
        };
        let open = Open::read(&header, fed)?;
        let mark = PayloadMark::Begins {
            header,
            size: open.size,
            trailer: open.outer_left.saturating_sub(open.packed_left),
        };
        self.output = Output::new(open.size);
        self.open = Some(open);
        Ok(Some(Unpacked::Mark(mark)))
    }

    fn inside(
        &mut self,
        fed: &mut Fed<'_>,
    ) -> Result<Option<(Part, Range<usize>)>, DecodeErrorKind> {
        let Some(open) = &mut self.open else {
            return Ok(None);
        };
        loop {
            if let Some(piece) = self.output.piece(open)? {
                return Ok(Some(piece));
            }
            if inflate(open, &mut self.zstd, &mut self.output, fed)? {
                continue;
            }
            if open.has_arrived && !open.is_whole {
                open.is_whole = open.check()?;
                continue;
            }
            fed.is_taken = true;
            if open.has_arrived {
                if open.given != open.size {
                    return Err(DecodeErrorKind::CompressedTransaction);
                }
                if open.size > WINDOW_KEEP_BYTES_MAX {
                    self.zstd = None;
                }
                self.output = Output::default();
                self.open = None;
            }
            return Ok(None);
        }
    }
}

/// A transaction that is being inflated.
struct Open {
    compression: Compression,
    /// Bytes of the event that holds it, still to arrive.
    outer_left: u64,
    /// Those of them that are compressed.
    packed_left: u64,
    /// Of all bytes of the event but the last four.
    sum: crc32fast::Hasher,
    /// The last four, as far as they have arrived.
    stored: u32,
    /// A first part is behind us.
    has_begun: bool,
    /// All of the event.
    has_arrived: bool,
    /// And all that is in it was inflated: what it ends with may go on.
    is_whole: bool,
    /// Bytes of the events, one after another.
    size: u64,
    /// Those that were inflated.
    inflated: u64,
    /// Those that went on.
    given: u64,
    /// Of a large event whose first part went on: bytes that are still to come.
    inner_left: u64,
    /// There may be more to inflate though nothing is left to read.
    may_have_more: bool,
    /// Nothing is begun that has no end.
    is_frame_done: bool,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("size", &self.size)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

impl Open {
    /// Reads the fields; what follows them stays in the piece.
    fn read(header: &EventHeader, fed: &mut Fed<'_>) -> Result<Self, DecodeErrorKind> {
        let body = fed.bytes.get(HEADER_LEN..).unwrap_or_default();
        let packed = Packed::read(body)?;
        let head = fed.bytes.len().saturating_sub(packed.bytes.len());
        let mut open = Self {
            compression: packed.compression,
            outer_left: u64::from(header.size),
            packed_left: packed.packed_size,
            sum: crc32fast::Hasher::new(),
            stored: 0,
            has_begun: false,
            has_arrived: false,
            is_whole: false,
            size: packed.size,
            inflated: 0,
            given: 0,
            inner_left: 0,
            may_have_more: false,
            is_frame_done: true,
        };
        open.sum_up(fed.bytes.get(..head).unwrap_or_default())?;
        fed.bytes = packed.bytes;
        if open.packed_left > open.outer_left {
            return Err(DecodeErrorKind::CompressedTransaction);
        }
        Ok(open)
    }

    /// Counts the bytes of a piece, once.
    fn note(&mut self, fed: &mut Fed<'_>) -> Result<Option<PayloadMark>, DecodeErrorKind> {
        if fed.is_noted {
            return Ok(None);
        }
        fed.is_noted = true;
        let (continues, ends) = match fed.part {
            Part::Whole => (false, true),
            Part::First => (false, false),
            Part::Middle => (true, false),
            Part::Last => (true, true),
        };
        self.sum_up(fed.bytes)?;
        if continues != self.has_begun || ends != (self.outer_left == 0) {
            return Err(DecodeErrorKind::Pieces);
        }
        self.has_begun = true;
        let packed = usize::try_from(self.packed_left).unwrap_or(usize::MAX);
        if let Some(packed) = fed.bytes.get(..packed) {
            fed.bytes = packed;
        }
        self.packed_left = self.packed_left.saturating_sub(length(fed.bytes));
        self.has_arrived = ends;
        Ok(ends.then(|| PayloadMark::Arrived {
            crc32: self.sum.clone().finalize(),
            stored: self.stored,
        }))
    }

    fn sum_up(&mut self, bytes: &[u8]) -> Result<(), DecodeErrorKind> {
        let checksum = u64::try_from(CHECKSUM_LEN).unwrap_or(u64::MAX);
        let before = self.outer_left.saturating_sub(checksum);
        let left = self.outer_left.checked_sub(length(bytes));
        self.outer_left = left.ok_or(DecodeErrorKind::Pieces)?;
        let before = usize::try_from(before).unwrap_or(usize::MAX);
        let (before, after) = bytes.split_at(before.min(bytes.len()));
        self.sum.update(before);
        for byte in after {
            self.stored = (self.stored >> 8) | (u32::from(*byte) << 24);
        }
        Ok(())
    }

    /// All of it must have been inflated, with nothing left over.
    fn check(&self) -> Result<bool, DecodeErrorKind> {
        match self.inflated == self.size && self.packed_left == 0 && self.is_frame_done {
            true => Ok(true),
            false => Err(DecodeErrorKind::CompressedTransaction),
        }
    }

    /// Takes note of a piece that goes on. None, if it is the transaction's last, and not all is known to be right.
    fn give(&mut self, bytes: u64) -> Result<Option<()>, DecodeErrorKind> {
        let given = self.given.checked_add(bytes);
        let given = given.filter(|given| *given <= self.size);
        let given = given.ok_or(DecodeErrorKind::CompressedTransaction)?;
        if given == self.size && !self.is_whole {
            return Ok(None);
        }
        self.given = given;
        Ok(Some(()))
    }
}

/// Inflates a step further; false if that takes more input.
fn inflate(
    open: &mut Open,
    zstd: &mut Option<Decoder<'static>>,
    output: &mut Output,
    fed: &mut Fed<'_>,
) -> Result<bool, DecodeErrorKind> {
    if fed.bytes.is_empty() && !open.may_have_more {
        return Ok(false);
    }
    let left = open.size.saturating_sub(open.inflated);
    // What is over the size that was said must not be passed over.
    let mut over = [0];
    let space = match left {
        0 => &mut over[..],
        left => output.space(usize::try_from(left).unwrap_or(usize::MAX)),
    };
    let room = space.len();
    let (read, written) = match open.compression {
        Compression::None => {
            let count = room.min(fed.bytes.len());
            let (now, _) = fed.bytes.split_at(count);
            let (into, _) = space.split_at_mut(count);
            into.copy_from_slice(now);
            (count, count)
        }
        Compression::Zstd => {
            let decoder = match zstd {
                Some(decoder) if open.inflated > 0 || !open.is_frame_done => decoder,
                zstd => begin(zstd)?,
            };
            let step = decoder.run_on_buffers(fed.bytes, space);
            let step = step.map_err(|_| DecodeErrorKind::Compressed)?;
            if step.bytes_read > 0 || step.bytes_written > 0 {
                open.is_frame_done = step.remaining == 0;
            }
            (step.bytes_read, step.bytes_written)
        }
    };
    fed.bytes = fed.bytes.get(read..).unwrap_or_default();
    open.may_have_more = written == room;
    if written > 0 {
        if left == 0 {
            return Err(DecodeErrorKind::CompressedTransaction);
        }
        open.inflated = open
            .inflated
            .saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        output.end = output.end.saturating_add(written);
    }
    Ok(read > 0 || written > 0)
}

/// A decoder at the beginning of a frame, whatever became of the one before.
fn begin<'a>(
    zstd: &'a mut Option<Decoder<'static>>,
) -> Result<&'a mut Decoder<'static>, DecodeErrorKind> {
    let failed = |_| DecodeErrorKind::Compressed;
    let mut decoder = match zstd.take() {
        Some(decoder) => decoder,
        None => Decoder::new().map_err(failed)?,
    };
    decoder.reinit().map_err(failed)?;
    let window = DParameter::WindowLogMax(WINDOW_LOG_MAX);
    decoder.set_parameter(window).map_err(failed)?;
    Ok(zstd.insert(decoder))
}

/// What was inflated and did not go on yet.
#[derive(Default)]
struct Output {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Output {
    /// For events of so many bytes together.
    fn new(size: u64) -> Self {
        let bytes = usize::try_from(size).map_or(BUFFER_BYTES, |size| size.min(BUFFER_BYTES));
        Self {
            buffer: vec![0; bytes],
            start: 0,
            end: 0,
        }
    }

    fn get(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }

    /// Room for what comes, of `limit` bytes at most. What is there is moved to the front.
    fn space(&mut self, limit: usize) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        let space = self.buffer.get_mut(self.end..).unwrap_or_default();
        let count = space.len().min(limit);
        space.get_mut(..count).unwrap_or_default()
    }

    /// The next event that is whole, or the next part of a large one.
    fn piece(&mut self, open: &mut Open) -> Result<Option<(Part, Range<usize>)>, DecodeErrorKind> {
        let there = self.end.saturating_sub(self.start);
        let is_full = there == self.buffer.len();
        let (part, count) = match open.inner_left {
            0 => {
                let Some(size) = self.event_size(open)? else {
                    return Ok(None);
                };
                match usize::try_from(size) {
                    Ok(size) if size <= there => (Part::Whole, size),
                    _ if is_full => {
                        open.inner_left = size.saturating_sub(self.length());
                        (Part::First, there)
                    }
                    _ => return Ok(None),
                }
            }
            left => match usize::try_from(left) {
                Ok(left) if left <= there => (Part::Last, left),
                _ if is_full => (Part::Middle, there),
                _ => return Ok(None),
            },
        };
        let bytes = u64::try_from(count).unwrap_or(u64::MAX);
        if open.give(bytes)?.is_none() {
            return Ok(None);
        }
        if matches!(part, Part::Middle | Part::Last) {
            open.inner_left = open.inner_left.saturating_sub(bytes);
        }
        let end = self.start.saturating_add(count);
        let range = self.start..end;
        self.start = end;
        Ok(Some((part, range)))
    }

    fn length(&self) -> u64 {
        u64::try_from(self.end.saturating_sub(self.start)).unwrap_or(u64::MAX)
    }

    /// What the header of the event at hand says, once it is there. It must fit into what is left of the transaction.
    fn event_size(&self, open: &Open) -> Result<Option<u64>, DecodeErrorKind> {
        let header = self.get(self.start..self.end).get(SIZE_AT..HEADER_LEN);
        let Some(size) = header.and_then(|rest| rest.first_chunk()) else {
            return Ok(None);
        };
        let size = u64::from(u32::from_le_bytes(*size));
        let is_possible = size >= u64::try_from(HEADER_LEN).unwrap_or(u64::MAX)
            && size <= open.size.saturating_sub(open.given);
        match is_possible {
            true => Ok(Some(size)),
            false => Err(DecodeErrorKind::CompressedTransaction),
        }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
