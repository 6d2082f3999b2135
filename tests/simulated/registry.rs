//! A schema registry in memory: ids by subject and text, and requests that fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use binlog_bridge::registry::{RegisteredSchema, Registry, RegistryError, RegistryErrorKind};
use binlog_bridge::subjects::{compare, parse_schema};

use crate::simulated::faults::{Fault, Faults, Step};
use crate::simulated::process::Process;
use crate::simulated::random::Random;
use crate::simulated::rewriting::Rewriting;
use crate::simulated::trace::Trace;

/// One process's way to the registry.
#[derive(Clone)]
pub struct SimRegistry {
    inner: Arc<Mutex<Inner>>,
    process: Process,
}

struct Inner {
    /// Under each subject the versions as they were given, oldest first.
    subjects: BTreeMap<String, Vec<RegisteredSchema>>,
    levels: BTreeMap<String, String>,
    random: Random,
    faults: Faults,
    /// What every request is refused with.
    refused: Option<RegistryErrorKind>,
    /// What becomes of the texts that it gives back.
    rewriting: Option<Rewriting>,
}

/// How long a client waits for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

impl SimRegistry {
    pub fn new(mut random: Random, faults_per_mille: u64) -> Self {
        let faults = Faults::new(random.fork(), faults_per_mille);
        let inner = Inner {
            subjects: BTreeMap::new(),
            levels: BTreeMap::new(),
            random,
            faults,
            refused: None,
            rewriting: None,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            process: Process::new("registry", Trace::default()),
        }
    }

    /// The same registry, as another process sees it.
    pub fn of(&self, process: Process) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            process,
        }
    }

    pub fn faults<T>(&self, work: impl FnOnce(&mut Faults) -> T) -> T {
        self.with(|inner| work(&mut inner.faults))
    }

    /// Refuses every request from now on, or none.
    pub fn refuse(&self, refused: Option<RegistryErrorKind>) {
        self.with(|inner| inner.refused = refused);
    }

    /// Writes the schemas anew that it gives back from now on.
    pub fn rewrite(&self, rewriting: Option<Rewriting>) {
        self.with(|inner| inner.rewriting = rewriting);
    }

    /// The text of a schema by its id.
    pub fn schema(&self, id: u32) -> Option<String> {
        self.with(|inner| inner.schema(id))
    }

    /// How many versions all subjects have.
    pub fn versions(&self) -> usize {
        self.with(|inner| inner.subjects.values().map(Vec::len).sum())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One request: it takes a moment, and fails before or after it took effect.
    async fn request<T>(
        &self,
        operation: &str,
        work: impl FnOnce(&mut Inner) -> T,
    ) -> Result<T, RegistryError> {
        let failed = |kind| error(operation, kind);
        let pause = self.with(|inner| inner.random.below(0..20));
        tokio::time::sleep(Duration::from_millis(pause)).await;
        self.process.point(operation).await;
        if let Some(kind) = self.with(|inner| inner.refused) {
            return Err(failed(kind));
        }
        let fault = self.with(|inner| inner.faults.meet(Step::Registry));
        match fault {
            Some(Fault::Before) => return Err(failed(RegistryErrorKind::Unreachable)),
            Some(Fault::Lazy) => tokio::time::sleep(Duration::from_secs(3)).await,
            _ => {}
        }
        let answer = self.with(work);
        self.process.point(operation).await;
        match fault {
            Some(Fault::After) => Err(failed(RegistryErrorKind::Unreachable)),
            Some(Fault::Held) => {
                let hold = self.with(|inner| inner.faults.hold());
                tokio::time::sleep(hold.min(REQUEST_TIMEOUT)).await;
                if hold < REQUEST_TIMEOUT {
                    Ok(answer)
                } else {
                    Err(failed(RegistryErrorKind::Unreachable))
                }
            }
            _ => Ok(answer),
        }
    }
}

