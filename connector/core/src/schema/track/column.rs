//! The definition of a column in CREATE TABLE and ALTER TABLE.

use super::collations::Collation;
use super::defaults::{Default, Shown, now};
use super::parser::Parser;
use super::types::Type;
use super::words::Word;
use super::{Environment, NotUnderstood};
use crate::schema::DescribedColumn;

/// A column as a statement defines it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ColumnSpec {
    pub(super) name: String,
    column_type: Type,
    is_null_said: Option<bool>,
    default: Default,
    has_default: bool,
    on_update: Option<u64>,
    is_auto_increment: bool,
    generated: Option<Generated>,
    is_invisible: bool,
    /// MariaDB keeps no history of it.
    is_without_versions: bool,
    pub(super) key: Option<ColumnKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Generated {
    Virtual,
    Stored,
    /// MariaDB: when the row began to be what it is.
    RowStart,
    /// MariaDB: when it ended.
    RowEnd,
}

/// A key that a column's attributes make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnKey {
    Primary,
    Unique,
}

/// Where ALTER TABLE puts a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    AsItIs,
    First,
    After(String),
}

impl ColumnSpec {
    /// Reads name, type and attributes.
    pub(super) fn read(p: &mut Parser, environment: &Environment) -> Result<Self, NotUnderstood> {
        let name = p.column_name()?;
        Self::read_behind_name(name, p, environment)
    }

    pub(super) fn read_behind_name(
        name: String,
        p: &mut Parser,
        environment: &Environment,
    ) -> Result<Self, NotUnderstood> {
        let column_type = Type::read(p, environment)?;
        let mut column = Self {
            name,
            is_null_said: column_type.is_serial.then_some(false),
            is_auto_increment: column_type.is_serial,
            key: column_type.is_serial.then_some(ColumnKey::Unique),
            column_type,
            default: Default::None,
            has_default: false,
            on_update: None,
            generated: None,
            is_invisible: false,
            is_without_versions: false,
        };
        while column.attribute(p)? {}
        Ok(column)
    }

    /// Reads one attribute; false if there is none.
    fn attribute(&mut self, p: &mut Parser) -> Result<bool, NotUnderstood> {
        if p.take_all(&["NOT", "NULL"]) {
            self.is_null_said = Some(false);
        } else if p.take("NULL") {
            self.is_null_said = Some(true);
        } else if p.take("DEFAULT") {
            (self.default, self.has_default) = (Default::read(p)?, true);
        } else if p.take_all(&["ON", "UPDATE"]) {
            self.on_update =
                Some(now(p)?.ok_or(NotUnderstood("ON UPDATE is followed by something else"))?);
        } else if p.take("AUTO_INCREMENT") {
            self.is_auto_increment = true;
            self.is_null_said = Some(false);
        } else if p.take_all(&["SERIAL", "DEFAULT", "VALUE"]) {
            self.is_auto_increment = true;
            self.is_null_said = Some(false);
            self.set_key(ColumnKey::Unique)?;
        } else if p.take_all(&["UNIQUE", "KEY"]) || p.take("UNIQUE") {
            self.set_key(ColumnKey::Unique)?;
        } else if p.take_all(&["PRIMARY", "KEY"]) || p.take("KEY") {
            self.set_key(ColumnKey::Primary)?;
        } else if p.take("COLLATE") {
            self.column_type.collate(super::types::charset_name(p)?);
        } else if p.take_all(&["GENERATED", "ALWAYS"]) || p.is("AS") {
            p.expect("AS")?;
            self.generated_as(p)?;
        } else if p.take("VIRTUAL") {
            self.generated = Some(Generated::Virtual);
        } else if p.take_one(&["STORED", "PERSISTENT"]) {
            self.generated = Some(Generated::Stored);
        } else if p.take("INVISIBLE") {
            self.is_invisible = true;
        } else if p.take("VISIBLE") {
            self.is_invisible = false;
        } else if p.take("COMPRESSED") {
            self.column_type.compress(p)?;
        } else if p.take_all(&["WITHOUT", "SYSTEM", "VERSIONING"]) {
            self.is_without_versions = true;
        } else if p.take_all(&["WITH", "SYSTEM", "VERSIONING"]) {
            return Err(NotUnderstood("a table gets a history by a column"));
        } else {
            return beside(p);
        }
        Ok(true)
    }

