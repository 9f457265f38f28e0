//! The table of built-in kinds, `localkube/schema/builtin.txt`, which `generate.py` beside it writes and explains.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use serde_json::Value;

use crate::resource::Resource;

/// The shape of one kind's objects.
#[derive(Debug, Clone)]
pub struct Schema {
    pub(super) structs: Arc<[Struct]>,
    pub(super) root: Type,
    pub(super) origin: Origin,
}

/// Whose schema it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A type of the server, whose objects have gone through a Go struct.
    BuiltIn,
    /// A definition's, whose objects are JSON and stay what they are.
    Custom {
        /// The status has a subresource of its own.
        status: bool,
    },
}

/// How a strategic merge patch treats a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// Lists are merged, those of objects by [`Patch::key`].
    pub merge: bool,
    /// The patch value replaces a map, where maps are merged otherwise.
    pub replace: bool,
    /// The merge key of a list of objects.
    pub key: Option<&'static str>,
}

#[derive(Debug, Clone)]
pub(crate) struct Struct {
    /// Package and name, for example `core.v1.ServicePort`.
    pub(crate) name: &'static str,
    /// Server-side apply sees one field in the whole.
    pub(crate) atomic: bool,
    /// There may be fields besides, of which nothing is known.
    pub(crate) open: bool,
    /// Sorted by name.
    pub(crate) fields: Vec<Field>,
}

#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: Cow<'static, str>,
    pub(crate) of: Type,
    pub(crate) required: bool,
    /// The Go type is a struct and not a pointer to one, so that it is written even when empty.
    pub(crate) value: bool,
    /// An empty string, zero or false is left out.
    pub(crate) omitted: bool,
    pub(crate) topology: Topology,
    pub(crate) patch: Patch,
    /// What a list's key is when it is left out.
    pub(crate) default: Option<Value>,
    /// Its number in protobuf, after those of the embedded structs around it; empty where it has none.
    pub(crate) number: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Topology {
    /// Lists are atomic, maps are granular.
    #[default]
    Default,
    Atomic,
    Set,
    Keyed(Vec<Cow<'static, str>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    String,
    Int32,
    Int64,
    Double,
    Bool,
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    Duration,
    Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    Scalar(Scalar),
    /// An object whose content has no schema: each of its fields is one to server-side apply.
    Object,
    /// Any JSON: one field to server-side apply.
    Any,
    /// Nothing is known: types are read off the values, maps are granular and lists atomic.
    Deduced,
    List(Box<Type>),
    Map(Box<Type>),
    Struct(usize),
}

/// A place in a schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'a> {
    schema: &'a Schema,
    pub(crate) of: &'a Type,
    pub(crate) field: Option<&'a Field>,
}

/// What server-side apply sees at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape<'a> {
    Scalar(Scalar),
    /// Any value, as one field.
    Untyped,
    /// Known from the value only.
    Deduced,
    AtomicMap,
    AtomicList,
    Map,
    Set,
    Keyed(&'a [Cow<'static, str>]),
}

pub(super) struct Table {
    /// By apiVersion, then by kind.
    pub(super) kinds: HashMap<&'static str, HashMap<&'static str, Schema>>,
}

/// Parsed at the first use, not at the start of the process.
static TABLE: LazyLock<Table> = LazyLock::new(|| parse(include_str!("../../schema/builtin.txt")));
static DEDUCED: LazyLock<Schema> =
    LazyLock::new(|| Schema { structs: Arc::new([]), root: Type::Deduced, origin: Origin::BuiltIn });

/// The schema of a kind.
pub fn of(resource: &Resource) -> Option<&Schema> {
    match &resource.custom {
        Some(custom) => Some(&custom.fields),
        None => of_kind(&resource.api_version(), &resource.kind),
    }
}

/// The schema of a built-in kind by its `apiVersion` and name.
pub fn of_kind(api_version: &str, kind: &str) -> Option<&'static Schema> {
    TABLE.kinds.get(api_version)?.get(kind)
}

/// Whether the server knows a kind at all, in this version.
pub(crate) fn kind_exists(api_version: &str, kind: &str) -> bool {
    of_kind(api_version, kind).is_some()
}

/// Whether the server knows a kind of a group in another version.
pub(crate) fn version_exists(group: &str, kind: &str) -> bool {
    TABLE.kinds.iter().any(|(version, kinds)| split(version).0 == group && kinds.contains_key(kind))
}

/// Group and version of an `apiVersion`.
pub(crate) fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

impl Schema {
    /// The schema of objects about which nothing is known: maps are granular, lists atomic.
    pub fn deduced() -> &'static Self {
        &DEDUCED
    }

    pub(crate) fn root(&self) -> Node<'_> {
        Node { schema: self, of: &self.root, field: None }
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// What a built-in kind has below a name, as a schema of its own.
    pub(super) fn below(&self, name: &str) -> Option<(Arc<[Struct]>, Type)> {
        Some((Arc::clone(&self.structs), self.root().child(name)?.of.clone()))
    }
}