impl Inner {
    /// A schema as it is given back.
    fn answer(&self, version: &RegisteredSchema) -> RegisteredSchema {
        let text = &version.schema;
        let rewritten = self.rewriting.map(|rewriting| rewriting.text(text));
        RegisteredSchema {
            id: version.id,
            schema: rewritten.unwrap_or_else(|| text.clone()),
        }
    }

    fn schema(&self, id: u32) -> Option<String> {
        let mut all = self.subjects.values().flatten();
        let found = all.find(|version| version.id == id)?;
        Some(self.answer(found).schema)
    }

    /// What a registry finds wrong with a schema, given the subject's level and its newest schema.
    fn check(&self, subject: &str, schema: &str) -> Result<(), RegistryErrorKind> {
        parse_schema(schema).map_err(|_| RegistryErrorKind::Invalid)?;
        let newest = self.subjects.get(subject).and_then(|all| all.last());
        let level = self.levels.get(subject).map(String::as_str);
        let (Some(newest), Some("BACKWARD" | "FULL")) = (newest, level) else {
            return Ok(());
        };
        let forward = compare(subject, schema, &newest.schema);
        compare(subject, &newest.schema, schema)
            .and_then(|change| {
                if level == Some("FULL") {
                    forward
                } else {
                    Ok(change)
                }
            })
            .map_err(|_| RegistryErrorKind::Incompatible)?;
        Ok(())
    }
}

/// The levels that a registry knows.
const LEVELS: [&str; 7] = [
    "NONE",
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
];

fn error(operation: &str, kind: RegistryErrorKind) -> RegistryError {
    RegistryError {
        operation: operation.to_owned(),
        kind,
        message: "simulated".to_owned(),
    }
}

impl Registry for SimRegistry {
    async fn latest(&self, subject: &str) -> Result<Option<RegisteredSchema>, RegistryError> {
        let last = |inner: &mut Inner| {
            let last = inner.subjects.get(subject)?.last()?;
            Some(inner.answer(last))
        };
        self.request("latest", last).await
    }

    async fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let operation = "register";
        let work = |inner: &mut Inner| {
            let known: usize = inner.subjects.values().map(Vec::len).sum();
            let mut versions = inner.subjects.get(subject).into_iter().flatten();
            if let Some(same) = versions.find(|version| version.schema == schema) {
                return Ok(same.id);
            }
            inner.check(subject, schema)?;
            let versions = inner.subjects.entry(subject.to_owned()).or_default();
            let id = u32::try_from(known + 1).unwrap();
            versions.push(RegisteredSchema {
                id,
                schema: schema.to_owned(),
            });
            Ok(id)
        };
        let answer = self.request(operation, work).await?;
        answer.map_err(|kind| error(operation, kind))
    }

    async fn lookup(&self, subject: &str, schema: &str) -> Result<Option<u32>, RegistryError> {
        let work = |inner: &mut Inner| {
            let mut versions = inner.subjects.get(subject).into_iter().flatten();
            let same = versions.find(|version| version.schema == schema);
            same.map(|version| version.id)
        };
        self.request("lookup", work).await
    }

    async fn compatibility(&self, subject: &str) -> Result<Option<String>, RegistryError> {
        self.request("compatibility", |inner| inner.levels.get(subject).cloned())
            .await
    }

    async fn set_compatibility(&self, subject: &str, level: &str) -> Result<(), RegistryError> {
        let operation = "set_compatibility";
        if !LEVELS.contains(&level) {
            return Err(error(operation, RegistryErrorKind::Invalid));
        }
        let work = |inner: &mut Inner| {
            inner.levels.insert(subject.to_owned(), level.to_owned());
        };
        self.request(operation, work).await
    }

    async fn schema_by_id(&self, id: u32) -> Result<String, RegistryError> {
        let work = |inner: &mut Inner| inner.schema(id);
        let operation = "schema_by_id";
        let found = self.request(operation, work).await?;
        found.ok_or_else(|| error(operation, RegistryErrorKind::Other))
    }
}
