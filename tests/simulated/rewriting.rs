//! Registries that do not keep the text of a schema, but write it anew: readers decode alike with each form of it.

use serde_json::{Map, Value, json};

/// What becomes of a schema's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewriting {
    /// Keys come in another order.
    Order,
    /// A type is an object where a word would do.
    Types,
    /// Names leave out the namespace that they are in.
    Names,
    /// What holds by default is said.
    Defaults,
    /// How records are sorted is said.
    Sorting,
}

impl Rewriting {
    pub const ALL: [Self; 5] = [
        Self::Order,
        Self::Types,
        Self::Names,
        Self::Defaults,
        Self::Sorting,
    ];

    /// The text that the registry gives back; one that is no JSON stays as it is.
    pub fn text(self, schema: &str) -> String {
        match serde_json::from_str(schema) {
            Ok(value) => self.schema(&value, "").to_string(),
            Err(_) => schema.to_owned(),
        }
    }

    /// A schema in a namespace.
    fn schema(self, schema: &Value, namespace: &str) -> Value {
        match schema {
            Value::String(name) => self.name(name, namespace),
            Value::Array(variants) => variants
                .iter()
                .map(|variant| self.schema(variant, namespace))
                .collect(),
            Value::Object(object) => self.object(object, namespace),
            other => other.clone(),
        }
    }

    fn name(self, name: &str, namespace: &str) -> Value {
        let is_primitive = PRIMITIVES.contains(&name);
        match (self, name.rsplit_once('.')) {
            (Self::Types, _) if is_primitive => json!({ "type": name }),
            (Self::Names, Some((of, short))) if of == namespace => short.into(),
            _ => name.into(),
        }
    }

    fn object(self, object: &Map<String, Value>, namespace: &str) -> Value {
        let own = object.get("namespace").and_then(Value::as_str);
        let inner = own.unwrap_or(namespace);
        let mut entries = Vec::new();
        for (key, value) in object {
            let value = match key.as_str() {
                "fields" => self.fields(value, inner),
                "items" | "values" => self.schema(value, inner),
                // The kind of this very schema, unless that is another schema.
                "type" if !value.is_string() => self.schema(value, inner),
                "namespace" if self == Self::Names && own == Some(namespace) => continue,
                _ => value.clone(),
            };
            entries.push((key.clone(), value));
        }
        self.named(entries)
    }

    fn fields(self, fields: &Value, namespace: &str) -> Value {
        let fields = fields.as_array().into_iter().flatten();
        let field = |field: &Value| {
            let mut entries = Vec::new();
            for (key, value) in field.as_object().into_iter().flatten() {
                let value = match key.as_str() {
                    "type" => self.schema(value, namespace),
                    _ => value.clone(),
                };
                entries.push((key.clone(), value));
            }
            if self == Self::Sorting {
                entries.push(("order".to_owned(), json!("ascending")));
            }
            self.named(entries)
        };
        fields.map(field).collect()
    }

    /// A schema or a field, of these entries.
    fn named(self, mut entries: Vec<(String, Value)>) -> Value {
        if self == Self::Defaults && entries.iter().any(|(key, _)| key == "name") {
            entries.push(("aliases".to_owned(), json!([])));
        }
        if self == Self::Order {
            entries.reverse();
        }
        Value::Object(entries.into_iter().collect())
    }
}

const PRIMITIVES: [&str; 8] = [
    "null", "boolean", "int", "long", "float", "double", "bytes", "string",
];
