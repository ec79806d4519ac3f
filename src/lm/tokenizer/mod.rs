//! BPE tokenizers, byte-level or SentencePiece: encode text to ids and return the exact bytes of
//! every id.

mod alphabet;
mod control;
mod expansion_limit;
mod load;
mod vocabulary;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokenizers::Tokenizer as Inner;

use self::alphabet::Alphabet;
use self::control::Controls;
use self::vocabulary::Vocabulary;
use super::error::{LmError, Result, invalid};
use super::fields::Fields;
use super::file_kind::read_text;
use super::gguf::GgufFile;
use super::json_file::{MAX_JSON_BYTES, parse_json, read_json};
use super::prompt_text::PromptText;
pub(crate) use super::tokenizer::load::{encode, read};

/// Classes of tokenizers that add `bos_token` before a text if `tokenizer_config.json` requests it,
/// whatever their `tokenizer.json` says.
const CLASSES_WITH_BOS: [&str; 6] = [
    "LlamaTokenizer",
    "LlamaTokenizerFast",
    "CodeLlamaTokenizer",
    "CodeLlamaTokenizerFast",
    "GemmaTokenizer",
    "GemmaTokenizerFast",
];

/// A BPE tokenizer that has bytes for every id.
pub struct Tokenizer {
    /// Locked because its handling of control tokens is mutable. A second copy would take 100 MB.
    inner: Mutex<Inner>,
    /// Ids that are added before every text, such as the beginning-of-text token.
    prefix: Vec<u32>,
    /// The bytes of every id; empty for special tokens and unused ids.
    bytes: Vec<Box<[u8]>>,
    vocabulary: Vocabulary,
    controls: Controls,
}

impl Tokenizer {
    /// Loads a tokenizer from a `tokenizer.json`, a GGUF file or a folder. A folder holds
    /// `tokenizer.json`, or `vocab.json` and `merges.txt` as for GPT-2; its `tokenizer_config.json`
    /// may request a token before every text. Switches off truncation and padding.
    ///
    /// # Errors
    /// Returns an error that names the file if it is missing, damaged or of another kind.
    pub fn load(path: &Path) -> Result<Self> {
        if GgufFile::is_gguf(path) {
            return Self::from_gguf(&GgufFile::open(path)?);
        }
        if !path.is_dir() {
            return Self::from_bytes(read_text(path, MAX_JSON_BYTES)?.as_bytes(), path);
        }
        let file = path.join("tokenizer.json");
        let (vocab, merges) = (path.join("vocab.json"), path.join("merges.txt"));
        let mut tokenizer = if file.exists() {
            let text = read_text(&file, MAX_JSON_BYTES)?;
            let mut json = parse_json(&file, &text)?;
            if mark_special(&mut json, &end_tokens(path)) {
                Self::from_json(&json, json.to_string().as_bytes(), &file)?
            } else {
                Self::from_json(&json, text.as_bytes(), &file)?
            }
        } else if vocab.is_file() && merges.is_file() {
            Self::from_vocab_and_merges(&vocab, &merges)?
        } else {
            return Err(no_tokenizer(path, &file));
        };
        tokenizer.set_configured_prefix(&path.join("tokenizer_config.json"))?;
        Ok(tokenizer)
    }

    /// Adds the token before every text that `tokenizer_config.json` requests. DeepSeek's models,
    /// among others, have a `tokenizer.json` that omits it.
    fn set_configured_prefix(&mut self, file: &Path) -> Result<()> {
        if !file.is_file() {
            return Ok(());
        }
        let config = read_json(file)?;
        let class = config["tokenizer_class"].as_str().unwrap_or_default();
        if config["add_bos_token"] != true || !CLASSES_WITH_BOS.contains(&class) {
            return Ok(());
        }
        let token = &config["bos_token"];
        let token = token.as_str().or_else(|| token["content"].as_str());
        let id = token.and_then(|token| self.id(token));
        if let Some(id) = id.filter(|_| self.prefix.is_empty()) {
            self.prefix = vec![id];
        }
        Ok(())
    }