    /// Behind `GENERATED ALWAYS AS`.
    fn generated_as(&mut self, p: &mut Parser) -> Result<(), NotUnderstood> {
        if p.take_all(&["ROW", "START"]) {
            (self.generated, self.is_null_said) = (Some(Generated::RowStart), Some(false));
        } else if p.take_all(&["ROW", "END"]) {
            (self.generated, self.is_null_said) = (Some(Generated::RowEnd), Some(false));
        } else {
            p.skip_parentheses()?;
            self.generated.get_or_insert(Generated::Virtual);
        }
        Ok(())
    }

    fn set_key(&mut self, key: ColumnKey) -> Result<(), NotUnderstood> {
        match self.key.replace(key) {
            Some(other) if other != key => Err(NotUnderstood("a column has two keys")),
            Some(_) | None => Ok(()),
        }
    }

    /// The column in a table. `None` as the collation of the table: it is not known.
    pub(super) fn described(
        &self,
        of_table: Option<Collation>,
        environment: &Environment,
    ) -> Result<DescribedColumn, NotUnderstood> {
        let resolved = self.column_type.resolve(of_table, environment)?;
        let is_implicit = self.is_null_said != Some(true) && self.generated.is_none();
        if self.column_type.is_timestamp() && is_implicit {
            self.refuse_implicit_timestamp(environment)?;
        }
        let mut column = DescribedColumn {
            name: self.name.clone(),
            sql_type: resolved.sql_type,
            nullable: self.is_null_said.unwrap_or(true),
            collation: resolved.collation,
            ..DescribedColumn::default()
        };
        let shown = self.default.certainly_shown(&column, environment);
        let is_computed = matches!(self.generated, Some(Generated::Virtual | Generated::Stored));
        // MariaDB shows one all the same.
        let lacks_default = !column.nullable && !self.has_default;
        let is_odd = self.column_type.is_compressed && lacks_default;
        column.is_unproven = shown == Shown::Unproven || is_computed || is_odd;
        match self.generated {
            Some(Generated::RowStart) => column.expression = "ROW START".to_owned(),
            Some(Generated::RowEnd) => column.expression = ROW_END.to_owned(),
            Some(Generated::Virtual | Generated::Stored) | None => {}
        }
        let mut extra = Extra {
            on_update: self.on_update,
            is_auto_increment: self.is_auto_increment,
            generated: self.generated,
            is_invisible: self.is_invisible,
            is_without_versions: self.is_without_versions,
            ..Extra::default()
        };
        match shown {
            Shown::Nothing | Shown::Unproven => {}
            Shown::Literal(text) => column.default = Some(text),
            Shown::Now(text) => {
                column.default = Some(text);
                extra.is_expression = true;
            }
        }
        column.extra = extra.shown(environment);
        Ok(column)
    }

    /// Without `explicit_defaults_for_timestamp`, what a TIMESTAMP does not say depends on the columns before it.
    fn refuse_implicit_timestamp(&self, environment: &Environment) -> Result<(), NotUnderstood> {
        let is_explicit = self.is_null_said.is_some() && self.has_default;
        match environment.explicit_timestamps {
            Some(true) => Ok(()),
            _ if is_explicit => Ok(()),
            Some(false) | None => Err(NotUnderstood("a TIMESTAMP has an implicit default")),
        }
    }
}

/// What `information_schema.COLUMNS.EXTRA` has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Extra {
    pub(super) is_expression: bool,
    pub(super) on_update: Option<u64>,
    is_auto_increment: bool,
    generated: Option<Generated>,
    pub(super) is_invisible: bool,
    is_without_versions: bool,
}

/// The expression of the column that ends a row of MariaDB's history.
pub(super) const ROW_END: &str = "ROW END";

impl Extra {
    pub(super) fn of(column: &DescribedColumn) -> Self {
        let has = |what: &str| column.extra.contains(what);
        // MariaDB writes it in lower case.
        let on_update = ["CURRENT_TIMESTAMP", "current_timestamp"].into_iter();
        let on_update = on_update
            .filter_map(|now| column.extra.split_once(&format!("on update {now}")))
            .next()
            .map(|(_, behind)| {
                let digits = behind
                    .strip_prefix('(')
                    .and_then(|behind| behind.split(')').next());
                digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
            });
        Self {
            is_expression: has("DEFAULT_GENERATED"),
            on_update,
            is_auto_increment: has("auto_increment"),
            generated: match (has("VIRTUAL GENERATED"), has("STORED GENERATED")) {
                (true, _) => Some(Generated::Virtual),
                (_, true) => Some(Generated::Stored),
                (false, false) => None,
            },
            is_invisible: has("INVISIBLE"),
            is_without_versions: has("WITHOUT SYSTEM VERSIONING"),
        }
    }

