//! Changes of a document that are logged instead of the document (`binlog_row_value_options=PARTIAL_JSON`).
//!
//! A list of changes, each an operation, a path and a value, which are applied one after another to the document of the
//! before image (MySQL source, `sql-common/json_diff.h`; the paths are those of the manual, "JSON Path Syntax", of which
//! only members and cells occur).

use super::super::ValueError;
use super::{Printer, Width, bytes_max, container_kind, key, kind};
use crate::input::Input;

/// What a change does.
mod operation {
    pub(super) const REPLACE: u8 = 0;
    pub(super) const INSERT: u8 = 1;
    pub(super) const REMOVE: u8 = 2;
}

/// A document in memory, whose scalars stay packed.
enum Node<'a> {
    Scalar(u8, &'a [u8]),
    Array(Vec<Node<'a>>),
    /// By length of the key, then by its bytes, as the server orders them.
    Object(Vec<(Vec<u8>, Node<'a>)>),
}

/// A step of a path.
enum Leg {
    Member(Vec<u8>),
    Cell(usize),
}

/// Appends the text of a document after its changes.
pub(super) fn write_changed(
    document: &[u8],
    changes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let mut root = read(document)?;
    let mut input = Input::new(changes);
    while !input.is_empty() {
        let damaged = |_| ValueError::Json;
        let operation = input.u8().map_err(damaged)?;
        let path = input.length_encoded_bytes().map_err(damaged)?;
        let path = legs(path)?;
        let value = match operation {
            operation::REMOVE => None,
            _ => Some(read(input.length_encoded_bytes().map_err(damaged)?)?),
        };
        root.change(operation, &path, value)?;
    }
    let end_max = bytes_max(out.len(), document.len() + changes.len());
    print(&root, &mut Printer { out, end_max })
}

/// Reads a document. More nodes than bytes come only from entries that share a value.
fn read(document: &[u8]) -> Result<Node<'_>, ValueError> {
    let Some((kind, bytes)) = document.split_first() else {
        return Ok(Node::Scalar(kind::LITERAL, &[0]));
    };
    let mut nodes_left = document.len();
    node(*kind, bytes, super::DEPTH_MAX, &mut nodes_left)
}

fn node<'a>(
    kind: u8,
    bytes: &'a [u8],
    depth: usize,
    nodes_left: &mut usize,
) -> Result<Node<'a>, ValueError> {
    *nodes_left = nodes_left.checked_sub(1).ok_or(ValueError::Json)?;
    let Some((is_object, is_large)) = container_kind(kind) else {
        return Ok(Node::Scalar(kind, bytes));
    };
    let depth = depth.checked_sub(1).ok_or(ValueError::Json)?;
    let width = Width(if is_large { 4 } else { 2 });
    let mut parts = super::parts(bytes, is_object, width)?;
    let (mut array, mut object) = (Vec::new(), Vec::new());
    for _ in 0..parts.count {
        let name = match is_object {
            true => Some(key(parts.bytes, width, &mut parts.keys)?.to_vec()),
            false => None,
        };
        let (kind, value) = super::entry(&mut parts, width, is_large)?;
        let value = node(kind, value, depth, nodes_left)?;
        match name {
            Some(name) => object.push((name, value)),
            None => array.push(value),
        }
    }
    Ok(match is_object {
        true => Node::Object(object),
        false => Node::Array(array),
    })
}

