//! The simulated half of [`Dump`]: one connection to the server in memory.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use binlog_bridge::source::{Description, Dump, SourceError, Survey};
use binlog_bridge_core::event::{EventBlock, Part};
use binlog_bridge_core::position::{FileOffset, GtidSet, Position};
use binlog_bridge_core::selection::TableName;
use tokio::time::Instant;

use crate::simulated::events::{self, event};
use crate::simulated::faults::{Fault, Faults, Step};
use crate::simulated::process::Process;
use crate::simulated::random::Random;
use crate::simulated::server::{Server, gtid, refusal};

pub struct SimDump {
    server: Arc<Mutex<Server>>,
    network: Arc<Mutex<Network>>,
    process: Process,
    /// Who reads the binlog, as the network knows it.
    reader: Arc<str>,
    random: Random,
    open: Option<Open>,
}

/// How well the connection is.
pub struct Network {
    pub faults: Faults,
    /// Events that arrive together at most.
    pub block_events_max: u64,
    /// The first file that somebody may still read, for each dump that is open.
    pub read_from: Vec<(Arc<str>, usize)>,
    /// Events that were sent, without those that the server makes up.
    pub sent: u64,
}

struct Open {
    /// The run of the server that it is connected to.
    run: u32,
    file: usize,
    event: usize,
    /// What the server makes up before the next event.
    preamble: Vec<Vec<u8>>,
    skip: GtidSet,
    /// When something was sent last.
    last: Instant,
    /// Nothing arrives any more, and the connection counts as broken then.
    silent_until: Option<Instant>,
}

/// After so much silence the server sends a heartbeat.
const HEARTBEAT_PERIOD: Duration = Duration::from_secs(10);
/// After so much silence the connection counts as broken.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long the client waits for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

impl Network {
    pub fn new(random: Random, faults_per_mille: u64) -> Self {
        Self {
            faults: Faults::new(random, faults_per_mille),
            block_events_max: 8,
            read_from: Vec::new(),
            sent: 0,
        }
    }
}

impl SimDump {
    pub fn new(
        server: Arc<Mutex<Server>>,
        network: Arc<Mutex<Network>>,
        process: Process,
        random: Random,
    ) -> Self {
        Self {
            server,
            network,
            reader: Arc::clone(&process.name),
            process,
            random,
            open: None,
        }
    }

    /// Another dump of the same process.
    pub fn second(mut self) -> Self {
        self.reader = format!("{} ahead", self.process.name).into();
        self
    }

