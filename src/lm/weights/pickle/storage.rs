//! Storages: the flat arrays of values that tensors in a pickle refer to.

use super::machine::{Id, Node, Pickle};

/// Element type of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dtype {
    F32,
    F16,
    Bf16,
    F64,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

/// A reference to a storage.
pub(super) struct Storage<'a> {
    pub(super) dtype: Dtype,
    pub(super) key: &'a str,
    /// Whether it is a part of another storage, as in very old files.
    pub(super) is_view: bool,
}

impl Dtype {
    pub(super) fn of_storage(class: &str) -> Option<Self> {
        Some(match class.rsplit(['.', ' ']).next()? {
            "FloatStorage" => Self::F32,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "DoubleStorage" => Self::F64,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    pub(super) fn is_weight(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16)
    }
}

impl<'a> Storage<'a> {
    /// Parses a persistent id: `("storage", class, key, device, elements, …)`.
    pub(super) fn parse(pickle: &'a Pickle, id: Id) -> Option<Self> {
        let [kind, class, key, rest @ ..] = pickle.items(id)? else { return None };
        let Node::Class(class) = pickle.node(*class) else { return None };
        let is_storage = pickle.text(*kind) == Some("storage");
        let dtype = Dtype::of_storage(class).filter(|_| is_storage)?;
        let is_view = rest.get(2).is_some_and(|view| *pickle.node(*view) != Node::None);
        Some(Self { dtype, key: pickle.text(*key)?, is_view })
    }
}
