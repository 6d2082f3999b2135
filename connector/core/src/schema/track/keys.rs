//! Keys of a table: what rows are told apart by.
//!
//! How the server orders keys, of which the first that can serves in the place of a primary key: MySQL source,
//! `sql/sql_table.cc`, `sort_keys`; how it names them: the same file, `make_unique_key_name`.

use super::NotUnderstood;
use super::column::{ROW_END, check, references};
use super::parser::Parser;
use crate::schema::{DescribedColumn, DescribedKey, DescribedTable, KeyPart, PRIMARY};

/// A key as a statement defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeySpec {
    name: Option<String>,
    is_unique: bool,
    parts: Vec<KeyPart>,
    /// The server makes it for a foreign key, unless there is one.
    is_of_foreign_key: bool,
    /// Nothing is done if there is one of its name.
    is_conditional: bool,
}

impl KeySpec {
    /// The key that an attribute of a column makes.
    pub(super) fn of_column(column: &str, is_primary: bool) -> Self {
        Self {
            name: is_primary.then(|| PRIMARY.to_owned()),
            is_unique: true,
            parts: vec![KeyPart {
                column: Some(column.to_owned()),
                prefix: None,
            }],
            is_of_foreign_key: false,
            is_conditional: false,
        }
    }

    /// `name [USING …] ON table (…)`, behind CREATE … INDEX.
    pub(super) fn named(name: String, is_unique: bool, parts: Vec<KeyPart>) -> Self {
        Self {
            name: Some(name),
            is_unique,
            parts,
            is_of_foreign_key: false,
            is_conditional: false,
        }
    }
}

/// True if a definition of a key or constraint follows, and not of a column.
pub(super) fn is_key_next(p: &Parser) -> bool {
    p.is_one_of(&[
        "PRIMARY",
        "KEY",
        "INDEX",
        "UNIQUE",
        "FULLTEXT",
        "SPATIAL",
        "CONSTRAINT",
        "FOREIGN",
        "CHECK",
    ]) || (p.is("VECTOR") && (p.is_at(1, "INDEX") || p.is_at(1, "KEY")))
}

/// Reads the definition of a key or constraint; `None` for a constraint without a key.
pub(super) fn read_key(p: &mut Parser) -> Result<Option<KeySpec>, NotUnderstood> {
    let mut constraint = None;
    let is_constraint = p.take("CONSTRAINT");
    let is_conditional = is_constraint && p.take_all(&["IF", "NOT", "EXISTS"]);
    if is_constraint && !p.is_one_of(&["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"]) {
        constraint = Some(p.name()?);
    }
    if p.is("CHECK") {
        check(p)?;
        return Ok(None);
    }
    if p.take_all(&["FOREIGN", "KEY"]) {
        let is_conditional = p.take_all(&["IF", "NOT", "EXISTS"]) || is_conditional;
        let name = match p.is_sign('(') {
            true => None,
            false => Some(p.name()?),
        };
        let parts = read_parts(p)?;
        references(p)?;
        return Ok(Some(KeySpec {
            name: constraint.or(name),
            is_unique: false,
            parts,
            is_of_foreign_key: true,
            is_conditional,
        }));
    }
    let is_primary = p.take_all(&["PRIMARY", "KEY"]);
    let is_unique = is_primary || p.take("UNIQUE");
    if !is_unique {
        p.take_one(&["FULLTEXT", "SPATIAL", "VECTOR"]);
    }
    if !is_primary {
        p.take_one(&["INDEX", "KEY"]);
    }
    let is_conditional = p.take_all(&["IF", "NOT", "EXISTS"]) || is_conditional;
    let mut name = None;
    if !p.is_sign('(') && !p.is_one_of(&["USING", "TYPE"]) {
        name = Some(p.name()?);
    }
    skip_algorithm(p)?;
    let parts = read_parts(p)?;
    skip_options(p)?;
    Ok(Some(KeySpec {
        name: match is_primary {
            true => Some(PRIMARY.to_owned()),
            false => name.or(constraint),
        },
        is_unique,
        parts,
        is_of_foreign_key: false,
        is_conditional,
    }))
}

