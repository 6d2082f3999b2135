//! What bytes does the consumer get? Row images become keys and values, batched by topic-partition.

mod batch;

pub use batch::{Arena, ArenaFull, Batch, Record, TopicPartition};
