//! Loads and runs tokenizers of the tokenizers library. The library panics on some invalid files;
//! this module turns the panics into errors.

use serde_json::Value;
use tokenizers::{Encoding, Tokenizer};

use super::expansion_limit;
use crate::panic_guard::catch_quietly;

/// A text that every tokenizer must encode when it is loaded.
const PROBE: &str = "Hello, world!";
/// Maximum tokens of the probe, and of the prefix that a tokenizer adds to a text.
const MAX_TOKENS: usize = 100;

/// Loads the tokenizer in `content`, a `tokenizer.json`; `json` is the same content parsed. Returns
/// it with the ids that its post-processor adds before a text. Switches off truncation and padding.
///
/// # Errors
/// Returns the reason if the tokenizer cannot be loaded.
pub(crate) fn read(json: &Value, content: &[u8]) -> Result<(Tokenizer, Vec<u32>), String> {
    expansion_limit::check(&json["normalizer"])?;
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
    if plain.is_empty() || plain.len() > MAX_TOKENS {
        let count = plain.len();
        let problem =
            format!("it encodes {PROBE:?} as {count} tokens; 1 to {MAX_TOKENS} are expected");
        return Err(problem.into());
    }
    let at = whole.windows(plain.len()).position(|window| window == plain);
    let prefix = whole[..at.unwrap_or(0)].to_vec();
    if prefix.len() > MAX_TOKENS {
        let count = prefix.len();
        let problem = format!("it adds {count} tokens before a text; the maximum is {MAX_TOKENS}");
        return Err(problem.into());
    }
    if let Some(id) = prefix.iter().find(|id| tokenizer.id_to_token(**id).is_none()) {
        let problem = format!("it adds token {id} before a text, which is not in its vocabulary");
        return Err(problem.into());
    }
    Ok((tokenizer, prefix))
}

/// Encodes `text`, with the tokens that the post-processor adds if `add_special`.
///
/// # Errors
/// Returns an error if a pattern of the tokenizer takes too long on the text, or if the vocabulary
/// cannot express it.
pub(crate) fn encode(
    tokenizer: &Tokenizer,
    text: &str,
    add_special: bool,
) -> Result<Encoding, String> {
    catch_quietly(|| tokenizer.encode_fast(text, add_special))
        .map_err(|_| "its pattern takes too long on this text".to_owned())?
        .map_err(|error| error.to_string())
}
