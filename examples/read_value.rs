//! Loads a language model, a Hugging Face folder or a GGUF file, and prints the most likely next
//! token. With a value model, also prints the value of every prefix:
//!
//! ```console
//! cargo run --release --example read_value -- assets/packs/imdb/base "The film was" assets/packs/imdb/value
//! ```

use std::path::Path;

use ivg_playground::lm::{Lm, Tokenizer, ValueModel};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, text, value @ ..] = arguments.as_slice() else {
        return Err("usage: read_value MODEL TEXT [VALUE_MODEL]".into());
    };
    let device = candle_core::Device::Cpu;
    let (lm, tokenizer) =
        (Lm::load(Path::new(model), &device)?, Tokenizer::load(Path::new(model))?);
    let tokens = tokenizer.encode(text)?;
    let (_cache, hidden) = lm.prefill(&tokens)?;
    // `[1, vocab]`: the logits after the last token.
    let logits = lm.logits(&hidden.narrow(0, tokens.len() - 1, 1)?)?;
    let next = logits.argmax(1)?.to_vec1::<u32>()?[0];
    println!("{text} → {:?}", tokenizer.decode(&[next]));
    let [value] = value else { return Ok(()) };
    let value = ValueModel::load(Path::new(value), &device)?;
    let (_cache, states) = value.trunk().prefill(&tokens)?;
    for length in value.tokens_needed()..=tokens.len() {
        let states = states.narrow(0, 0, length)?;
        let read = value.value(&states, &tokens[..length])?;
        println!("{read:+.2} after {:?}", tokenizer.decode(&tokens[..length]));
    }
    Ok(())
}
