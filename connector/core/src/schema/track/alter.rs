//! ALTER TABLE, clause by clause.
//!
//! In which order the server applies clauses: MySQL source, `sql/sql_table.cc`, `prepare_fields_and_keys_for_alter`.

use super::collations::{BINARY, Collation};
use super::column::{ColumnSpec, Extra, Place, ROW_END};
use super::create::{CharsetOption, is_end_of_clause, period, skip_option};
use super::defaults::{Default, Shown};
use super::keys::{KeySpec, is_key_next, read_key};
use super::parser::Parser;
use super::types::converted;
use super::words::Word;
use super::{Environment, NotUnderstood, qualified};
use crate::schema::{DescribedColumn, DescribedTable, KeyPart, PRIMARY};
use crate::selection::TableName;

/// What the clauses of an ALTER TABLE say together.
#[derive(Debug, Default)]
pub(super) struct Alteration {
    pub(super) renamed_to: Option<TableName>,
    columns: Vec<ColumnChange>,
    dropped_columns: Vec<Named>,
    renamed_columns: Vec<(Named, String)>,
    defaults: Vec<(Named, Default)>,
    visibilities: Vec<(String, bool)>,
    keys: Vec<KeySpec>,
    dropped_keys: Vec<Named>,
    /// Of a constraint it is not said whether it is a key.
    dropped_constraints: Vec<String>,
    renamed_keys: Vec<(Named, String)>,
    charset: CharsetOption,
    is_converted: bool,
    /// The columns of periods.
    ends_of_periods: Vec<String>,
    /// Of MariaDB's tables with a history, nothing more is known then.
    loses_history: bool,
    /// Whether MariaDB keeps its history from here on.
    is_versioned: Option<bool>,
}

/// A name, and whether it may be that there is no such thing.
type Named = (String, bool);

#[derive(Debug)]
struct ColumnChange {
    /// The column that is changed; none for a new one.
    of: Option<String>,
    spec: ColumnSpec,
    place: Place,
    /// Nothing is done if a new one is there, or one to change is not.
    is_conditional: bool,
}

impl Alteration {
    /// Reads the clauses up to the end of the statement.
    pub(super) fn read(p: &mut Parser, environment: &Environment) -> Result<Self, NotUnderstood> {
        let mut alteration = Self::default();
        loop {
            if p.is_done() {
                return Ok(alteration);
            }
            alteration.clause(p, environment)?;
            // Options of a table, and what is said of partitions, follow one another without commas too.
            p.take_sign(',');
        }
    }

    fn clause(&mut self, p: &mut Parser, environment: &Environment) -> Result<(), NotUnderstood> {
        if partitioning(p)? {
            Ok(())
        } else if p.take("ADD") {
            self.add(p, environment)
        } else if p.take("DROP") {
            self.drop(p)
        } else if p.take("MODIFY") {
            p.take("COLUMN");
            let is_conditional = p.take_all(&["IF", "EXISTS"]);
            let spec = ColumnSpec::read(p, environment)?;
            let of = Some(spec.name.clone());
            self.changed(of, spec, is_conditional, p)
        } else if p.take("CHANGE") {
            p.take("COLUMN");
            let is_conditional = p.take_all(&["IF", "EXISTS"]);
            let of = Some(p.column_name()?);
            let spec = ColumnSpec::read(p, environment)?;
            self.changed(of, spec, is_conditional, p)
        } else if p.take("ALTER") {
            self.alter(p)
        } else if p.take("RENAME") {
            self.rename(p, environment)
        } else if p.take_all(&["CONVERT", "TO"]) {
            self.is_converted = true;
            self.charset.refuse_more()?;
            while self.charset.read(p)? {}
            self.charset.refuse_default()
        } else if self.charset.read(p)? {
            match self.is_converted {
                true => Err(NotUnderstood("a character set is said twice")),
                false => Ok(()),
            }
        } else if skip_option(p)? || beside(p)? {
            Ok(())
        } else {
            Err(NotUnderstood("a clause of ALTER TABLE is not known"))
        }
    }

