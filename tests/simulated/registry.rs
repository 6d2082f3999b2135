//! A schema registry in memory: ids by subject and text, and requests that fail.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use binlog_bridge::registry::{RegisteredSchema, Registry, RegistryError, RegistryErrorKind};

use crate::simulated::random::Random;

pub struct SimRegistry {
    inner: Mutex<Inner>,
}

struct Inner {
    /// Under each subject the versions, oldest first.
    subjects: BTreeMap<String, Vec<RegisteredSchema>>,
    levels: BTreeMap<String, String>,
    random: Random,
    faults_per_mille: u64,
}

impl SimRegistry {
    pub fn new(random: Random, faults_per_mille: u64) -> Self {
        let (subjects, levels) = (BTreeMap::new(), BTreeMap::new());
        Self {
            inner: Mutex::new(Inner {
                subjects,
                levels,
                random,
                faults_per_mille,
            }),
        }
    }

    pub fn end_faults(&self) {
        self.with(|inner| inner.faults_per_mille = 0);
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
        let pause = self.with(|inner| inner.random.below(0..20));
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let rate = self.with(|inner| inner.faults_per_mille);
        let failed = RegistryError {
            operation: operation.to_owned(),
            kind: RegistryErrorKind::Unreachable,
            message: "simulated".to_owned(),
        };
        if self.with(|inner| inner.random.per_mille(rate)) {
            return Err(failed);
        }
        let answer = self.with(work);
        if self.with(|inner| inner.random.per_mille(rate)) {
            Err(failed)
        } else {
            Ok(answer)
        }
    }
}

impl Registry for SimRegistry {
    async fn latest(&self, subject: &str) -> Result<Option<RegisteredSchema>, RegistryError> {
        let last = |inner: &mut Inner| {
            inner
                .subjects
                .get(subject)
                .and_then(|all| all.last().cloned())
        };
        self.request("latest", last).await
    }

    async fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let work = |inner: &mut Inner| {
            let known: usize = inner.subjects.values().map(Vec::len).sum();
            let versions = inner.subjects.entry(subject.to_owned()).or_default();
            if let Some(same) = versions.iter().find(|version| version.schema == schema) {
                return same.id;
            }
            let id = u32::try_from(known + 1).unwrap();
            versions.push(RegisteredSchema {
                id,
                schema: schema.to_owned(),
            });
            id
        };
        self.request("register", work).await
    }

    async fn compatibility(&self, subject: &str) -> Result<Option<String>, RegistryError> {
        self.request("compatibility", |inner| inner.levels.get(subject).cloned())
            .await
    }

    async fn set_compatibility(&self, subject: &str, level: &str) -> Result<(), RegistryError> {
        let work = |inner: &mut Inner| {
            inner.levels.insert(subject.to_owned(), level.to_owned());
        };
        self.request("set_compatibility", work).await
    }

    async fn schema_by_id(&self, id: u32) -> Result<String, RegistryError> {
        let work = |inner: &mut Inner| {
            inner
                .subjects
                .values()
                .flatten()
                .find(|version| version.id == id)
                .map(|v| v.schema.clone())
        };
        self.request("schema_by_id", work)
            .await
            .map(Option::unwrap_or_default)
    }
}
