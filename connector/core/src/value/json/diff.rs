//! Changes of a document that are logged instead of the document (`binlog_row_value_options=PARTIAL_JSON`).
//!
//! A list of changes, each an operation, a path and a value, which are applied one after another to the document of the
//! before image (MySQL source, `sql-common/json_diff.h`; the paths are those of the manual, "JSON Path Syntax", of which
//! only members and cells occur).

use std::borrow::Cow;

use super::super::ValueError;
use super::{Printer, Width, bytes_max, container_kind, key, kind};
use crate::input::Input;

/// What a change does.
mod operation {
    pub(super) const REPLACE: u8 = 0;
    pub(super) const INSERT: u8 = 1;
    pub(super) const REMOVE: u8 = 2;
}

/// A document in memory, of which only what paths go through is not packed.
#[allow(
    clippy::box_collection,
    reason = "there is a node for each entry: 24 bytes rather than 32"
)]
enum Node<'a> {
    Packed(u8, &'a [u8]),
    Array(Box<Vec<Node<'a>>>),
    Object(Box<Vec<Member<'a>>>),
}

/// In an object by length of the key, then by its bytes, as the server orders them.
type Member<'a> = (Cow<'a, [u8]>, Node<'a>);

/// A step of a path.
enum Leg<'a> {
    Member(Cow<'a, [u8]>),
    Cell(usize),
    /// So many cells before the last one.
    CellFromEnd(usize),
}

/// Entries of arrays and objects that the changes of a document may move: what a server logs does not come near it.
const MOVES_MAX: usize = 1 << 30;

/// What the changes of a document may cost.
struct Budget {
    moves: usize,
    /// More entries than bytes come only from containers that share one.
    entries: usize,
}

impl Budget {
    fn take_moves(&mut self, count: usize) -> Result<(), ValueError> {
        self.moves = self.moves.checked_sub(count).ok_or(ValueError::Json)?;
        Ok(())
    }

    fn take_entries(&mut self, count: usize) -> Result<(), ValueError> {
        self.entries = self.entries.checked_sub(count).ok_or(ValueError::Json)?;
        Ok(())
    }
}

/// Appends the text of a document after its changes.
pub(super) fn write_changed(
    document: &[u8],
    changes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let mut root = Node::of(document);
    let mut budget = Budget {
        moves: MOVES_MAX,
        entries: document.len() + changes.len(),
    };
    let mut input = Input::new(changes);
    while !input.is_empty() {
        let damaged = |_| ValueError::Json;
        let operation = input.u8().map_err(damaged)?;
        let path = input.length_encoded_bytes().map_err(damaged)?;
        let path = legs(path)?;
        let value = match operation {
            operation::REMOVE => None,
            _ => Some(Node::of(input.length_encoded_bytes().map_err(damaged)?)),
        };
        root.change(operation, &path, value, &mut budget)?;
    }
    let end_max = bytes_max(out.len(), document.len() + changes.len());
    print(&root, &mut Printer { out, end_max }, super::DEPTH_MAX)
}

impl<'a> Node<'a> {
    fn of(document: &'a [u8]) -> Self {
        match document.split_first() {
            Some((kind, bytes)) => Self::Packed(*kind, bytes),
            // What the server stores where a statement ignores that there is no value: null.
            None => Self::Packed(kind::LITERAL, &[0]),
        }
    }

    /// Makes nodes of the entries of a packed container. Scalars stay as they are.
    fn unpack(&mut self, budget: &mut Budget) -> Result<(), ValueError> {
        let Self::Packed(kind, bytes) = *self else {
            return Ok(());
        };
        let Some((is_object, is_large)) = container_kind(kind) else {
            return Ok(());
        };
        let width = Width(if is_large { 4 } else { 2 });
        let mut parts = super::parts(bytes, is_object, width)?;
        budget.take_entries(parts.count)?;
        *self = if is_object {
            let mut members = Vec::with_capacity(parts.count);
            for _ in 0..parts.count {
                let name = Cow::Borrowed(key(parts.bytes, width, &mut parts.keys)?);
                let (kind, value) = super::entry(&mut parts, width, is_large)?;
                members.push((name, Self::Packed(kind, value)));
            }
            Self::Object(Box::new(members))
        } else {
            let mut items = Vec::with_capacity(parts.count);
            for _ in 0..parts.count {
                let (kind, value) = super::entry(&mut parts, width, is_large)?;
                items.push(Self::Packed(kind, value));
            }
            Self::Array(Box::new(items))
        };
        Ok(())
    }

    fn change(
        &mut self,
        operation: u8,
        path: &[Leg<'a>],
        value: Option<Node<'a>>,
        budget: &mut Budget,
    ) -> Result<(), ValueError> {
        let Some((last, parents)) = path.split_last() else {
            // The whole document.
            *self = value
                .filter(|_| operation == operation::REPLACE)
                .ok_or(ValueError::Json)?;
            return Ok(());
        };
        let mut place = self;
        for leg in parents {
            place = place.child(leg, budget)?;
        }
        match (operation, value) {
            (operation::REPLACE, Some(value)) => {
                *place.child(last, budget)? = value;
                Ok(())
            }
            (operation::INSERT, Some(value)) => place.insert(last, value, budget),
            (operation::REMOVE, None) => place.remove(last, budget),
            _ => Err(ValueError::Json),
        }
    }

    fn child(&mut self, leg: &Leg<'_>, budget: &mut Budget) -> Result<&mut Node<'a>, ValueError> {
        self.unpack(budget)?;
        match self {
            Self::Array(items) => {
                let index = leg.cell(items.len()).ok_or(ValueError::Json)?;
                items.get_mut(index)
            }
            Self::Object(members) => {
                let index = leg.member(members)?.map_err(|_| ValueError::Json)?;
                members.get_mut(index).map(|(_, value)| value)
            }
            Self::Packed(..) => None,
        }
        .ok_or(ValueError::Json)
    }

    fn insert(
        &mut self,
        leg: &Leg<'a>,
        value: Node<'a>,
        budget: &mut Budget,
    ) -> Result<(), ValueError> {
        self.unpack(budget)?;
        match (self, leg) {
            // Behind the last one the server appends; before the first one it begins.
            (Self::Array(items), Leg::Cell(_) | Leg::CellFromEnd(_)) => {
                let index = leg.cell(items.len()).unwrap_or(0).min(items.len());
                budget.take_moves(items.len() - index)?;
                items.insert(index, value);
                Ok(())
            }
            (Self::Object(members), Leg::Member(name)) => {
                let index = find(members, name).err().ok_or(ValueError::Json)?;
                budget.take_moves(members.len() - index)?;
                members.insert(index, (name.clone(), value));
                Ok(())
            }
            _ => Err(ValueError::Json),
        }
    }

    fn remove(&mut self, leg: &Leg<'_>, budget: &mut Budget) -> Result<(), ValueError> {
        self.unpack(budget)?;
        match self {
            Self::Array(items) => {
                let index = leg.cell(items.len()).filter(|index| *index < items.len());
                let index = index.ok_or(ValueError::Json)?;
                budget.take_moves(items.len() - index)?;
                items.remove(index);
                Ok(())
            }
            Self::Object(members) => {
                let index = leg.member(members)?.map_err(|_| ValueError::Json)?;
                budget.take_moves(members.len() - index)?;
                members.remove(index);
                Ok(())
            }
            Self::Packed(..) => Err(ValueError::Json),
        }
    }
}

impl Leg<'_> {
    /// The cell in an array of so many; behind its end too, but not before its beginning.
    fn cell(&self, count: usize) -> Option<usize> {
        match self {
            Self::Cell(index) => Some(*index),
            Self::CellFromEnd(before) => count.checked_sub(1)?.checked_sub(*before),
            Self::Member(_) => None,
        }
    }

    /// Where the member is, or where it would be.
    fn member(&self, members: &[Member<'_>]) -> Result<Result<usize, usize>, ValueError> {
        match self {
            Self::Member(name) => Ok(find(members, name)),
            Self::Cell(_) | Self::CellFromEnd(_) => Err(ValueError::Json),
        }
    }
}

/// Where a member is, or where it would be.
fn find(members: &[Member<'_>], name: &[u8]) -> Result<usize, usize> {
    members.binary_search_by(|(key, _)| {
        let by_length = key.len().cmp(&name.len());
        by_length.then_with(|| key.as_ref().cmp(name))
    })
}

fn print(node: &Node<'_>, printer: &mut Printer<'_>, depth: usize) -> Result<(), ValueError> {
    let inside = depth.checked_sub(1).ok_or(ValueError::Json);
    match node {
        Node::Packed(kind, bytes) => return printer.value(*kind, bytes, depth),
        Node::Array(items) => {
            printer.out.push(b'[');
            for (number, item) in items.iter().enumerate() {
                printer.separate(number);
                printer.check()?;
                print(item, printer, inside?)?;
            }
            printer.out.push(b']');
        }
        Node::Object(members) => {
            printer.out.push(b'{');
            for (number, (name, value)) in members.iter().enumerate() {
                printer.separate(number);
                printer.name(name)?;
                printer.check()?;
                print(value, printer, inside?)?;
            }
            printer.out.push(b'}');
        }
    }
    Ok(())
}

/// Reads a path: `$`, then `.name`, `."quoted name"`, `[number]`, `[last]` or `[last-number]`.
fn legs(path: &[u8]) -> Result<Vec<Leg<'_>>, ValueError> {
    let text = std::str::from_utf8(path).map_err(|_| ValueError::Json)?;
    let mut rest = text.strip_prefix('$').ok_or(ValueError::Json)?;
    let mut legs = Vec::new();
    while !rest.is_empty() {
        let (leg, after) = if let Some(cell) = rest.strip_prefix('[') {
            let (number, after) = cell.split_once(']').ok_or(ValueError::Json)?;
            (cell_of(number)?, after)
        } else {
            let name = rest.strip_prefix('.').ok_or(ValueError::Json)?;
            let (name, after) = member(name)?;
            (Leg::Member(name), after)
        };
        // A path through more than may be in one another leads nowhere.
        if legs.len() == super::DEPTH_MAX {
            return Err(ValueError::Json);
        }
        legs.push(leg);
        rest = after;
    }
    Ok(legs)
}

/// The leg in brackets.
fn cell_of(text: &str) -> Result<Leg<'_>, ValueError> {
    let number = |text: &str| text.trim().parse().map_err(|_| ValueError::Json);
    let Some(before) = text.trim().strip_prefix("last") else {
        return Ok(Leg::Cell(number(text)?));
    };
    match before.trim_start().strip_prefix('-') {
        Some(before) => Ok(Leg::CellFromEnd(number(before)?)),
        None if before.is_empty() => Ok(Leg::CellFromEnd(0)),
        None => Err(ValueError::Json),
    }
}

/// The name of a member, and what follows it.
fn member(text: &str) -> Result<(Cow<'_, [u8]>, &str), ValueError> {
    if !text.starts_with('"') {
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (name, after) = text.split_at(end);
        return Ok((Cow::Borrowed(name.as_bytes()), after));
    }
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, character)| {
        let is_end = *character == '"' && !is_escaped;
        is_escaped = *character == '\\' && !is_escaped;
        is_end
    });
    let (end, _) = end.ok_or(ValueError::Json)?;
    let (quoted, after) = text.split_at(end + 1);
    let name: String = serde_json::from_str(quoted).map_err(|_| ValueError::Json)?;
    Ok((Cow::Owned(name.into_bytes()), after))
}
