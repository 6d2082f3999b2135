//! All metrics, prefix `binlog_bridge_`. Counted per batch or per event, never per row.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use binlog_bridge_core::decode::RowsKind;
use binlog_bridge_core::state::Checkpoint;
use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

/// The metrics of a task. Clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    rows: IntCounterVec,
    bytes_read: IntCounter,
    events_ignored: IntCounter,
    bytes_published: IntCounter,
    source_transactions: IntCounter,
    commits: IntCounter,
    unknown_commits: IntCounter,
    splits: IntCounter,
    restarts: IntCounter,
    commit_seconds: Histogram,
    lag_seconds: Gauge,
    checkpoint_timestamp: Gauge,
    checkpoint_offset: IntGauge,
    active: IntGauge,
    configuration_refused: IntGauge,
    unused_partitions: IntGauge,
}

impl Metrics {
    /// All metrics, at zero.
    ///
    /// # Errors
    /// If two metrics have the same name.
    // long: one metric after another.
    pub fn new() -> Result<Self, prometheus::Error> {
        let made = Made::default();
        let counter = |name: &str, help: &str| made.keep(IntCounter::new(full(name), help));
        let gauge = |name: &str, help: &str| made.keep(Gauge::new(full(name), help));
        let integer = |name: &str, help: &str| made.keep(IntGauge::new(full(name), help));
        let rows = made.keep(IntCounterVec::new(
            Opts::new(
                full("rows_encoded_total"),
                "Row events encoded, by operation.",
            ),
            &["operation"],
        ))?;
        let commit_seconds = made.keep(Histogram::with_opts(
            HistogramOpts::new(
                full("commit_duration_seconds"),
                "Time to append the last part of a Kafka transaction and to commit it.",
            )
            .buckets(vec![
                0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
            ]),
        ))?;
        Ok(Self {
            rows,
            active: integer(
                "active",
                "1 while this instance runs the task, 0 while it starts, waits for a server or stands by.",
            )?,
            unused_partitions: integer(
                "unused_partitions",
                "Partitions that were added to topics and are not written to, so that each key stays in its own.",
            )?,
            configuration_refused: integer(
                "configuration_refused",
                "1 if the configuration file has changed in a way that is not used while the task runs.",
            )?,
            commit_seconds,
            checkpoint_offset: integer(
                "checkpoint_offset_bytes",
                "Offset of the last checkpoint in its binlog file.",
            )?,
            bytes_read: counter("read_bytes_total", "Bytes of binlog received.")?,
            events_ignored: counter(
                "ignored_events_total",
                "Events of unknown types that the server marks as such that may be passed over.",
            )?,
            bytes_published: counter("published_bytes_total", "Bytes of keys and values sent.")?,
            source_transactions: counter(
                "source_transactions_total",
                "Source transactions read, selected or not.",
            )?,
            commits: counter("commits_total", "Kafka transactions committed.")?,
            unknown_commits: counter(
                "unknown_commits_total",
                "Commits whose outcome had to be read back from the state topic.",
            )?,
            splits: counter(
                "splits_total",
                "Kafka transactions that ended in the middle of a source transaction.",
            )?,
            restarts: counter(
                "restarts_total",
                "Runs that ended and began again from the state.",
            )?,
            lag_seconds: gauge(
                "lag_seconds",
                "Age of the source transaction read last, when it was read; 0 at least.",
            )?,
            checkpoint_timestamp: gauge(
                "checkpoint_timestamp_seconds",
                "Commit time, at the source, of the last transaction before the checkpoint.",
            )?,
            registry: made.registry,
        })
    }

    /// The stream is open, or not any more.
    pub(crate) fn active(&self, active: bool) {
        self.active.set(i64::from(active));
    }

    /// Whether the configuration file was changed to something that is not used.
    pub(crate) fn configuration_refused(&self, refused: bool) {
        self.configuration_refused.set(i64::from(refused));
    }

    /// A block of events came in.
    pub(crate) fn received(&self, bytes: usize) {
        self.bytes_read.inc_by(count(bytes));
    }

    /// Events were passed over.
    pub(crate) fn ignored(&self, events: u64) {
        self.events_ignored.inc_by(events);
    }

    /// The rows of an event were encoded.
    pub(crate) fn encoded(&self, kind: RowsKind, rows: u64) {
        let operation = match kind {
            RowsKind::Write => "create",
            RowsKind::Update => "update",
            RowsKind::Delete => "delete",
        };
        self.rows.with_label_values(&[operation]).inc_by(rows);
    }

    /// A source transaction was read to its end.
    pub(crate) fn transaction_read(&self, commit_time_us: i64) {
        self.source_transactions.inc();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let committed = Duration::from_micros(u64::try_from(commit_time_us).unwrap_or(0));
        self.lag_seconds
            .set(now.saturating_sub(committed).as_secs_f64());
    }

    /// So many bytes of keys and values were sent.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes_published.inc_by(count(bytes));
    }

    /// A Kafka transaction was committed.
    pub(crate) fn committed(&self, elapsed: Duration) {
        self.commits.inc();
        self.commit_seconds.observe(elapsed.as_secs_f64());
    }

    /// The outcome of a commit had to be read back.
    pub(crate) fn read_back(&self) {
        self.unknown_commits.inc();
    }

    /// A source transaction is split once more.
    pub(crate) fn split(&self) {
        self.splits.inc();
    }

    /// A checkpoint was handed over.
    pub(crate) fn checkpoint(&self, checkpoint: &Checkpoint) {
        let offset = checkpoint.position.at().offset;
        self.checkpoint_offset
            .set(i64::try_from(offset).unwrap_or(i64::MAX));
        if let Some(ms) = checkpoint.source_ts_ms {
            let age = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
            self.checkpoint_timestamp.set(age.as_secs_f64());
        }
    }

    /// A topic was looked at.
    pub(crate) fn unused_partitions(&self, count: i32) {
        self.unused_partitions.set(i64::from(count));
    }

    /// A run ended and another begins.
    pub(crate) fn restarted(&self) {
        self.restarts.inc();
    }

    /// All metrics in Prometheus' text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            Ok(()) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => format!("# {error}\n"),
        }
    }
}

/// The name under which a metric is exposed.
fn full(name: &str) -> String {
    format!("binlog_bridge_{name}")
}

/// The metrics that were made so far.
#[derive(Default)]
struct Made {
    registry: Registry,
}

impl Made {
    fn keep<C: Collector + Clone + 'static>(
        &self,
        made: Result<C, prometheus::Error>,
    ) -> Result<C, prometheus::Error> {
        let made = made?;
        self.registry.register(Box::new(made.clone()))?;
        Ok(made)
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