    fn server<T>(&self, work: impl FnOnce(&mut Server) -> T) -> T {
        work(&mut self.server.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn network<T>(&self, work: impl FnOnce(&mut Network) -> T) -> T {
        work(&mut self.network.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A request and its answer.
    async fn request<T>(
        &mut self,
        step: Step,
        name: &'static str,
        work: impl FnOnce(&mut Server) -> T,
    ) -> Result<T, SourceError> {
        tokio::time::sleep(Duration::from_millis(self.random.below(0..20))).await;
        self.process.point(name).await;
        let is_down = |server: &mut Server| server.down_until.is_some_and(|at| at > Instant::now());
        if self.server(is_down) {
            return Err(lost());
        }
        let fault = self.network(|network| network.faults.meet(step));
        match fault {
            Some(Fault::Before) => return Err(lost()),
            Some(Fault::Lazy) => tokio::time::sleep(Duration::from_secs(3)).await,
            _ => {}
        }
        let answer = self.server(work);
        match fault {
            Some(Fault::After) => Err(lost()),
            Some(Fault::Held) => {
                let hold = self.network(|network| network.faults.hold());
                tokio::time::sleep(hold.min(ANSWER_WITHIN)).await;
                if hold < ANSWER_WITHIN {
                    Ok(answer)
                } else {
                    Err(SourceError::Timeout {
                        operation: name,
                        limit: ANSWER_WITHIN,
                    })
                }
            }
            _ => Ok(answer),
        }
    }

    /// Takes what has arrived: some events, cut anywhere.
    fn take(&mut self, block: &mut EventBlock) -> bool {
        let most = self.network(|network| network.block_events_max);
        let count = self.random.below(1..most + 1);
        let Some(mut open) = self.open.take() else {
            return false;
        };
        let mut left = count;
        loop {
            for bytes in open.preamble.drain(..) {
                block.push(Part::Whole, &[&bytes]);
            }
            if left == 0 {
                break;
            }
            match self.server(|server| advance(&mut open, server)) {
                Next::End => break,
                Next::Skipped => {}
                Next::Event(bytes) => {
                    self.push(block, &bytes);
                    self.network(|network| network.sent += 1);
                    left -= 1;
                }
            }
        }
        if !block.is_empty() {
            open.last = Instant::now();
        }
        self.open = Some(open);
        !block.is_empty()
    }

    /// Now and then an event comes in parts.
    fn push(&mut self, block: &mut EventBlock, bytes: &[u8]) {
        if bytes.len() < 60 || !self.random.per_mille(50) {
            return block.push(Part::Whole, &[bytes]);
        }
        let (first, rest) = bytes.split_at(30);
        let (middle, last) = rest.split_at(rest.len() / 2);
        block.push(Part::First, &[first]);
        block.push(Part::Middle, &[middle]);
        block.push(Part::Last, &[last]);
    }

    /// The connection as it is now: open and heard, or an error that is due.
    fn check(&mut self) -> Result<&mut Open, SourceError> {
        let run = self.server(|server| server.run);
        let now = Instant::now();
        let silence = SourceError::Timeout {
            operation: "wait for events",
            limit: SILENCE_MAX,
        };
        match self.open.take() {
            None => Err(lost()),
            Some(open) if open.silent_until.is_some_and(|until| until <= now) => Err(silence),
            // Of a connection that is half open the end is not heard of.
            Some(open) if open.run != run && open.silent_until.is_none() => Err(lost()),
            Some(open) => Ok(self.open.insert(open)),
        }
    }

    fn forget(&self) {
        let reader = &self.reader;
        self.network(|network| network.read_from.retain(|(who, _)| who != reader));
    }
}

impl Drop for SimDump {
    fn drop(&mut self) {
        self.forget();
    }
}

enum Next {
    End,
    Skipped,
    Event(Vec<u8>),
}

/// Goes to the next event of the binlog, and to the next file after the last event of one.
fn advance(open: &mut Open, server: &Server) -> Next {
    let file = &server.files[open.file];
    let Some(event) = file.events.get(open.event) else {
        if open.file + 1 == server.files.len() {
            return Next::End;
        }
        (open.file, open.event) = (open.file + 1, 0);
        let name = &server.files[open.file].name;
        open.preamble
            .push(event_of(events::ROTATE, &events::rotate(name, 4)));
        return Next::Event(open.preamble.remove(0));
    };
    open.event += 1;
    let is_skipped = event
        .transaction
        .is_some_and(|number| open.skip.contains(&gtid(number)));
    if is_skipped {
        Next::Skipped
    } else {
        Next::Event(event.bytes.clone())
    }
}

/// An event that the server makes up.
fn event_of(event_type: u8, body: &[u8]) -> Vec<u8> {
    event(event_type, None, body)
}

fn lost() -> SourceError {
    let detail = "simulated".to_owned();
    SourceError::Unreachable {
        host: "sim".to_owned(),
        port: 3306,
        detail,
    }
}

fn begin(server: &mut Server, position: &Position) -> Result<Open, SourceError> {
    if let Some(words) = server.refusals.pop() {
        return Err(refusal(&words));
    }
    let (file, event) = server.find(position)?;
    let name = &server.files[file].name;
    let start = match server.files[file].events.get(event) {
        // Without an offset a dump begins with the file's first byte.
        Some(_) if event == 0 => 4,
        Some(event) => event.start,
        None => server.files[file].size(),
    };
    let mut preamble = vec![events::first_rotate(name, start)];
    if event > 0 {
        let body = events::format_description(0);
        preamble.push(event_of(events::FORMAT_DESCRIPTION, &body));
    }
    Ok(Open {
        run: server.run,
        file,
        event,
        preamble,
        skip: position.gtid_set().cloned().unwrap_or_default(),
        last: Instant::now(),
        silent_until: None,
    })
}

impl Dump for SimDump {
    async fn survey(&mut self) -> Result<Survey, SourceError> {
        self.request(Step::Survey, "survey", Server::survey).await
    }

    async fn end(&mut self) -> Result<(String, Option<FileOffset>), SourceError> {
        self.request(Step::Survey, "read the end of the binlog", Server::end)
            .await
    }

    async fn tables(&mut self, databases: &[String]) -> Result<Vec<TableName>, SourceError> {
        let has_shop = databases.iter().any(|database| database == "shop");
        let list = move |server: &mut Server| {
            let names = server.tables.iter().filter(|_| has_shop);
            names
                .map(|table| TableName::new("shop", &table.name))
                .collect()
        };
        self.request(Step::Survey, "tables", list).await
    }

    async fn describe(&mut self, table: &TableName) -> Result<Option<Description>, SourceError> {
        let table = table.clone();
        self.request(Step::Definition, "describe", move |server| {
            server.describe(&table)
        })
        .await
    }

    async fn open(&mut self, position: &Position) -> Result<String, SourceError> {
        self.open = None;
        self.forget();
        let open = self
            .request(Step::Open, "open the dump", |server| {
                begin(server, position).map(|open| (open, server.uuid.clone()))
            })
            .await??;
        let (open, server_uuid) = open;
        let reader = (Arc::clone(&self.reader), open.file);
        self.network(|network| network.read_from.push(reader));
        self.open = Some(open);
        Ok(server_uuid)
    }

    async fn next(&mut self, block: &mut EventBlock) -> Result<(), SourceError> {
        let grown = self.server(|server| Arc::clone(&server.grown));
        tokio::time::sleep(Duration::from_millis(self.random.below(0..8))).await;
        self.process.point("events").await;
        match self.network(|network| network.faults.meet(Step::Next)) {
            Some(Fault::Hang) => {
                let until = Instant::now() + SILENCE_MAX;
                if let Some(open) = &mut self.open {
                    open.silent_until.get_or_insert(until);
                }
            }
            Some(_) => self.open = None,
            None => {}
        }
        loop {
            let notified = grown.notified();
            let open = self.check()?;
            if let Some(until) = open.silent_until {
                tokio::time::sleep_until(until).await;
                continue;
            }
            let beat = open.last + HEARTBEAT_PERIOD;
            if self.take(block) {
                return Ok(());
            }
            if tokio::time::timeout_at(beat, notified).await.is_err() {
                let end = self.server(|server| server.current());
                block.push(Part::Whole, &[&events::heartbeat(&end.file, end.offset)]);
                if let Some(open) = &mut self.open {
                    open.last = Instant::now();
                }
                return Ok(());
            }
        }
    }
}
