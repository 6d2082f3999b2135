//! The seam to the schema registry (Confluent API), and its real half.
//!
//! A [`Registry`] carries out one request and decides nothing. What is registered, in which order, and
//! what an answer means stands in [`crate::subjects`].
//!
//! [`HttpRegistry`] never shows a credential, and of a refusal only what comes before the schema the
//! registry quotes: defaults in a schema are SQL literals (I9).

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use schema_registry_converter::async_impl::schema_registry::{SrSettings, post_schema};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{RawError, SchemaType, SuppliedSchema};
use serde::Deserialize;
use serde_json::json;

use crate::secret::Secret;

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

    /// The id of a schema that is registered under a subject, in whatever version; `None` if it is not.
    fn lookup(
        &self,
        subject: &str,
        schema: &str,
    ) -> impl Future<Output = Result<Option<u32>, RegistryError>> + Send;

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

/// Where a registry is, and how to get in.
#[derive(Clone)]
pub struct RegistrySettings {
    /// The base of the Confluent API, such as `http://registry:8081`. A user and password inside it are used
    /// if `user` is not set, and are never shown.
    pub url: String,
    /// User of the basic authentication.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// Time limit of one request, connecting included.
    pub timeout: Duration,
}

impl std::fmt::Debug for RegistrySettings {
    /// The address may hold credentials (I9).
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = self.url.rsplit('@').next().unwrap_or_default();
        out.debug_struct("RegistrySettings")
            .field("url", &url)
            .field("user", &self.user)
            .finish()
    }
}

/// Bytes of one answer that are read. The largest answer is one schema, and 4096 columns with long names,
/// twice, stay below 4 MiB.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Characters of the registry's own words that are shown.
const MESSAGE_CHARACTERS_MAX: usize = 300;

/// Media type of the Confluent API.
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// A registry that speaks the Confluent API over HTTP.
///
/// Registration goes through `schema_registry_converter`. Everything else is one bounded request of our
/// own: the crate has no call for compatibility levels, and reads answers of any size.
pub struct HttpRegistry {
    /// Without user and password, without a slash at its end.
    url: Url,
    user: Option<String>,
    password: Option<Secret>,
    client: reqwest::Client,
    converter: SrSettings,
}

impl std::fmt::Debug for HttpRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpRegistry")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

impl HttpRegistry {
    /// Checks the settings and prepares the client; connects to nothing.
    ///
    /// # Errors
    /// [`RegistryErrorKind::Invalid`] if the URL is none of HTTP.
    pub fn new(settings: RegistrySettings) -> Result<HttpRegistry, RegistryError> {
        let (url, url_user, url_password) = split_credentials(&settings.url)?;
        let (user, password) = match settings.user {
            Some(user) => (Some(user), settings.password),
            None => (url_user, url_password),
        };
        let setup = |error: String| failure("set up the client", RegistryErrorKind::Other, &error);
        let client = client_builder(settings.timeout)
            .build()
            .map_err(|error| setup(words_of(&error)))?;
        let mut builder = SrSettings::new_builder(without_slash(&url));
        if let Some(user) = &user {
            builder.set_basic_authorization(user, password.as_ref().map(Secret::expose));
        }
        let converter = builder
            .set_timeout(settings.timeout)
            .build_with(client_builder(settings.timeout))
            .map_err(|error| setup(error.error))?;
        Ok(HttpRegistry {
            url,
            user,
            password,
            client,
            converter,
        })
    }

    /// The address, without credentials: for logs and pages.
    pub fn url(&self) -> String {
        without_slash(&self.url)
    }

    /// One request, whose answer is read up to [`ANSWER_BYTES_MAX`].
    async fn request(
        &self,
        operation: &str,
        method: Method,
        path: &[&str],
        body: Option<serde_json::Value>,
    ) -> Result<Answer, RegistryError> {
        let mut request = self
            .client
            .request(method, self.address(path))
            .header("accept", format!("{MEDIA_TYPE}, application/json"));
        if let Some(user) = &self.user {
            request = request.basic_auth(user, self.password.as_ref().map(Secret::expose));
        }
        if let Some(body) = body {
            request = request
                .header("content-type", MEDIA_TYPE)
                .body(body.to_string());
        }
        let response = request
            .send()
            .await
            .map_err(|error| from_reqwest(operation, &error))?;
        read_answer(operation, response).await
    }