    fn changed(
        &mut self,
        of: Option<String>,
        spec: ColumnSpec,
        is_conditional: bool,
        p: &mut Parser,
    ) -> Result<(), NotUnderstood> {
        let place = Place::read(p)?;
        let key = spec.key_spec();
        if is_conditional && key.is_some() {
            return Err(NotUnderstood(
                "a key is added with a column that may be there",
            ));
        }
        self.keys.extend(key);
        self.columns.push(ColumnChange {
            of,
            spec,
            place,
            is_conditional,
        });
        Ok(())
    }

    fn add(&mut self, p: &mut Parser, environment: &Environment) -> Result<(), NotUnderstood> {
        if is_key_next(p) {
            self.keys.extend(read_key(p)?);
            return Ok(());
        }
        if p.take_all(&["SYSTEM", "VERSIONING"]) {
            self.is_versioned = Some(true);
            return Ok(());
        }
        if p.is_all(&["PERIOD", "FOR"]) {
            self.ends_of_periods.extend(period(p)?);
            return Ok(());
        }
        p.take("COLUMN");
        let is_conditional = p.take_all(&["IF", "NOT", "EXISTS"]);
        if !p.take_sign('(') {
            let spec = ColumnSpec::read(p, environment)?;
            return self.changed(None, spec, is_conditional, p);
        }
        loop {
            if is_key_next(p) {
                self.keys.extend(read_key(p)?);
            } else {
                let spec = ColumnSpec::read(p, environment)?;
                self.changed(None, spec, is_conditional, p)?;
            }
            if !p.take_sign(',') {
                return p.expect_sign(')');
            }
        }
    }

    fn drop(&mut self, p: &mut Parser) -> Result<(), NotUnderstood> {
        let is_conditional = |p: &mut Parser| p.take_all(&["IF", "EXISTS"]);
        if p.take_all(&["SYSTEM", "VERSIONING"]) {
            self.loses_history = true;
            self.is_versioned = Some(false);
        } else if p.take_all(&["PERIOD", "FOR"]) {
            is_conditional(p);
            self.loses_history |= p.is("SYSTEM_TIME");
            p.name()?;
        } else if p.take_all(&["PRIMARY", "KEY"]) {
            let is_conditional = is_conditional(p);
            self.dropped_keys.push((PRIMARY.to_owned(), is_conditional));
        } else if p.take_one(&["INDEX", "KEY"]) {
            let is_conditional = is_conditional(p);
            self.dropped_keys.push((p.name()?, is_conditional));
        } else if p.take_all(&["FOREIGN", "KEY"]) || p.take("CHECK") {
            is_conditional(p);
            p.name()?;
        } else if p.take("CONSTRAINT") {
            is_conditional(p);
            self.dropped_constraints.push(p.name()?);
        } else {
            p.take("COLUMN");
            let is_conditional = is_conditional(p);
            self.dropped_columns
                .push((p.column_name()?, is_conditional));
            p.take_one(&["RESTRICT", "CASCADE"]);
        }
        Ok(())
    }

    /// Behind ALTER: what is changed of a column, an index or a check.
    fn alter(&mut self, p: &mut Parser) -> Result<(), NotUnderstood> {
        let is_other = p.is_one_of(&["INDEX", "CHECK", "CONSTRAINT", "KEY"])
            && !p.is_at(1, "SET")
            && !p.is_at(1, "DROP");
        if is_other {
            p.next();
            p.take_all(&["IF", "EXISTS"]);
            p.name()?;
            return match p.take_one(&["VISIBLE", "INVISIBLE", "ENFORCED", "IGNORED"])
                || p.take_all(&["NOT", "ENFORCED"])
                || p.take_all(&["NOT", "IGNORED"])
            {
                true => Ok(()),
                false => Err(NotUnderstood(
                    "an index or a check is altered in another way",
                )),
            };
        }
        if p.is("COLUMN") && !p.is_at(1, "SET") && !p.is_at(1, "DROP") {
            p.next();
        }
        let is_conditional = p.take_all(&["IF", "EXISTS"]);
        let column = p.column_name()?;
        if p.take_all(&["DROP", "DEFAULT"]) {
            self.defaults
                .push(((column, is_conditional), Default::None));
        } else if p.take_all(&["SET", "DEFAULT"]) {
            let default = Default::read(p)?;
            self.defaults.push(((column, is_conditional), default));
        } else if p.take_all(&["SET", "VISIBLE"]) {
            self.visibilities.push((column, true));
        } else if p.take_all(&["SET", "INVISIBLE"]) {
            self.visibilities.push((column, false));
        } else {
            return Err(NotUnderstood("a column is altered in another way"));
        }
        Ok(())
    }

