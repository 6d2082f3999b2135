//! GEOMETRY and its kin: a length, the SRID (four bytes, little-endian), then the value as WKB.
//!
//! Source: MySQL manual, "Supported Spatial Data Formats", "Internal Geometry Storage Format".

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ValueError;
use crate::avro::binary::{write_bytes, write_long};
use crate::decode::ColumnMetadata;
use crate::input::Input;

/// The Avro name of the record of all geometries.
pub(crate) const GEOMETRY_RECORD: &str = "binlog_bridge.Geometry";

/// A spatial type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geometry {
    /// What its values are.
    pub shape: Shape,
}

/// What the values of a spatial type are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Any (GEOMETRY).
    Any,
    /// POINT.
    Point,
    /// LINESTRING.
    LineString,
    /// POLYGON.
    Polygon,
    /// MULTIPOINT.
    MultiPoint,
    /// MULTILINESTRING.
    MultiLineString,
    /// MULTIPOLYGON.
    MultiPolygon,
    /// GEOMETRYCOLLECTION.
    GeometryCollection,
}

impl Geometry {
    /// The table map numbers the types as WKB does. Without a number any may be in the column.
    pub(super) fn from_metadata(column: &ColumnMetadata) -> Self {
        let shape = match column.geometry_type {
            Some(1) => Shape::Point,
            Some(2) => Shape::LineString,
            Some(3) => Shape::Polygon,
            Some(4) => Shape::MultiPoint,
            Some(5) => Shape::MultiLineString,
            Some(6) => Shape::MultiPolygon,
            Some(7) => Shape::GeometryCollection,
            Some(_) | None => Shape::Any,
        };
        Self { shape }
    }

    pub(super) fn sql(self) -> &'static str {
        match self.shape {
            Shape::Any => "geometry",
            Shape::Point => "point",
            Shape::LineString => "linestring",
            Shape::Polygon => "polygon",
            Shape::MultiPoint => "multipoint",
            Shape::MultiLineString => "multilinestring",
            Shape::MultiPolygon => "multipolygon",
            Shape::GeometryCollection => "geometrycollection",
        }
    }

    pub(super) fn avro() -> Value {
        json!({
            "type": "record", "name": GEOMETRY_RECORD, "fields": [
                {"name": "srid", "type": "long"},
                {"name": "wkb", "type": "bytes"},
            ],
        })
    }

    pub(super) fn implicit_default() -> Value {
        json!({"srid": 0, "wkb": ""})
    }

    #[inline]
    pub(super) fn copy(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let length = usize::try_from(input.u32()?).map_err(|_| ValueError::Truncated)?;
        let mut value = Input::new(input.take(length)?);
        let srid = value.u32().map_err(|_| ValueError::Geometry)?;
        write_long(out, i64::from(srid));
        write_bytes(out, value.rest());
        Ok(())
    }
}
