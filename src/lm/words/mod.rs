//! Growing texts for a model of another vocabulary. They are encoded word by word, so that an
//! extended text costs one word, not the whole text.
//!
//! A word starts at a space after a character that is not whitespace. The supported tokenizers
//! never merge across such a space: byte-level ones split there before merging, and SentencePiece
//! ones have no piece with a space after another character. The ids of the words, joined, therefore
//! equal the ids of the whole text.

mod covers;
mod encoder;
mod memory;
mod response;

pub use covers::{Cover, GuideWords};
pub use encoder::WordEncoder;
pub use response::{ResponseEncoder, Settled};