    fn address(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        // A URL of HTTP always has path segments, which `split_credentials` has made sure of.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// A name as one segment of a path: the converter itself replaces slashes only.
    fn segment(&self, name: &str) -> String {
        let url = self.address(&[name]);
        url.path_segments()
            .and_then(|mut segments| segments.next_back())
            .unwrap_or_default()
            .to_owned()
    }
}

impl Registry for HttpRegistry {
    async fn latest(&self, subject: &str) -> Result<Option<RegisteredSchema>, RegistryError> {
        let operation = format!("read the newest schema of {subject}");
        let path = ["subjects", subject, "versions", "latest"];
        let answer = self.request(&operation, Method::GET, &path, None).await?;
        // 40401: no such subject; 40402: no version left in it.
        if matches!(answer.error_code(), Some(40401 | 40402)) {
            return Ok(None);
        }
        let body: SchemaBody = answer.parse(&operation)?;
        match (body.id, body.schema_type.as_deref()) {
            (Some(id), None | Some("AVRO")) => Ok(Some(RegisteredSchema {
                id,
                schema: body.schema,
            })),
            (Some(_), Some(_)) => Err(failure(
                &operation,
                RegistryErrorKind::Invalid,
                "the subject holds schemas of another kind than Avro",
            )),
            (None, _) => Err(no_registry(&operation, "an answer without an id")),
        }
    }

    async fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let operation = format!("register {subject}");
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned());
        let registered = post_schema(&self.converter, self.segment(subject), supplied).await;
        registered
            .map(|registered| registered.id)
            .map_err(|error| from_converter(&operation, &error))
    }

    async fn lookup(&self, subject: &str, schema: &str) -> Result<Option<u32>, RegistryError> {
        let operation = format!("look up a schema of {subject}");
        let body = json!({ "schema": schema });
        let path = ["subjects", subject];
        let answer = self
            .request(&operation, Method::POST, &path, Some(body))
            .await?;
        // 40401: no such subject; 40403: not under it.
        if matches!(answer.error_code(), Some(40401 | 40403)) {
            return Ok(None);
        }
        let found: IdBody = answer.parse(&operation)?;
        Ok(Some(found.id))
    }

    async fn compatibility(&self, subject: &str) -> Result<Option<String>, RegistryError> {
        let operation = format!("read the compatibility level of {subject}");
        let path = ["config", subject];
        let answer = self.request(&operation, Method::GET, &path, None).await?;
        // 40408: no level of its own; 40401: the same, by older registries.
        if matches!(answer.error_code(), Some(40401 | 40408)) {
            return Ok(None);
        }
        let level = answer.parse::<LevelBody>(&operation)?.compatibility_level;
        // Apicurio answers with the global level where the subject has none of its own, and its global
        // default is NONE. A NONE that is also the global level is therefore no level of its own; any other
        // level protects the subject already.
        if level == "NONE" {
            let global = self
                .request(&operation, Method::GET, &["config"], None)
                .await?;
            if global.parse::<LevelBody>(&operation)?.compatibility_level == level {
                return Ok(None);
            }
        }
        Ok(Some(level))
    }

    async fn set_compatibility(&self, subject: &str, level: &str) -> Result<(), RegistryError> {
        let operation = format!("set the compatibility level of {subject}");
        let body = json!({ "compatibility": level });
        let answer = self
            .request(&operation, Method::PUT, &["config", subject], Some(body))
            .await?;
        answer.parse::<serde_json::Value>(&operation).map(|_| ())
    }

    async fn schema_by_id(&self, id: u32) -> Result<String, RegistryError> {
        let operation = format!("read schema {id}");
        let path = ["schemas", "ids", &id.to_string()];
        let answer = self.request(&operation, Method::GET, &path, None).await?;
        answer
            .parse::<SchemaBody>(&operation)
            .map(|body| body.schema)
    }
}

#[derive(Deserialize)]
struct SchemaBody {
    id: Option<u32>,
    schema: String,
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
}

#[derive(Deserialize)]
struct IdBody {
    id: u32,
}

#[derive(Deserialize)]
struct LevelBody {
    #[serde(rename = "compatibilityLevel")]
    compatibility_level: String,
}

/// Status and body of an answer.
struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl Answer {
    /// The registry's code of a refusal, such as 40401.
    fn error_code(&self) -> Option<u32> {
        self.refusal().map(|refusal| refusal.error_code)
    }

    fn refusal(&self) -> Option<RawError> {
        if self.status.is_success() {
            return None;
        }
        serde_json::from_slice(&self.body).ok()
    }

    fn parse<T: for<'a> Deserialize<'a>>(&self, operation: &str) -> Result<T, RegistryError> {
        if !self.status.is_success() {
            return Err(refused(operation, self.status, self.refusal().as_ref()));
        }
        // The error of serde is not shown, as it may quote the body.
        serde_json::from_slice(&self.body)
            .map_err(|_| no_registry(operation, "not the JSON of the Confluent API"))
    }
}

async fn read_answer(
    operation: &str,
    mut response: reqwest::Response,
) -> Result<Answer, RegistryError> {
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| from_reqwest(operation, &error))?
    {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            let message = format!("the answer is larger than {ANSWER_BYTES_MAX} bytes");
            return Err(failure(operation, RegistryErrorKind::Other, &message));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, body })
}

/// A redirect is not followed: a registration would become a GET on the way, and a sign-in page looks like
/// success.
fn client_builder(timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
}

