//! `ivg-playground score`: reads a text and prints what the models say of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ivg_playground::format::{excerpt, visible};
use ivg_playground::guidance::Search;
use ivg_playground::guidance::trace::{ArmTrace, StopReason};
use ivg_playground::packs::{Pack, PromptCache, PromptOptions};
use serde_json::json;

use super::settings::SettingArgs;

/// Maximum size of a text. Longer texts do not fit in any context.
const MAX_BYTES: u64 = 1 << 18;
/// Maximum length of a chunk's text in the table, in characters.
const EXCERPT_CHARS: usize = 60;

#[derive(clap::Args)]
pub struct Args {
    /// Prompt that the text responds to
    #[arg(long)]
    prompt: String,
    /// File with the text to score; a line break at its end is left out
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    #[command(flatten)]
    settings: SettingArgs,
    /// Print tokens and values as JSON instead of the table
    #[arg(long)]
    json: bool,
}

/// Reads the text with all models and prints its values.
pub fn run(args: &Args, pack: &Pack) -> anyhow::Result<()> {
    let text = read(&args.text)?;
    let settings = args.settings.apply_to(pack.defaults());
    let options =
        PromptOptions { special_tokens: settings.special_tokens, ..PromptOptions::default() };
    let mut cache = PromptCache::new(pack, &args.prompt, options);
    let prefilled = cache.prefilled(&settings.instructions())?;
    let mut search = Search::read(&pack.models, prefilled, &settings, &text)?;
    while !search.is_done() {
        search.step()?;
    }
    let mut read = search.finish()?;
    if read.stop_reason == StopReason::ContextFull {
        bail!("a guide's context is full after \"{}\"; shorten the text", tail(&read.text));
    }
    read.gold_reward = pack.gold_reward(&args.prompt, &read.text);
    if args.json {
        print_json(args, pack, &read)
    } else {
        print_table(&read);
        Ok(())
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let size = path.metadata().with_context(|| format!("cannot read {}", path.display()))?.len();
    if size > MAX_BYTES {
        bail!("{} has {size} bytes; a text may have {MAX_BYTES}", path.display());
    }
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {} as UTF-8 text", path.display()))?;
    // Most editors end a file with a line break that the writer did not mean.
    Ok(text.strip_suffix('\n').map_or(&*text, |t| t.strip_suffix('\r').unwrap_or(t)).to_owned())
}

/// Returns the end of a text, for a message.
fn tail(text: &str) -> String {
    let start = text.char_indices().rev().nth(EXCERPT_CHARS).map_or(0, |(at, _)| at);
    visible(&text[start..]).into_owned()
}

fn print_json(args: &Args, pack: &Pack, read: &ArmTrace) -> anyhow::Result<()> {
    let ends: Vec<_> = read
        .chunks
        .iter()
        .filter_map(|chunk| Some((chunk.end_token, chunk.leader()?.value)))
        .map(|(end_token, value)| json!({"end_token": end_token, "value": value}))
        .collect();
    let scored = json!({
        "pack": pack.manifest.name, "prompt": args.prompt, "text": read.text,
        "settings": read.settings, "value": read.value, "gold_reward": read.gold_reward,
        "kl_nats": read.kl_nats(), "base_perplexity": read.base_perplexity(),
        "chunks": ends, "tokens": read.tokens,
    });
    outln!("{}", serde_json::to_string_pretty(&scored)?);
    Ok(())
}

fn print_table(read: &ArmTrace) {
    let number = |value: Option<f32>| value.map_or("–".to_owned(), |v| format!("{v:+.2}"));
    outln!(
        "{} tokens · value {} · gold {} · perplexity {:.1} · log p base {:.1}, guided {:.1}",
        read.tokens.len(),
        number(read.value),
        number(read.gold_reward),
        read.base_perplexity().unwrap_or(f32::NAN),
        read.tokens.iter().map(|token| token.logp_base).sum::<f32>(),
        read.tokens.iter().map(|token| token.logp_guided).sum::<f32>(),
    );
    outln!("\n  tokens    value  advantage  log p base  text");
    let mut start = 0;
    for chunk in &read.chunks {
        let tokens = &read.tokens[start..chunk.end_token.min(read.tokens.len())];
        let known: Vec<f32> = tokens.iter().filter_map(|token| token.advantage).collect();
        let advantage = (!known.is_empty()).then(|| known.iter().sum::<f32>());
        let text: String = tokens.iter().map(|token| token.text.as_str()).collect();
        outln!(
            "{:>8}  {:>7}  {:>9}  {:>10.1}  {}",
            format!("{}–{}", start + 1, chunk.end_token),
            number(chunk.leader().and_then(|leader| leader.value)),
            number(advantage),
            tokens.iter().map(|token| token.logp_base).sum::<f32>(),
            visible(&excerpt(&text, EXCERPT_CHARS)),
        );
        start = chunk.end_token;
    }
}