/// `USING BTREE`
pub(super) fn skip_algorithm(p: &mut Parser) -> Result<(), NotUnderstood> {
    match p.take_one(&["USING", "TYPE"]) {
        true => p.name().map(drop),
        false => Ok(()),
    }
}

/// `(a, b(10) DESC, (expression))`
pub(super) fn read_parts(p: &mut Parser) -> Result<Vec<KeyPart>, NotUnderstood> {
    let mut parts = Vec::new();
    p.expect_sign('(')?;
    loop {
        let mut part = KeyPart::default();
        if p.is_sign('(') {
            p.skip_parentheses()?;
        } else {
            part.column = Some(p.name()?);
            if p.take_sign('(') {
                part.prefix = Some(p.number()?);
                p.expect_sign(')')?;
            }
        }
        p.take_one(&["ASC", "DESC"]);
        parts.push(part);
        if !p.take_sign(',') {
            break;
        }
    }
    p.expect_sign(')')?;
    Ok(parts)
}

/// What may follow the parts of a key.
pub(super) fn skip_options(p: &mut Parser) -> Result<(), NotUnderstood> {
    loop {
        if p.take_one(&[
            "USING",
            "TYPE",
            "KEY_BLOCK_SIZE",
            "COMMENT",
            "ENGINE_ATTRIBUTE",
            "SECONDARY_ENGINE_ATTRIBUTE",
            "CLUSTERING",
            "M",
            "DISTANCE",
        ]) {
            p.take_sign('=');
            p.skip_value()?;
        } else if p.take_all(&["WITH", "PARSER"]) {
            p.name()?;
        } else if !p.take_one(&["VISIBLE", "INVISIBLE", "IGNORED"])
            && !p.take_all(&["NOT", "IGNORED"])
        {
            return Ok(());
        }
    }
}

/// Names of columns and keys are compared without case; how, of others than ASCII, is the server's own affair.
fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