fn split_credentials(text: &str) -> Result<(Url, Option<String>, Option<Secret>), RegistryError> {
    let invalid = |why: &str| failure("read the URL", RegistryErrorKind::Invalid, why);
    // The text itself is not shown: it may hold a password.
    let mut url = Url::parse(text).map_err(|_| invalid("the text is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(invalid(
            "the URL does not begin with http:// or https:// and a host",
        ));
    }
    let user = Some(percent_decoded(url.username())).filter(|user| !user.is_empty());
    let password = url
        .password()
        .map(|password| Secret::new(percent_decoded(password)));
    if url.set_username("").is_err() || url.set_password(None).is_err() {
        return Err(invalid(
            "the URL cannot be used without its user and password",
        ));
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok((url, user, password))
}

/// User and password stand percent-encoded in a URL.
fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, escaped) {
            (b'%', Some(escaped)) => {
                decoded.push(escaped);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn without_slash(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

fn failure(operation: &str, kind: RegistryErrorKind, message: &str) -> RegistryError {
    RegistryError {
        operation: operation.to_owned(),
        kind,
        message: message.to_owned(),
    }
}

fn no_registry(operation: &str, what: &str) -> RegistryError {
    let message = format!("the server's answer is not one of a schema registry: {what}");
    failure(operation, RegistryErrorKind::Other, &message)
}

fn refused(operation: &str, status: StatusCode, refusal: Option<&RawError>) -> RegistryError {
    let kind = match status.as_u16() {
        401 | 403 => RegistryErrorKind::Authentication,
        // Somebody registers the same subject at the same moment, and some registries call that a conflict, too.
        409 if refusal.is_some_and(|refusal| refusal.message.contains("already exists")) => {
            RegistryErrorKind::Other
        }
        409 => RegistryErrorKind::Incompatible,
        400 | 422 => RegistryErrorKind::Invalid,
        429 | 500..=599 => RegistryErrorKind::Unreachable,
        _ => RegistryErrorKind::Other,
    };
    match refusal {
        // The registry's own codes have five digits; web servers repeat the status.
        Some(refusal) if status != StatusCode::NOT_FOUND || refusal.error_code > 999 => {
            let message = format!("{} (code {})", shown(&refusal.message), refusal.error_code);
            failure(operation, kind, &message)
        }
        _ if status == StatusCode::NOT_FOUND || status.is_redirection() => {
            no_registry(operation, &format!("HTTP status {}", status.as_u16()))
        }
        _ => failure(operation, kind, &format!("HTTP status {}", status.as_u16())),
    }
}

/// The registry's words up to the schema or default it quotes, in one line and not at length.
fn shown(message: &str) -> String {
    let before = message.split(['{', '[', '"']).next().unwrap_or_default();
    let line = before.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(MESSAGE_CHARACTERS_MAX)
        .collect::<String>()
        .trim_end()
        .to_owned()
}

fn from_reqwest(operation: &str, error: &reqwest::Error) -> RegistryError {
    if error.is_decode() {
        return no_registry(operation, "not the JSON of the Confluent API");
    }
    if error.is_timeout() {
        return failure(
            operation,
            RegistryErrorKind::Unreachable,
            "no answer in time",
        );
    }
    // An error in the making of a request is one that no retry mends.
    let kind = if error.is_builder() {
        RegistryErrorKind::Other
    } else {
        RegistryErrorKind::Unreachable
    };
    failure(operation, kind, &words_of(error))
}

/// The innermost cause says what happened (`Connection refused`); those around it say that something did.
fn words_of(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    shown(&cause.to_string())
}

fn from_converter(operation: &str, error: &SRCError) -> RegistryError {
    let cause = error.source();
    if let Some(refusal) = cause.and_then(|cause| cause.downcast_ref::<RawError>()) {
        // The status is in the text only: `... failed with status 409 Conflict`.
        let status = error
            .error
            .split(' ')
            .find_map(|word| word.parse::<StatusCode>().ok());
        // The converter's code for a body it could not read is 0.
        let refusal = Some(refusal).filter(|refusal| refusal.error_code != 0);
        return refused(
            operation,
            status.unwrap_or(StatusCode::IM_A_TEAPOT),
            refusal,
        );
    }
    match cause.and_then(|cause| cause.downcast_ref::<reqwest::Error>()) {
        Some(error) => from_reqwest(operation, error),
        None => no_registry(operation, "an answer without an id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_with_somebody_who_registers_at_the_same_moment_is_no_incompatible_schema() {
        let kind = |message: &str| {
            let answer = serde_json::json!({"error_code": 409, "message": message}).to_string();
            let refusal = serde_json::from_str::<RawError>(&answer).unwrap();
            refused("register", StatusCode::CONFLICT, Some(&refusal)).kind
        };
        let exists = "An artifact with ID 'task.shop.orders-key' in group 'null' already exists.";
        assert_eq!(kind(exists), RegistryErrorKind::Other);
        let other = "Incompatible artifact: orders-value [AVRO], num of incompatible diffs: 1";
        assert_eq!(kind(other), RegistryErrorKind::Incompatible);
    }
}