    fn rename(&mut self, p: &mut Parser, environment: &Environment) -> Result<(), NotUnderstood> {
        if p.take("COLUMN") {
            let is_conditional = p.take_all(&["IF", "EXISTS"]);
            let from = p.column_name()?;
            p.expect("TO")?;
            self.renamed_columns
                .push(((from, is_conditional), p.column_name()?));
        } else if p.take_one(&["INDEX", "KEY"]) {
            let is_conditional = p.take_all(&["IF", "EXISTS"]);
            let from = p.name()?;
            p.expect("TO")?;
            self.renamed_keys.push(((from, is_conditional), p.name()?));
        } else {
            if !p.take_one(&["TO", "AS"]) {
                p.take_sign('=');
            }
            self.renamed_to = Some(qualified(p, environment)?);
        }
        Ok(())
    }

    /// The table after the alteration.
    pub(super) fn apply(
        self,
        table: &DescribedTable,
        of_database: Option<Collation>,
        environment: &Environment,
    ) -> Result<DescribedTable, NotUnderstood> {
        let mut after = table.clone();
        after.is_versioned = self.is_versioned.unwrap_or(table.is_versioned);
        // Its keys lose the column that tells rows of the past apart.
        let has_ends = |table: &DescribedTable| {
            let mut columns = table.columns.iter();
            columns.any(|column| column.expression == ROW_END)
        };
        if self.loses_history && has_ends(table) {
            return Err(NotUnderstood("a table loses its history"));
        }
        if self.is_converted && !self.columns.is_empty() {
            return Err(NotUnderstood("columns are changed and converted at once"));
        }
        let collation = self.charset.resolve(of_database, environment)?;
        if self.charset.is_said() || self.is_converted {
            after.collation = collation.map(|collation| collation.number);
        }
        for (name, is_conditional) in &self.dropped_keys {
            if !is_conditional || after.key(name).is_some() {
                after.drop_key(name)?;
            }
        }
        for name in &self.dropped_constraints {
            // Else it is a foreign key or a check; a key of the same name stays.
            if after.key(name).is_some_and(|key| key.is_unique) {
                after.drop_key(name)?;
            }
        }
        for ((from, is_conditional), to) in self.renamed_keys {
            if !is_conditional || after.key(&from).is_some() {
                after.rename_key(&from, to)?;
            }
        }
        for column in &mut after.columns {
            if self.is_converted {
                convert(column, collation)?;
            }
        }
        change_defaults(&mut after, &self.defaults, &self.visibilities, environment)?;
        let changes = Changes {
            columns: self.columns,
            dropped: self.dropped_columns,
            renamed: self.renamed_columns,
        };
        changes.apply(&mut after, environment)?;
        for name in &self.ends_of_periods {
            after.refuse_null(name)?;
        }
        after.add_keys(self.keys)?;
        after.settle_defaults(environment);
        Ok(after)
    }
}

/// Changes of columns, which are put in place together.
struct Changes {
    columns: Vec<ColumnChange>,
    dropped: Vec<Named>,
    renamed: Vec<(Named, String)>,
}

impl Changes {
    fn apply(
        self,
        table: &mut DescribedTable,
        environment: &Environment,
    ) -> Result<(), NotUnderstood> {
        // Columns that are put elsewhere are taken out; the others stay where they are.
        let kept = table.columns.iter().cloned().map(Some).collect();
        let mut columns = Columns {
            kept,
            placed: Vec::new(),
            renamed: Vec::new(),
        };
        for (name, is_conditional) in &self.dropped {
            columns.drop(table, name, *is_conditional)?;
        }
        for ((from, is_conditional), to) in self.renamed {
            if !is_conditional || table.column_index(&from).is_some() {
                columns.rename(table, &from, to)?;
            }
        }
        let of_table = table.collation.and_then(Collation::of_number);
        for change in self.columns {
            let column = change.spec.described(of_table, environment)?;
            columns.change(
                table,
                change.of,
                column,
                change.place,
                change.is_conditional,
            )?;
        }
        for (name, _) in &self.dropped {
            table.drop_from_keys(name);
        }
        table.rename_in_keys(&columns.renamed);
        table.columns = columns.in_order()?;
        Ok(())
    }
}

