//! What did the server send next, and what does it say of itself? The only place that knows `mysql_async`.

pub mod client;
pub mod error;