impl<'a> Node<'a> {
    /// The struct at this place.
    pub(crate) fn structure(self) -> Option<&'a Struct> {
        match self.of {
            Type::Struct(index) => Some(&self.schema.structs[*index]),
            _ => None,
        }
    }

    /// The place of a named child; `None` where a struct has no such field.
    pub(crate) fn child(self, name: &str) -> Option<Node<'a>> {
        match self.of {
            Type::Struct(index) => {
                let structure = &self.schema.structs[*index];
                match structure.fields.binary_search_by(|field| field.name.as_ref().cmp(name)) {
                    Ok(found) => Some(self.field(&structure.fields[found])),
                    Err(_) => structure.open.then_some(Node { of: &Type::Deduced, field: None, ..self }),
                }
            }
            Type::Map(of) => Some(Node { of, field: None, ..self }),
            Type::Object => Some(Node { of: &Type::Any, field: None, ..self }),
            _ => Some(Node { field: None, ..self }),
        }
    }

    pub(crate) fn field(self, field: &'a Field) -> Node<'a> {
        Node { schema: self.schema, of: &field.of, field: Some(field) }
    }

    /// The place of a list's items.
    pub(crate) fn item(self) -> Node<'a> {
        match self.of {
            Type::List(of) => Node { of, field: None, ..self },
            _ => Node { field: None, ..self },
        }
    }

    pub(crate) fn shape(self) -> Shape<'a> {
        let topology = self.field.map_or(&Topology::Default, |field| &field.topology);
        match (self.of, topology) {
            (Type::Scalar(scalar), _) => Shape::Scalar(*scalar),
            (Type::Any, _) => Shape::Untyped,
            (Type::Deduced, _) => Shape::Deduced,
            (Type::List(_), Topology::Set) => Shape::Set,
            (Type::List(_), Topology::Keyed(keys)) => Shape::Keyed(keys),
            (Type::List(_), _) => Shape::AtomicList,
            (_, Topology::Atomic) => Shape::AtomicMap,
            (Type::Struct(index), _) if self.schema.structs[*index].atomic => Shape::AtomicMap,
            _ => Shape::Map,
        }
    }
}

/// Reads the table. It is generated and checked by a test, so that a line it can't read is a mistake of ours.
pub(super) fn parse(text: &'static str) -> Table {
    let lines = || text.lines().filter(|line| !line.starts_with('#'));
    let names: HashMap<&str, usize> = lines()
        .filter(|line| !line.starts_with(' '))
        .enumerate()
        .map(|(index, line)| (line.split(' ').next().unwrap_or(line), index))
        .collect();
    let mut structs: Vec<Struct> = Vec::with_capacity(names.len());
    let mut kinds = Vec::new();
    for line in lines() {
        if let Some(kind) = line.strip_prefix(" =") {
            let pair = kind.split_once(' ').expect("a kind has an apiVersion and a name");
            kinds.push((pair, structs.len() - 1));
        } else if let Some(field) = line.strip_prefix("  ") {
            let last = structs.last_mut().expect("a field is below its struct");
            last.fields.push(parse_field(field, &names));
        } else {
            let (name, flag) = line.split_once(' ').unwrap_or((line, ""));
            structs.push(Struct { name, atomic: flag == "!atomic", open: false, fields: Vec::new() });
        }
    }
    let structs: Arc<[Struct]> = structs.into();
    let mut table = Table { kinds: HashMap::new() };
    for ((api_version, kind), index) in kinds {
        let schema = Schema { structs: Arc::clone(&structs), root: Type::Struct(index), origin: Origin::BuiltIn };
        table.kinds.entry(api_version).or_default().insert(kind, schema);
    }
    table
}

fn parse_field(line: &'static str, names: &HashMap<&str, usize>) -> Field {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default();
    let of = parse_type(words.next().unwrap_or("J"), names);
    let mut field = Field {
        name: name.into(),
        of,
        required: false,
        value: false,
        omitted: false,
        topology: Topology::Default,
        patch: Patch::default(),
        default: None,
        number: Vec::new(),
    };
    for flag in words {
        let (mark, rest) = flag.split_at(1);
        match (mark, rest.split_once(':').unwrap_or((rest, ""))) {
            ("*", _) => field.required = true,
            ("&", _) => field.value = true,
            ("?", _) => field.omitted = true,
            ("~", _) => field.default = Some(rest.into()),
            ("#", _) => field.number = rest.split('.').filter_map(|number| number.parse().ok()).collect(),
            ("@", ("atomic", _)) => field.topology = Topology::Atomic,
            ("@", ("set", _)) => field.topology = Topology::Set,
            ("@", ("map", keys)) => field.topology = Topology::Keyed(keys.split(',').map(Cow::Borrowed).collect()),
            ("+", ("merge", key)) => {
                field.patch.merge = true;
                field.patch.key = (!key.is_empty()).then_some(key);
            }
            ("+", ("replace", _)) => field.patch.replace = true,
            // retainKeys is a directive of the patch itself; @granular is the default.
            _ => {}
        }
    }
    field
}

fn parse_type(text: &str, names: &HashMap<&str, usize>) -> Type {
    let scalar = match text {
        "s" => Scalar::String,
        "i" => Scalar::Int32,
        "l" => Scalar::Int64,
        "d" => Scalar::Double,
        "b" => Scalar::Bool,
        "Q" => Scalar::Quantity,
        "I" => Scalar::IntOrString,
        "T" => Scalar::Time,
        "U" => Scalar::MicroTime,
        "D" => Scalar::Duration,
        "B" => Scalar::Bytes,
        "O" => return Type::Object,
        "J" => return Type::Any,
        _ => {
            return match text.split_at(1) {
                ("[", item) => Type::List(Box::new(parse_type(item, names))),
                ("{", value) => Type::Map(Box::new(parse_type(value, names))),
                _ => names.get(text).map_or(Type::Any, |index| Type::Struct(*index)),
            };
        }
    };
    Type::Scalar(scalar)
}