impl DescribedTable {
    /// Index of a column; the server compares names without case.
    pub(super) fn column_index(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| same(&column.name, name))
    }

    /// Adds a key.
    pub(super) fn add_key(&mut self, mut key: KeySpec) -> Result<(), NotUnderstood> {
        let is_there = |name: &String| self.key(name).is_some();
        if key.is_conditional && key.name.as_ref().is_some_and(is_there) {
            return Ok(());
        }
        for part in &mut key.parts {
            let Some(name) = &mut part.column else {
                continue;
            };
            let index = self.column_index(name);
            let column = index.and_then(|index| self.columns.get_mut(index));
            let column = column.ok_or(NotUnderstood(
                "a key has a column that the table does not have",
            ))?;
            name.clone_from(&column.name);
            if key.name.as_deref() == Some(PRIMARY) {
                column.nullable = false;
            }
            if part.is_whole(column) {
                part.prefix = None;
            }
        }
        if key.is_of_foreign_key {
            // The server makes one unless there is, and takes it away when another serves as well. It is never unique.
            let is_served = self
                .keys
                .iter()
                .any(|known| begins_with(&known.parts, &key.parts));
            return match is_served || key.parts.len() == 1 {
                true => Ok(()),
                false => Err(NotUnderstood(
                    "a key is made for a foreign key of several columns",
                )),
            };
        }
        let name = match key.name {
            Some(name) => name,
            None => self.free_key_name(&key.parts)?,
        };
        if self.keys.iter().any(|known| same(&known.name, &name)) {
            return Err(NotUnderstood("a key is there twice"));
        }
        // MariaDB tells rows of the past apart by when they ended.
        let ended = self
            .columns
            .iter()
            .find(|column| column.expression == ROW_END);
        if let Some(ended) = ended.filter(|_| key.is_unique) {
            key.parts.push(KeyPart {
                column: Some(ended.name.clone()),
                prefix: None,
            });
        }
        self.keys.push(DescribedKey {
            name,
            is_unique: key.is_unique,
            parts: key.parts,
            is_declared: true,
        });
        Ok(())
    }

    fn free_key_name(&self, parts: &[KeyPart]) -> Result<String, NotUnderstood> {
        let first = parts.first().and_then(|part| part.column.as_deref());
        let first = match first.map(|name| self.column_index(name)) {
            Some(index) => index
                .and_then(|index| self.columns.get(index))
                .map(|column| column.name.as_str()),
            None => Some("functional_index"),
        };
        let first = first.ok_or(NotUnderstood("a key has no column"))?;
        // One that was made for a foreign key goes where another serves as well, and gives its name away.
        let may_go = |known: &DescribedKey| {
            !(known.is_unique || known.is_declared)
                && same(&known.name, first)
                && begins_with(parts, &known.parts)
        };
        if self.keys.iter().any(may_go) {
            return Err(NotUnderstood("a key may give its name to another"));
        }
        let is_free = |name: &String| {
            !same(name, PRIMARY) && !self.keys.iter().any(|key| same(&key.name, name))
        };
        std::iter::once(first.to_owned())
            .chain((2..100).map(|number| format!("{first}_{number}")))
            .find(is_free)
            .ok_or(NotUnderstood("a key cannot be named"))
    }

    pub(super) fn key(&self, name: &str) -> Option<&DescribedKey> {
        self.keys.iter().find(|key| same(&key.name, name))
    }

    pub(super) fn drop_key(&mut self, name: &str) -> Result<(), NotUnderstood> {
        let before = self.keys.len();
        self.keys.retain(|key| !same(&key.name, name));
        match self.keys.len() < before {
            true => Ok(()),
            false => Err(NotUnderstood("a key that is not known is dropped")),
        }
    }

    pub(super) fn rename_key(&mut self, from: &str, to: String) -> Result<(), NotUnderstood> {
        if self.key(&to).is_some() {
            return Err(NotUnderstood("keys give each other their names"));
        }
        let key = self.keys.iter_mut().find(|key| same(&key.name, from));
        key.ok_or(NotUnderstood("a key that is not known is renamed"))?
            .name = to;
        Ok(())
    }

    /// A column is dropped: keys lose it, and go with their last one.
    pub(super) fn drop_from_keys(&mut self, column: &str) {
        let is_other =
            |part: &KeyPart| !part.column.as_ref().is_some_and(|name| same(name, column));
        for key in &mut self.keys {
            key.parts.retain(is_other);
        }
        self.keys.retain(|key| !key.parts.is_empty());
    }

    pub(super) fn rename_in_keys(&mut self, renamed: &[(String, String)]) {
        let parts = self.keys.iter_mut().flat_map(|key| &mut key.parts);
        for name in parts.filter_map(|part| part.column.as_mut()) {
            if let Some((_, to)) = renamed.iter().find(|(from, _)| same(from, name)) {
                name.clone_from(to);
            }
        }
    }

    /// Puts the keys in the order of the server.
    pub(super) fn sort_keys(&mut self) {
        let columns = &self.columns;
        self.keys.sort_by_key(|key| rank(key, columns));
    }
}

fn begins_with(longer: &[KeyPart], parts: &[KeyPart]) -> bool {
    let is_same = |(one, other): (&KeyPart, &KeyPart)| match (&one.column, &other.column) {
        (Some(one), Some(other)) => same(one, other),
        (_, _) => false,
    };
    longer.len() >= parts.len() && longer.iter().zip(parts).all(is_same)
}

fn rank(key: &DescribedKey, columns: &[DescribedColumn]) -> u8 {
    if key.name == PRIMARY {
        return 0;
    }
    if !key.is_unique {
        return 5;
    }
    let column = |part: &KeyPart| {
        let name = part.column.as_ref()?;
        columns.iter().find(|column| same(&column.name, name))
    };
    let is_null = key
        .parts
        .iter()
        .any(|part| column(part).is_none_or(|column| column.nullable));
    let is_cut = key
        .parts
        .iter()
        .any(|part| column(part).is_none_or(|column| !part.is_whole(column)));
    1 + 2 * u8::from(is_null) + u8::from(is_cut)
}
