//! `tail`: decoded events as JSON lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use apache_avro::Schema;
use binlog_bridge_core::avro::TopicNames;
use serde_json::{Value, json};

use super::{ConfigFile, Failure, render};
use crate::config::Config;
use crate::registry::{HttpRegistry, Registry};
use crate::sink::kafka::KafkaLog;
use crate::sink::log::Log;
use crate::sink::reader::{ReadEvent, ReadRecord, Start, TopicReader};
use crate::sink::topics::is_version_of;
use crate::subjects::parse_schema;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// Topics to read; default: all of the task's, without its state
    topics: Vec<String>,
    /// Where to begin
    #[arg(long, value_enum, default_value_t = Begin::Beginning)]
    from: Begin,
    /// End when all that is there was printed
    #[arg(long)]
    no_follow: bool,
    /// End after so many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Begin {
    /// With the oldest event
    Beginning,
    /// With the first event from now on
    End,
}

pub(super) async fn tail(arguments: &Arguments) -> Result<(), Failure> {
    tokio::select! {
        biased;
        () = super::run::signal_to_end() => Ok(()),
        result = print(arguments) => result,
    }
}

async fn print(arguments: &Arguments) -> Result<(), Failure> {
    let config = super::load(&arguments.config.path)?;
    let topics = if arguments.topics.is_empty() {
        task_topics(&config).await?
    } else {
        arguments.topics.clone()
    };
    if topics.is_empty() {
        return Err(Failure::other(format!(
            "task {} has no topics yet",
            config.task
        )));
    }
    let start = match arguments.from {
        Begin::Beginning => Start::Beginning,
        Begin::End => Start::End,
    };
    let mut reader =
        TopicReader::new(config.kafka.clone(), topics, start).map_err(Failure::other)?;
    let mut schemas = Schemas::new(&config)?;
    let mut printed = 0;
    while arguments.count.is_none_or(|count| printed < count) {
        match reader.next().await.map_err(Failure::other)? {
            ReadEvent::AllCaughtUp if arguments.no_follow => return Ok(()),
            ReadEvent::AllCaughtUp => {}
            ReadEvent::Record(record) => {
                let line = schemas.line(&record).await?;
                if !super::print_line(&line.to_string()) {
                    return Ok(());
                }
                printed += 1;
            }
        }
    }
    Ok(())
}

/// The topics of a task that hold events.
pub(super) async fn task_topics(config: &Config) -> Result<Vec<String>, Failure> {
    let names = TopicNames::new(&config.task);
    let mut log = KafkaLog::new(config.kafka.clone()).map_err(Failure::other)?;
    let mut topics: Vec<String> = log
        .list_topics(&names.data_prefix())
        .await
        .map_err(Failure::other)?
        .into_keys()
        .collect();
    let renamed = config
        .topics
        .tables
        .values()
        .filter_map(|topic| topic.name.clone());
    for first in renamed {
        let found = log.list_topics(&first).await.map_err(Failure::other)?;
        topics.extend(
            found
                .into_keys()
                .filter(|topic| is_version_of(topic, &first)),
        );
    }
    Ok(topics)
}

/// Schemas by their id, asked for once.
pub(super) struct Schemas {
    registry: HttpRegistry,
    known: BTreeMap<u32, Arc<Schema>>,
}

impl Schemas {
    pub(super) fn new(config: &Config) -> Result<Self, Failure> {
        let registry = HttpRegistry::new(config.registry.clone()).map_err(Failure::other)?;
        Ok(Self {
            registry,
            known: BTreeMap::new(),
        })
    }

    /// A record as people read it.
    pub(super) async fn line(&mut self, record: &ReadRecord) -> Result<Value, Failure> {
        Ok(json!({
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp_ms,
            "key": self.decoded(record.key.as_deref()).await?,
            "value": self.decoded(record.value.as_deref()).await?,
        }))
    }

    async fn decoded(&mut self, bytes: Option<&[u8]>) -> Result<Value, Failure> {
        let Some(bytes) = bytes else {
            return Ok(Value::Null);
        };
        let Some((id, datum)) = render::split_frame(bytes) else {
            // The state topic holds JSON.
            return Ok(serde_json::from_slice(bytes)
                .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(bytes).into_owned())));
        };
        let schema = self.schema(id).await?;
        render::to_json(&schema, datum).map_err(Failure::other)
    }

    async fn schema(&mut self, id: u32) -> Result<Arc<Schema>, Failure> {
        if let Some(schema) = self.known.get(&id) {
            return Ok(Arc::clone(schema));
        }
        let text = self
            .registry
            .schema_by_id(id)
            .await
            .map_err(Failure::other)?;
        let schema = Arc::new(parse_schema(&text).map_err(Failure::other)?);
        self.known.insert(id, Arc::clone(&schema));
        Ok(schema)
    }
}