impl<'a> Node<'a> {
    fn change(
        &mut self,
        operation: u8,
        path: &[Leg],
        value: Option<Node<'a>>,
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
            place = place.child(leg).ok_or(ValueError::Json)?;
        }
        match (operation, value) {
            (operation::REPLACE, Some(value)) => {
                *place.child(last).ok_or(ValueError::Json)? = value;
                Ok(())
            }
            (operation::INSERT, Some(value)) => place.insert(last, value),
            (operation::REMOVE, None) => place.remove(last),
            _ => Err(ValueError::Json),
        }
    }

    fn child(&mut self, leg: &Leg) -> Option<&mut Node<'a>> {
        match (self, leg) {
            (Self::Array(items), Leg::Cell(index)) => items.get_mut(*index),
            (Self::Object(members), Leg::Member(name)) => {
                let index = find(members, name).ok()?;
                members.get_mut(index).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    fn insert(&mut self, leg: &Leg, value: Node<'a>) -> Result<(), ValueError> {
        match (self, leg) {
            // Behind the last one the server appends.
            (Self::Array(items), Leg::Cell(index)) => {
                items.insert((*index).min(items.len()), value);
                Ok(())
            }
            (Self::Object(members), Leg::Member(name)) => {
                let index = find(members, name).err().ok_or(ValueError::Json)?;
                members.insert(index, (name.clone(), value));
                Ok(())
            }
            _ => Err(ValueError::Json),
        }
    }

    fn remove(&mut self, leg: &Leg) -> Result<(), ValueError> {
        match (self, leg) {
            (Self::Array(items), Leg::Cell(index)) if *index < items.len() => {
                items.remove(*index);
                Ok(())
            }
            (Self::Object(members), Leg::Member(name)) => {
                let index = find(members, name).map_err(|_| ValueError::Json)?;
                members.remove(index);
                Ok(())
            }
            _ => Err(ValueError::Json),
        }
    }
}

/// Where a member is, or where it would be.
fn find(members: &[(Vec<u8>, Node<'_>)], name: &[u8]) -> Result<usize, usize> {
    members.binary_search_by(|(key, _)| {
        let by_length = key.len().cmp(&name.len());
        by_length.then_with(|| key.as_slice().cmp(name))
    })
}

fn print(node: &Node<'_>, printer: &mut Printer<'_>) -> Result<(), ValueError> {
    match node {
        Node::Scalar(kind, bytes) => return printer.value(*kind, bytes, 0),
        Node::Array(items) => {
            printer.out.push(b'[');
            for (number, item) in items.iter().enumerate() {
                printer.separate(number);
                print(item, printer)?;
            }
            printer.out.push(b']');
        }
        Node::Object(members) => {
            printer.out.push(b'{');
            for (number, (name, value)) in members.iter().enumerate() {
                printer.separate(number);
                printer.name(name)?;
                print(value, printer)?;
            }
            printer.out.push(b'}');
        }
    }
    Ok(())
}

/// Reads a path: `$`, then `.name`, `."quoted name"` or `[number]`.
fn legs(path: &[u8]) -> Result<Vec<Leg>, ValueError> {
    let text = std::str::from_utf8(path).map_err(|_| ValueError::Json)?;
    let mut rest = text.strip_prefix('$').ok_or(ValueError::Json)?;
    let mut legs = Vec::new();
    while !rest.is_empty() {
        let (leg, after) = if let Some(cell) = rest.strip_prefix('[') {
            let (number, after) = cell.split_once(']').ok_or(ValueError::Json)?;
            let number = number.trim().parse().map_err(|_| ValueError::Json)?;
            (Leg::Cell(number), after)
        } else {
            let name = rest.strip_prefix('.').ok_or(ValueError::Json)?;
            let (name, after) = member(name)?;
            (Leg::Member(name.into_bytes()), after)
        };
        legs.push(leg);
        rest = after;
    }
    Ok(legs)
}

/// The name of a member, and what follows it.
fn member(text: &str) -> Result<(String, &str), ValueError> {
    if !text.starts_with('"') {
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (name, after) = text.split_at(end);
        return Ok((name.to_owned(), after));
    }
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, character)| {
        let is_end = *character == '"' && !is_escaped;
        is_escaped = *character == '\\' && !is_escaped;
        is_end
    });
    let (end, _) = end.ok_or(ValueError::Json)?;
    let (quoted, after) = text.split_at(end + 1);
    let name = serde_json::from_str(quoted).map_err(|_| ValueError::Json)?;
    Ok((name, after))
}
