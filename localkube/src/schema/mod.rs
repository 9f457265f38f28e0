//! The schemas of the built-in kinds: field types, list types and keys, patch merge keys; and strict decoding by them.
//!
//! A request body (JSON, YAML or protobuf) becomes an object in [`decode`], which does what Go's decoder and encoder do
//! between them: it checks types, reports unknown and duplicate fields, drops nulls and writes values in their canonical
//! form. An applied configuration is different: its nulls and empty maps say something, so it is read by
//! [`configuration`] and goes to [`crate::fields::apply`] as it is; the merged object then passes through [`canonical`].

mod body;
mod convert;
mod custom;
mod decode;
mod protobuf;
mod quantity;
mod table;
#[cfg(test)]
pub(crate) mod tests;

pub use convert::canonical;
pub use decode::{Decoded, FieldValidation, Format, configuration, decode, decode_as};
pub use protobuf::action;
pub use table::{Patch, Schema, of, of_kind};

pub(crate) use body::{ParseError, Parsed, parse_json, parse_yaml};
pub(crate) use convert::{Wording, convert, json_kind, zero};
pub(crate) use custom::of_definition;
pub(crate) use table::{Node, Origin, Scalar, Shape, Type};