    /// Creates a tokenizer from `vocab.json` and `merges.txt`, the first format of GPT-2.
    fn from_vocab_and_merges(vocab: &Path, merges: &Path) -> Result<Self> {
        let file = vocab.to_path_buf();
        let vocab = read_json(vocab)?;
        let text = read_text(merges, MAX_JSON_BYTES)?;
        let lines = text.lines().filter(|line| !line.starts_with("#version") && !line.is_empty());
        let end = "<|endoftext|>";
        let added = vocab.get(end).map(|id| {
            json!({"id": id, "content": end, "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false, "special": true})
        });
        let added: Vec<Value> = added.into_iter().collect();
        let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                           "use_regex": true});
        let json = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": null, "pre_tokenizer": level, "post_processor": null, "decoder": level,
            "model": {"type": "BPE", "dropout": null, "unk_token": null,
                      "continuing_subword_prefix": null, "end_of_word_suffix": null,
                      "fuse_unk": false, "byte_fallback": false, "vocab": vocab,
                      "merges": lines.collect::<Vec<_>>()},
        });
        Self::from_json(&json, json.to_string().as_bytes(), &file)
    }

    /// Creates the tokenizer of a GGUF file.
    ///
    /// # Errors
    /// See [`Tokenizer::load`].
    pub fn from_gguf(gguf: &GgufFile) -> Result<Self> {
        let json = gguf.tokenizer_json()?;
        Self::from_json(&json, json.to_string().as_bytes(), gguf.file())
    }

    /// Creates a tokenizer from the content of a `tokenizer.json`. Messages name `file`.
    ///
    /// # Errors
    /// See [`Tokenizer::load`].
    pub fn from_bytes(content: &[u8], file: &Path) -> Result<Self> {
        let text = std::str::from_utf8(content)
            .map_err(|_| invalid(file, "is not UTF-8 text".to_owned()))?;
        Self::from_json(&parse_json(file, text)?, content, file)
    }

    /// Creates a tokenizer from a parsed `tokenizer.json` and the same content as text.
    fn from_json(json: &Value, content: &[u8], file: &Path) -> Result<Self> {
        let alphabet = Alphabet::of(json, file)?;
        let read = load::read(json, content).map_err(|problem| invalid(file, problem));
        let (inner, prefix) = read?;
        let vocabulary = Vocabulary::new(&inner, json, alphabet);
        let vocabulary = vocabulary.map_err(|problem| invalid(file, problem))?;
        let bytes = vocabulary.byte_table(alphabet).map_err(|problem| invalid(file, problem))?;
        let controls = Controls::new(&vocabulary, json);
        Ok(Self { inner: Mutex::new(inner), prefix, bytes, vocabulary, controls })
    }

    /// Returns the ids that are added before every text, as in the model's training: usually the
    /// beginning-of-text token, or nothing.
    pub fn prefix(&self) -> &[u32] {
        &self.prefix
    }

    /// Encodes `text`. Adds no special tokens, and encodes names of special tokens in the text as
    /// plain text.
    ///
    /// # Errors
    /// Returns [`LmError::Encode`] if the tokenizer cannot encode the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_with(text, false)
    }

    /// Encodes text that follows another text, of which it is not the same word. Some tokenizers
    /// add a space at the start of a text; this adds none.
    ///
    /// # Errors
    /// See [`Tokenizer::encode`].
    pub fn encode_continuation(&self, text: &str) -> Result<Vec<u32>> {
        // No token contains these and a character after them.
        let before = if text.starts_with(' ') { "a" } else { "\n" };
        let mut ids = self.encode(&format!("{before}{text}"))?;
        let mut bytes = 0;
        let is_own = |id: &&u32| {
            bytes += self.bytes(**id).len();
            bytes <= text.len()
        };
        let count = ids.iter().rev().take_while(is_own).count();
        let own = ids.split_off(ids.len() - count);
        let length: usize = own.iter().map(|&id| self.bytes(id).len()).sum();
        // A tokenizer that normalises the text may not keep its length.
        if length == text.len() { Ok(own) } else { self.encode(text) }
    }

    /// Encodes `text`, and recognises control tokens in it if `recognise_control`.
    fn encode_with(&self, text: &str, recognise_control: bool) -> Result<Vec<u32>> {
        let mut inner = self.inner();
        inner.set_encode_special_tokens(!recognise_control);
        let encoding = load::encode(&inner, text, false).map_err(LmError::Encode)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Encodes a complete plain text, including the prefix.
    ///
    /// # Errors
    /// See [`Tokenizer::encode`].
    pub fn encode_with_prefix(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_prompt(&PromptText::plain(text))
    }

    /// Encodes a prompt, including the prefix unless the prompt already begins with it, as prompts
    /// of chat templates do. Recognises control tokens outside the plain parts of the prompt.
    ///
    /// # Errors
    /// See [`Tokenizer::encode`].
    pub fn encode_prompt(&self, prompt: &PromptText) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        for (part, recognise_control) in self.controls.parts(prompt) {
            ids.extend(self.encode_with(part, recognise_control)?);
        }
        if ids.starts_with(&self.prefix) {
            return Ok(ids);
        }
        Ok([&self.prefix[..], &ids].concat())
    }

    /// Returns the control tokens as they appear in a text: the special tokens, which have no
    /// bytes.
    pub fn controls(&self) -> &[String] {
        self.controls.names()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the bytes that `id` adds to a text; empty for special tokens and unknown ids.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize).map_or(&[], |bytes| bytes)
    }

    /// Returns a token for display: its text with invalid bytes as U+FFFD, or the name of a special
    /// token.
    pub fn piece(&self, id: u32) -> String {
        match self.bytes(id) {
            [] => self.inner().id_to_token(id).unwrap_or_default(),
            bytes => String::from_utf8_lossy(bytes).into_owned(),
        }
    }

    /// Returns the text of these ids, with invalid bytes as U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.bytes(id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns whether `id` is a special token, such as the end of text.
    pub fn is_special(&self, id: u32) -> bool {
        self.vocabulary.is_special(id)
    }

    /// Returns the id of a token by its content in the file, such as `<|endoftext|>`.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner().token_to_id(token)
    }

    /// Returns the highest id plus one.
    pub fn vocab_size(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the number of ids that both vocabularies share, which is the length of the shorter
    /// one. Its tokens and the merges of both must be equal. The longer vocabulary may have further
    /// added tokens, which guidance leaves out. Special flags, the spelling of spaces and padding
    /// are not compared.
    ///
    /// # Errors
    /// Returns a message that names the first token or merge that differs.
    pub fn common_vocabulary(&self, other: &Self) -> std::result::Result<usize, String> {
        self.vocabulary.common(&other.vocabulary)
    }

    /// Returns a CRC-32 of the first `count` tokens, or `None` if there are fewer. It is equal for
    /// all files of the same vocabulary, GGUF or not.
    pub(crate) fn prefix_checksum(&self, count: usize) -> Option<u32> {
        self.vocabulary.prefix_checksum(count)
    }
}