/// The columns of a table that is being changed.
struct Columns {
    /// As they stood before; none for those that are dropped or put elsewhere.
    kept: Vec<Option<DescribedColumn>>,
    placed: Vec<(DescribedColumn, Place)>,
    renamed: Vec<(String, String)>,
}

const NO_SUCH_COLUMN: NotUnderstood =
    NotUnderstood("a column that the table does not have is changed");

impl Columns {
    fn drop(
        &mut self,
        table: &DescribedTable,
        name: &str,
        is_conditional: bool,
    ) -> Result<(), NotUnderstood> {
        let index = table.column_index(name);
        if index.is_none() && is_conditional {
            return Ok(());
        }
        let slot = index.and_then(|index| self.kept.get_mut(index));
        slot.and_then(Option::take).map(drop).ok_or(NO_SUCH_COLUMN)
    }

    fn rename(
        &mut self,
        table: &DescribedTable,
        from: &str,
        to: String,
    ) -> Result<(), NotUnderstood> {
        let index = table.column_index(from).ok_or(NO_SUCH_COLUMN)?;
        let slot = self.kept.get_mut(index).and_then(Option::as_mut);
        let column = slot.ok_or(NO_SUCH_COLUMN)?;
        self.renamed.push((column.name.clone(), to.clone()));
        column.name = to;
        Ok(())
    }

    /// Puts a new column, or one in the place of another.
    fn change(
        &mut self,
        table: &DescribedTable,
        of: Option<String>,
        mut column: DescribedColumn,
        place: Place,
        is_conditional: bool,
    ) -> Result<(), NotUnderstood> {
        // A primary key that the server made stays in front.
        let is_made = |column: &DescribedColumn| column.name == "my_row_id";
        if place == Place::First && table.columns.first().is_some_and(is_made) {
            return Err(NotUnderstood(
                "what is in front of a column that the server made",
            ));
        }
        let Some(of) = of else {
            return match table.column_index(&column.name).is_some() {
                false => {
                    self.placed.push((column, place));
                    Ok(())
                }
                true if is_conditional => Ok(()),
                // Keys of the one that is dropped or renamed are then the new one's.
                true => Err(NotUnderstood("a column of the same name is added")),
            };
        };
        let index = table.column_index(&of);
        if is_conditional && index.is_none() {
            return Ok(());
        }
        let slot = index.and_then(|index| self.kept.get_mut(index));
        let slot = slot.ok_or(NO_SUCH_COLUMN)?;
        let before = slot.take().ok_or(NO_SUCH_COLUMN)?;
        // What is in the primary key stays NOT NULL.
        let is_it = |part: &KeyPart| part.column.as_deref() == Some(&before.name);
        let mut parts = table.keys.iter().flat_map(|key| &key.parts);
        if parts.any(|part| is_it(part) && part.prefix.is_some()) {
            return Err(NotUnderstood("a column that begins a key is changed"));
        }
        let primary = table.key(PRIMARY);
        column.nullable &= !primary.is_some_and(|key| key.parts.iter().any(is_it));
        if before.name != column.name {
            self.renamed.push((before.name, column.name.clone()));
        }
        match place {
            Place::AsItIs => *slot = Some(column),
            place @ (Place::First | Place::After(_)) => self.placed.push((column, place)),
        }
        Ok(())
    }

    fn in_order(self) -> Result<Vec<DescribedColumn>, NotUnderstood> {
        let mut columns: Vec<DescribedColumn> = self.kept.into_iter().flatten().collect();
        for (column, place) in self.placed {
            let index = match place {
                Place::AsItIs => columns.len(),
                Place::First => 0,
                Place::After(name) => {
                    let is_it = |column: &DescribedColumn| column.name.eq_ignore_ascii_case(&name);
                    columns.iter().position(is_it).ok_or(NO_SUCH_COLUMN)? + 1
                }
            };
            columns.insert(index, column);
        }
        Ok(columns)
    }
}

