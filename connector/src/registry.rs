//! The seam to the schema registry (Confluent API), and its real half.
//!
//! A [`Registry`] carries out one request and decides nothing. What is registered, in which order, and
//! what an answer means stands in [`crate::subjects`].

use std::future::Future;

/// One request to a schema registry.
pub trait Registry: Send + Sync + 'static {
    /// The newest schema under a subject; `None` if the subject does not exist.
    fn latest(
        &self,
        subject: &str,
    ) -> impl Future<Output = Result<Option<RegisteredSchema>, RegistryError>> + Send;

    /// Registers an Avro schema under a subject, and returns its id. The same text again gives the same id.
    fn register(
        &self,
        subject: &str,
        schema: &str,
    ) -> impl Future<Output = Result<u32, RegistryError>> + Send;

    /// The compatibility level set for this very subject; `None` if only the global one holds.
    fn compatibility(
        &self,
        subject: &str,
    ) -> impl Future<Output = Result<Option<String>, RegistryError>> + Send;

    /// Sets the compatibility level of a subject.
    fn set_compatibility(
        &self,
        subject: &str,
        level: &str,
    ) -> impl Future<Output = Result<(), RegistryError>> + Send;

    /// The text of a schema by its id.
    fn schema_by_id(&self, id: u32) -> impl Future<Output = Result<String, RegistryError>> + Send;
}

/// A schema as the registry holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredSchema {
    /// The id that goes into every message.
    pub id: u32,
    /// The schema's JSON text.
    pub schema: String,
}

/// A request to the registry failed. No text of this error holds a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema registry: {operation} failed: {message}")]
pub struct RegistryError {
    /// What was tried, such as `register shop.shop.orders-value`.
    pub operation: String,
    /// What kind of failure it is.
    pub kind: RegistryErrorKind,
    /// The registry's or the client's words, without credentials.
    pub message: String,
}

/// Kinds of failure; what follows is decided in `error.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryErrorKind {
    /// Connection failed, no answer in time, 429 or 5xx.
    Unreachable,
    /// 401 or 403.
    Authentication,
    /// 409: not compatible with an earlier version.
    Incompatible,
    /// 422 or another refusal of the request itself.
    Invalid,
    /// Anything else.
    Other,
}
