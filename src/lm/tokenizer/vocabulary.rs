//! The tokens and merges of a tokenizer, and the comparison of two vocabularies.

use std::collections::HashSet;

use serde_json::Value;
use tokenizers::Tokenizer as Inner;

use super::alphabet::Alphabet;

/// Upper limit of ids, beyond any real vocabulary.
const MAX_VOCAB: u32 = 1 << 21;
/// Maximum unused ids of a small vocabulary.
const MAX_GAPS: u64 = 1 << 16;

/// The tokens and merges of a tokenizer.
pub(super) struct Vocabulary {
    /// The token of every id as the file writes it; `None` for unused ids.
    tokens: Vec<Option<String>>,
    /// Each as "left right", in the spelling of [`Alphabet::spelled`].
    merges: Vec<String>,
    added: Vec<Added>,
    alphabet: Alphabet,
}

/// A token outside the BPE, from `added_tokens`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Added {
    pub(crate) id: u32,
    pub(crate) content: String,
    pub(crate) special: bool,
    /// Whether it strips the spaces before it.
    pub(crate) lstrip: bool,
    /// Whether it strips the spaces after it.
    pub(crate) rstrip: bool,
    /// Whether it is matched after normalisation.
    pub(crate) normalized: bool,
}

impl Vocabulary {
    /// Creates the vocabulary of `inner`. `json` is its `tokenizer.json`.
    ///
    /// # Errors
    /// Returns an error if an id is too large.
    pub(super) fn new(inner: &Inner, json: &Value, alphabet: Alphabet) -> Result<Self, String> {
        let added = added_tokens(inner);
        let mut vocab = inner.get_vocab(false);
        vocab.extend(added.iter().map(|token| (token.content.clone(), token.id)));
        let highest = vocab.values().max().copied();
        // Ids may have gaps, but a small vocabulary must not need a table of millions.
        let limit = (vocab.len() as u64 * 4 + MAX_GAPS).min(u64::from(MAX_VOCAB));
        if let Some(id) = highest.filter(|id| u64::from(*id) >= limit) {
            return Err(format!("has the token id {id}, but only {} tokens", vocab.len()));
        }
        let mut tokens = vec![None; highest.map_or(0, |id| id as usize + 1)];
        for (token, id) in vocab {
            tokens[id as usize] = Some(token);
        }
        Ok(Self { tokens, merges: merges(json, alphabet), added, alphabet })
    }

    /// Returns the tokens outside the BPE, sorted by id.
    pub(super) fn added(&self) -> &[Added] {
        &self.added
    }

    /// Returns whether `id` is a special token, such as the end of text.
    pub(super) fn is_special(&self, id: u32) -> bool {
        let found = self.added.binary_search_by_key(&id, |token| token.id);
        found.is_ok_and(|index| self.added[index].special)
    }

    /// Returns the bytes of every id; empty for special tokens. Added tokens are decoded like all
    /// others, as in the tokenizers library. If they are not written in the alphabet, their text is
    /// used as is.
    ///
    /// # Errors
    /// Returns an error if a token of the BPE is not written in the alphabet.
    pub(crate) fn byte_table(&self, alphabet: Alphabet) -> Result<Vec<Box<[u8]>>, String> {
        let mut table = vec![Box::<[u8]>::default(); self.tokens.len()];
        let added: HashSet<u32> = self.added.iter().map(|token| token.id).collect();
        for (id, token) in self.tokens.iter().enumerate() {
            let Some(token) = token else { continue };
            let bytes = match alphabet.bytes(token) {
                _ if self.is_special(id as u32) => continue,
                Some(bytes) => bytes,
                None if added.contains(&(id as u32)) => token.as_bytes().to_vec(),
                None => {
                    return Err(format!(
                        "token {id} ({token:?}) is not written in the byte alphabet"
                    ));
                }
            };
            table[id] = bytes.into();
        }
        Ok(table)
    }

