//! The tokens and merges of a tokenizer, and what two of them have in common.

use std::collections::HashSet;

use serde_json::Value;
use tokenizers::Tokenizer as Inner;

use super::alphabet::Alphabet;

/// More ids than any vocabulary has.
const MAX_VOCAB: u32 = 1 << 21;
/// Ids without a token that a small vocabulary may have.
const MAX_GAPS: u64 = 1 << 16;

/// What the ids of a tokenizer stand for.
pub(super) struct Vocabulary {
    /// The token of every id as the file writes it; none for ids without one.
    tokens: Vec<Option<String>>,
    /// Each "left right", spelled as [`Alphabet::spelled`] does.
    merges: Vec<String>,
    added: Vec<Added>,
    alphabet: Alphabet,
}

/// A token outside the BPE, as `added_tokens` lists it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Added {
    pub id: u32,
    pub content: String,
    pub special: bool,
    /// Whether it takes the spaces before it, and behind it.
    pub lstrip: bool,
    pub rstrip: bool,
    /// Whether it is looked for after the normalizer has done its work.
    pub normalized: bool,
}

impl Vocabulary {
    /// That of `inner`, which `json` describes.
    ///
    /// # Errors
    /// An id that no model has.
    pub fn new(inner: &Inner, json: &Value, alphabet: Alphabet) -> Result<Self, String> {
        let added = added_tokens(inner);
        let mut vocab = inner.get_vocab(false);
        vocab.extend(added.iter().map(|token| (token.content.clone(), token.id)));
        let highest = vocab.values().max().copied();
        // Ids may have gaps, but a few tokens do not make a table of millions.
        let most = (vocab.len() as u64 * 4 + MAX_GAPS).min(u64::from(MAX_VOCAB));
        if let Some(id) = highest.filter(|id| u64::from(*id) >= most) {
            return Err(format!("names token id {id} in a vocabulary of {}", vocab.len()));
        }
        let mut tokens = vec![None; highest.map_or(0, |id| id as usize + 1)];
        for (token, id) in vocab {
            tokens[id as usize] = Some(token);
        }
        Ok(Self { tokens, merges: merges(json, alphabet), added, alphabet })
    }

    /// The tokens outside the BPE, by their ids.
    pub fn added(&self) -> &[Added] {
        &self.added
    }

    /// Whether `id` is a special token, such as the end of text.
    pub fn is_special(&self, id: u32) -> bool {
        let found = self.added.binary_search_by_key(&id, |token| token.id);
        found.is_ok_and(|index| self.added[index].special)
    }

    /// The bytes of every id; none for special tokens. Added tokens go through the decoder like all
    /// others, as in the tokenizers library; one that is not written in the alphabet stands for
    /// itself.
    ///
    /// # Errors
    /// A token that is not written in the alphabet.
    pub fn byte_table(&self, alphabet: Alphabet) -> Result<Vec<Box<[u8]>>, String> {
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

    /// How many ids both have in common, see [`super::Tokenizer::common_vocabulary`].
    pub fn common(&self, other: &Self) -> Result<usize, String> {
        let common = self.tokens.len().min(other.tokens.len());
        for id in 0..common {
            let (ours, theirs) = (self.spelled(id), other.spelled(id));
            if ours != theirs {
                let (ours, theirs) = (shown(ours.as_deref()), shown(theirs.as_deref()));
                return Err(format!("token {id} is {ours} in one and {theirs} in the other"));
            }
        }
        // What an added token stands for is found before anything is merged: its merges do not
        // matter, and files differ in whether they list them.
        let added: HashSet<String> = self.added_spelled().chain(other.added_spelled()).collect();
        let (mut ours, mut theirs) = (self.merges_but(&added), other.merges_but(&added));
        let mut index = 0;
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => break,
                (ours, theirs) if ours != theirs => {
                    let (ours, theirs) = (shown(ours), shown(theirs));
                    return Err(format!(
                        "merge {index} is {ours} in one and {theirs} in the other"
                    ));
                }
                _ => index += 1,
            }
        }
        let longer = if self.tokens.len() > common { self } else { other };
        let added: HashSet<u32> = longer.added.iter().map(|token| token.id).collect();
        let is_own = |id: &usize| longer.tokens[*id].is_some() && !added.contains(&(*id as u32));
        match (common..longer.tokens.len()).find(is_own) {
            Some(id) => {
                let token = shown(longer.tokens[id].as_deref());
                Err(format!("token {id} is {token} in one and absent in the other"))
            }
            None => Ok(common),
        }
    }

    fn spelled(&self, id: usize) -> Option<String> {
        let token = self.tokens.get(id)?.as_deref()?;
        Some(self.alphabet.spelled(token))
    }

    fn added_spelled(&self) -> impl Iterator<Item = String> + '_ {
        self.added.iter().map(|token| self.alphabet.spelled(&token.content))
    }

    /// The merges but those that make one of these tokens.
    fn merges_but<'a>(&'a self, made: &'a HashSet<String>) -> impl Iterator<Item = &'a str> {
        let merges = self.merges.iter().map(String::as_str);
        merges.filter(|merge| !made.contains(&merge.replacen(' ', "", 1)))
    }
}

fn shown(token: Option<&str>) -> String {
    token.map_or("absent".into(), |token| format!("{token:?}"))
}

/// Merges in order; files hold them as texts or as pairs.
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