    pub(super) fn shown(&self, environment: &Environment) -> String {
        let mut parts = Vec::new();
        if self.is_expression && environment.dialect.tells_expressions {
            parts.push("DEFAULT_GENERATED".to_owned());
        }
        let is_mariadb = environment.dialect.is_mariadb;
        match (self.on_update, is_mariadb) {
            (Some(0), false) => parts.push("on update CURRENT_TIMESTAMP".to_owned()),
            (Some(fraction), false) => {
                parts.push(format!("on update CURRENT_TIMESTAMP({fraction})"));
            }
            (Some(0), true) => parts.push("on update current_timestamp()".to_owned()),
            (Some(fraction), true) => {
                parts.push(format!("on update current_timestamp({fraction})"));
            }
            (None, _) => {}
        }
        if self.is_auto_increment {
            parts.push("auto_increment".to_owned());
        }
        match self.generated {
            Some(Generated::Virtual) => parts.push("VIRTUAL GENERATED".to_owned()),
            Some(Generated::Stored | Generated::RowStart | Generated::RowEnd) => {
                parts.push("STORED GENERATED".to_owned());
            }
            None => {}
        }
        if self.is_without_versions {
            parts.push("WITHOUT SYSTEM VERSIONING".to_owned());
        }
        if self.is_invisible {
            parts.push("INVISIBLE".to_owned());
        }
        parts.join(if is_mariadb { ", " } else { " " })
    }
}

impl Place {
    /// Reads `FIRST` or `AFTER column`, if it is there.
    pub(super) fn read(p: &mut Parser) -> Result<Self, NotUnderstood> {
        if p.take("FIRST") {
            Ok(Self::First)
        } else if p.take("AFTER") {
            Ok(Self::After(p.name()?))
        } else {
            Ok(Self::AsItIs)
        }
    }
}

/// Passes an attribute that a definition does not have; false if there is none.
fn beside(p: &mut Parser) -> Result<bool, NotUnderstood> {
    if p.take("COMMENT") {
        p.text()?;
    } else if p.take_one(&["COLUMN_FORMAT", "STORAGE", "SRID", "REF_SYSTEM_ID"]) {
        p.take_sign('=');
        p.skip_value()?;
    } else if p.take_one(&["ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE"]) {
        p.take_sign('=');
        p.text()?;
    } else if p.take_all(&["NOT", "SECONDARY"]) {
    } else if p.is("REFERENCES") {
        references(p)?;
    } else if p.is("CHECK") || p.is("CONSTRAINT") {
        check(p)?;
    } else {
        return match p.peek() {
            None | Some(Word::Sign(',' | ')' | ';')) => Ok(false),
            Some(Word::Bare(word))
                if ["FIRST", "AFTER"]
                    .iter()
                    .any(|each| word.eq_ignore_ascii_case(each)) =>
            {
                Ok(false)
            }
            Some(_) => Err(NotUnderstood("an attribute of a column is not known")),
        };
    }
    Ok(true)
}

/// `[CONSTRAINT [name]] CHECK (…) [[NOT] ENFORCED]`
pub(super) fn check(p: &mut Parser) -> Result<(), NotUnderstood> {
    if p.take("CONSTRAINT") && !p.is("CHECK") {
        p.name()?;
    }
    p.expect("CHECK")?;
    p.skip_parentheses()?;
    if !p.take_all(&["NOT", "ENFORCED"]) {
        p.take("ENFORCED");
    }
    Ok(())
}

/// `REFERENCES table (columns) …`
pub(super) fn references(p: &mut Parser) -> Result<(), NotUnderstood> {
    p.expect("REFERENCES")?;
    p.qualified()?;
    if p.is_sign('(') {
        p.skip_parentheses()?;
    }
    loop {
        if p.take("MATCH") {
            p.name()?;
        } else if p.take_all(&["ON", "DELETE"]) || p.take_all(&["ON", "UPDATE"]) {
            let is_two = p.take_all(&["SET", "NULL"])
                || p.take_all(&["SET", "DEFAULT"])
                || p.take_all(&["NO", "ACTION"]);
            if !is_two && !p.take_one(&["CASCADE", "RESTRICT"]) {
                return Err(NotUnderstood("an action of a foreign key is not known"));
            }
        } else {
            return Ok(());
        }
    }
}