    /// Returns the number of shared ids; see [`super::Tokenizer::common_vocabulary`].
    pub(super) fn common(&self, other: &Self) -> Result<usize, String> {
        let common = self.tokens.len().min(other.tokens.len());
        for id in 0..common {
            let (ours, theirs) = (self.spelled(id), other.spelled(id));
            if ours != theirs {
                let (ours, theirs) = (quoted(ours.as_deref()), quoted(theirs.as_deref()));
                return Err(format!("token {id} is {ours} in one and {theirs} in the other"));
            }
        }
        // Added tokens are matched before merging, so merges that produce them have no effect, and
        // only some files list them.
        let added: HashSet<String> = self.added_spelled().chain(other.added_spelled()).collect();
        let (mut ours, mut theirs) = (self.merges_except(&added), other.merges_except(&added));
        let mut index = 0;
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => break,
                (ours, theirs) if ours != theirs => {
                    let (ours, theirs) = (quoted(ours), quoted(theirs));
                    return Err(format!(
                        "merge {index} is {ours} in one and {theirs} in the other"
                    ));
                }
                _ => index += 1,
            }
        }
        let longer = if self.tokens.len() > common { self } else { other };
        let added: HashSet<u32> = longer.added.iter().map(|token| token.id).collect();
        let is_unshared =
            |id: &usize| longer.tokens[*id].is_some() && !added.contains(&(*id as u32));
        match (common..longer.tokens.len()).find(is_unshared) {
            Some(id) => {
                let token = quoted(longer.tokens[id].as_deref());
                Err(format!("token {id} is {token} in one and absent in the other"))
            }
            None => Ok(common),
        }
    }

    /// Returns a CRC-32 of the first `count` tokens; see [`super::Tokenizer::prefix_checksum`].
    pub(super) fn prefix_checksum(&self, count: usize) -> Option<u32> {
        if self.tokens.len() < count {
            return None;
        }
        let mut checksum = crc32fast::Hasher::new();
        for id in 0..count {
            checksum.update(self.spelled(id).unwrap_or_default().as_bytes());
            checksum.update(&[0]);
        }
        Some(checksum.finalize())
    }

    fn spelled(&self, id: usize) -> Option<String> {
        let token = self.tokens.get(id)?.as_deref()?;
        Some(self.alphabet.spelled(token))
    }

    fn added_spelled(&self) -> impl Iterator<Item = String> + '_ {
        self.added.iter().map(|token| self.alphabet.spelled(&token.content))
    }

    /// Returns the merges except those that produce one of these tokens.
    fn merges_except<'a>(&'a self, tokens: &'a HashSet<String>) -> impl Iterator<Item = &'a str> {
        let merges = self.merges.iter().map(String::as_str);
        merges.filter(|merge| !tokens.contains(&merge.replacen(' ', "", 1)))
    }
}

fn quoted(token: Option<&str>) -> String {
    token.map_or("absent".into(), |token| format!("{token:?}"))
}

/// Returns the merges in order. Files store them as strings or as pairs.
fn merges(json: &Value, alphabet: Alphabet) -> Vec<String> {
    let merges = json["model"]["merges"].as_array().map(Vec::as_slice).unwrap_or_default();
    let one = |merge: &Value| match merge {
        Value::String(pair) => pair.clone(),
        Value::Array(pair) => {
            let parts = pair.iter().filter_map(Value::as_str).map(|part| alphabet.spelled(part));
            parts.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    merges.iter().map(one).collect()
}

fn added_tokens(inner: &Inner) -> Vec<Added> {
    let mut added: Vec<Added> = inner
        .get_added_tokens_decoder()
        .into_iter()
        .map(|(id, token)| Added {
            id,
            content: token.content,
            special: token.special,
            lstrip: token.lstrip,
            rstrip: token.rstrip,
            normalized: token.normalized,
        })
        .collect();
    added.sort_by_key(|token| token.id);
    added
}
