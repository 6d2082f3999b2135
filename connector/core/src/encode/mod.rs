//! What bytes does the consumer get? Row images become keys and values, batched by topic-partition.
//!
//! Bytes to bytes: a [`TablePlan`] is made once for a definition version, and each row is copied by it from the
//! packed image into Avro binary, without a value in between and without an allocation per row.

mod batch;
mod envelope;
mod error;
mod heartbeat;
mod partition;
mod plan;
mod schema_change;
mod transaction;

pub use batch::{Arena, ArenaFull, Batch, KeyAndValue, Record, TopicPartition};
pub use envelope::{Encoder, RowsSource};
pub use error::{EncodeError, EncodeErrorKind};
pub use heartbeat::HeartbeatsTopic;
pub use partition::partition_of;
pub use plan::{Destination, PlanError, TablePlan};
pub use schema_change::{ChangeRecord, ChangeSource, SchemaChangesTopic, TableChange};
pub use transaction::{Gap, MarkError, SplitError, TransactionsTopic, push_gap};

#[cfg(test)]
mod tests;