/// Returns the ids of the tokens that end a text, from the folder's configuration. Ignores errors
/// in the configuration, because loading the model reports them.
fn end_tokens(folder: &Path) -> Vec<u32> {
    let mut ends = Vec::new();
    for name in ["config.json", "generation_config.json"] {
        let file = folder.join(name);
        let json = if file.is_file() { read_json(&file).unwrap_or_default() } else { Value::Null };
        let fields = Fields::new(&json, &file).and_then(|fields| fields.ids("eos_token_id"));
        ends.extend(fields.unwrap_or_default());
    }
    ends
}

/// Marks added tokens with these ids as special, whatever the file says, so that typed text cannot
/// create a token that ends a text. Returns whether the JSON changed.
fn mark_special(json: &mut Value, ids: &[u32]) -> bool {
    let mut is_changed = false;
    let added = json.get_mut("added_tokens").and_then(Value::as_array_mut);
    for token in added.into_iter().flatten().filter(|token| token.is_object()) {
        let is_end = token["id"].as_u64().is_some_and(|id| ids.iter().any(|e| u64::from(*e) == id));
        if is_end && token["special"] == false {
            token["special"] = json!(true);
            is_changed = true;
        }
    }
    is_changed
}

/// Returns the error for a folder without a supported tokenizer.
fn no_tokenizer(folder: &Path, file: &Path) -> LmError {
    let pieces = ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model"];
    match pieces.iter().find(|name| folder.join(name).is_file()) {
        Some(name) => {
            let problem = "is a SentencePiece model, and tokenizer.json is missing; create it with \
                           AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) in \
                           transformers, or take a GGUF file";
            invalid(&folder.join(name), problem.to_owned())
        }
        None => LmError::absent(file.to_owned()),
    }
}