/// A column of text gets another character set, as `CONVERT TO` does.
fn convert(column: &mut DescribedColumn, to: Option<Collation>) -> Result<(), NotUnderstood> {
    let Some(from) = column.collation.filter(|from| *from != BINARY) else {
        return Ok(());
    };
    let unknown = NotUnderstood("what a column is converted to is not known");
    let (from, to) = (
        Collation::of_number(from).ok_or(unknown)?,
        to.ok_or(unknown)?,
    );
    if to.number == BINARY {
        return Err(unknown);
    }
    column.sql_type = converted(&column.sql_type, from, to).ok_or(unknown)?;
    column.collation = Some(to.number);
    Ok(())
}

fn change_defaults(
    table: &mut DescribedTable,
    defaults: &[(Named, Default)],
    visibilities: &[(String, bool)],
    environment: &Environment,
) -> Result<(), NotUnderstood> {
    let unknown = NotUnderstood("a column that the table does not have is altered");
    for ((name, is_conditional), default) in defaults {
        if *is_conditional && table.column_index(name).is_none() {
            continue;
        }
        let index = table.column_index(name).ok_or(unknown)?;
        let column = table.columns.get_mut(index).ok_or(unknown)?;
        let mut extra = Extra::of(column);
        let is_implicit = column.sql_type.starts_with("timestamp")
            && environment.explicit_timestamps != Some(true);
        let shown = match is_implicit {
            true => Shown::Unproven,
            false => default.certainly_shown(column, environment),
        };
        extra.is_expression = matches!(shown, Shown::Now(_));
        // MariaDB takes both away from a column that had the time as its default and on update.
        let had_now = column.default.as_deref();
        let had_now = had_now.is_some_and(|default| default.starts_with("current_timestamp"));
        if environment.dialect.is_mariadb && had_now {
            extra.on_update = None;
        }
        column.is_unproven = shown == Shown::Unproven;
        column.default = match shown {
            Shown::Nothing | Shown::Unproven => None,
            Shown::Literal(text) | Shown::Now(text) => Some(text),
        };
        column.extra = extra.shown(environment);
    }
    for (name, is_visible) in visibilities {
        let index = table.column_index(name).ok_or(unknown)?;
        let column = table.columns.get_mut(index).ok_or(unknown)?;
        let mut extra = Extra::of(column);
        extra.is_invisible = !is_visible;
        column.extra = extra.shown(environment);
    }
    Ok(())
}

/// Passes a clause that changes nothing of a definition; false if there is none.
fn beside(p: &mut Parser) -> Result<bool, NotUnderstood> {
    if p.take_one(&["ALGORITHM", "LOCK"]) {
        p.take_sign('=');
        p.name()?;
    } else if p.take_all(&["ORDER", "BY"]) {
        while !is_end_of_clause(p) || p.is_sign(',') {
            p.next();
        }
    } else if !(p.take_all(&["ENABLE", "KEYS"])
        || p.take_all(&["DISABLE", "KEYS"])
        || p.take("FORCE")
        || p.take_all(&["DISCARD", "TABLESPACE"])
        || p.take_all(&["IMPORT", "TABLESPACE"])
        || p.take_all(&["WITH", "VALIDATION"])
        || p.take_all(&["WITHOUT", "VALIDATION"])
        || p.take_one(&["SECONDARY_LOAD", "SECONDARY_UNLOAD", "NOWAIT"]))
    {
        if !p.take("WAIT") {
            return Ok(false);
        }
        p.skip_value()?;
    }
    Ok(true)
}

/// Passes what is said of partitions, up to the end; false if nothing is.
fn partitioning(p: &mut Parser) -> Result<bool, NotUnderstood> {
    const VERBS: [&str; 13] = [
        "ADD",
        "DROP",
        "DISCARD",
        "IMPORT",
        "TRUNCATE",
        "COALESCE",
        "REORGANIZE",
        "EXCHANGE",
        "ANALYZE",
        "CHECK",
        "OPTIMIZE",
        "REBUILD",
        "REPAIR",
    ];
    let is_of_partitions = p.is_all(&["PARTITION", "BY"])
        || p.is_all(&["REMOVE", "PARTITIONING"])
        || p.is_all(&["UPGRADE", "PARTITIONING"])
        || (p.is_one_of(&VERBS) && p.is_at(1, "PARTITION"));
    if !is_of_partitions {
        return Ok(false);
    }
    while !p.is_done() {
        match p.peek() {
            Some(Word::Sign('(')) => p.skip_parentheses()?,
            Some(_) | None => drop(p.next()),
        }
    }
    Ok(true)
}
