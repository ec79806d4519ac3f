//! The tokenizers library, which takes much of what a file says for granted: what it panics at
//! becomes a sentence.

use serde_json::Value;
use tokenizers::{Encoding, Tokenizer};

use super::growth;
use crate::quiet::catch_quietly;

/// A text that every tokenizer is tried on.
const PROBE: &str = "Hello, world!";
/// Most tokens that it, or what stands before a text, may have.
const MOST_TOKENS: usize = 100;

/// The tokenizer that `content` describes, `json` being the same, and what its post-processor puts before a text.
/// Truncation and padding that the file may ask for are switched off.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(json: &Value, content: &[u8]) -> Result<(Tokenizer, Vec<u32>), String> {
    growth::check(&json["normalizer"])?;
    catch_quietly(|| open(content))
        .unwrap_or_else(|_| Err("its parts do not fit together".into()))
        .map_err(|error| format!("not a tokenizer ({error})"))
}

fn open(content: &[u8]) -> tokenizers::Result<(Tokenizer, Vec<u32>)> {
    let mut tokenizer = Tokenizer::from_bytes(content)?;
    tokenizer.with_truncation(None)?;
    tokenizer.with_padding(None);
    let ids = |special: bool| {
        let encoding = tokenizer.encode_fast(PROBE, special);
        encoding.map(|encoding| encoding.get_ids().to_vec())
    };
    let (plain, whole) = (ids(false)?, ids(true)?);
    if plain.is_empty() || plain.len() > MOST_TOKENS {
        return Err(format!("it makes {} tokens of {PROBE:?}", plain.len()).into());
    }
    let at = whole.windows(plain.len()).position(|window| window == plain);
    let prefix = whole[..at.unwrap_or(0)].to_vec();
    if prefix.len() > MOST_TOKENS {
        return Err(format!("it puts {} tokens before a text", prefix.len()).into());
    }
    if let Some(id) = prefix.iter().find(|id| tokenizer.id_to_token(**id).is_none()) {
        return Err(format!("it puts token {id} before a text, which it does not have").into());
    }
    Ok((tokenizer, prefix))
}

/// `text` in tokens, with or without what the post-processor puts around it.
///
/// # Errors
/// A text that a pattern of the file gives up on, or that there are no tokens for.
pub(crate) fn encode(tokenizer: &Tokenizer, text: &str, whole: bool) -> Result<Encoding, String> {
    catch_quietly(|| tokenizer.encode_fast(text, whole))
        .map_err(|_| "its pattern gives up on this text".to_owned())?
        .map_err(|error| error.to_string())
}
