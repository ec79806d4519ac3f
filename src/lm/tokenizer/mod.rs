//! BPE tokenizers, byte-level or SentencePiece's: text to ids, and the exact bytes of every id.

mod alphabet;
mod careful;
mod control;
mod growth;
mod vocabulary;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokenizers::Tokenizer as Inner;

use self::alphabet::Alphabet;
pub(crate) use self::careful::{encode, read};
use self::control::Controls;
use self::vocabulary::Vocabulary;
use super::error::{LmError, Result};
use super::fields::Fields;
use super::file_kind::read_text;
use super::gguf::GgufFile;
use super::prompt_text::PromptText;
use super::weights::{MAX_JSON_BYTES, invalid, parse_json, read_json};

/// Classes whose tokenizers put `bos_token` before a text where `tokenizer_config.json` says so,
/// whatever their `tokenizer.json` does.
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
    /// Locked because how it treats control tokens is a state of it: copying a vocabulary instead
    /// would take 100 MB.
    inner: Mutex<Inner>,
    /// What the file puts before a text, such as a token that begins it.
    prefix: Vec<u32>,
    /// The bytes of every id; none for special tokens and ids without a token.
    bytes: Vec<Box<[u8]>>,
    vocabulary: Vocabulary,
    controls: Controls,
}

impl Tokenizer {
    /// Loads `tokenizer.json`, given the file or the folder that holds it, the tokenizer inside a
    /// GGUF file, or a folder's `vocab.json` and `merges.txt` as GPT-2 has them. Truncation and
    /// padding that the file may ask for are switched off. A folder's `tokenizer_config.json` may
    /// ask for a token before every text.
    ///
    /// # Errors
    /// A sentence when the file is missing, damaged or of another kind.
    pub fn load(path: &Path) -> Result<Self> {
        if GgufFile::is_one(path) {
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
            return Err(without_tokenizer(path, &file));
        };
        tokenizer.begin_as_configured(&path.join("tokenizer_config.json"))?;
        Ok(tokenizer)
    }

    /// Puts the token before every text that `tokenizer_config.json` asks for: DeepSeek's models,
    /// among others, have a `tokenizer.json` that leaves it out.
    fn begin_as_configured(&mut self, file: &Path) -> Result<()> {
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

    /// GPT-2's tokenizer in its first form.
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

    /// The tokenizer inside a GGUF file.
    ///
    /// # Errors
    /// As [`Tokenizer::load`].
    pub fn from_gguf(gguf: &GgufFile) -> Result<Self> {
        let json = gguf.tokenizer_json()?;
        Self::from_json(&json, json.to_string().as_bytes(), gguf.file())
    }

    /// From the content of a `tokenizer.json`; `file` is used in messages.
    ///
    /// # Errors
    /// As [`Tokenizer::load`].
    pub fn from_bytes(content: &[u8], file: &Path) -> Result<Self> {
        let text = std::str::from_utf8(content)
            .map_err(|_| invalid(file, "is not UTF-8 text".to_owned()))?;
        Self::from_json(&parse_json(file, text)?, content, file)
    }

    /// From a `tokenizer.json` and its text.
    fn from_json(json: &Value, content: &[u8], file: &Path) -> Result<Self> {
        let alphabet = Alphabet::of(json, file)?;
        let read = careful::read(json, content).map_err(|problem| invalid(file, problem));
        let (inner, prefix) = read?;
        let vocabulary = Vocabulary::new(&inner, json, alphabet);
        let vocabulary = vocabulary.map_err(|problem| invalid(file, problem))?;
        let bytes = vocabulary.byte_table(alphabet).map_err(|problem| invalid(file, problem))?;
        let controls = Controls::new(&vocabulary, json);
        Ok(Self { inner: Mutex::new(inner), prefix, bytes, vocabulary, controls })
    }

    /// What stands before every text that a model of this tokenizer was trained on: the token
    /// that begins a text, or nothing.
    pub fn prefix(&self) -> &[u32] {
        &self.prefix
    }

    /// The ids of `text`. No special token is put before or after it, and one written out in the
    /// text is read as text.
    ///
    /// # Errors
    /// [`LmError::Encode`] when the tokenizer has no token for a part of it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_with(text, false)
    }

    /// The ids of `text`, with control tokens recognised where `control`.
    fn encode_with(&self, text: &str, control: bool) -> Result<Vec<u32>> {
        let mut inner = self.inner();
        inner.set_encode_special_tokens(!control);
        let encoding = careful::encode(&inner, text, false).map_err(LmError::Encode)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids of a whole plain text: what stands before every text, and the text.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_whole(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_prompt(&PromptText::plain(text))
    }

    /// The ids of a prompt: what stands before every text, unless it is written out in this one
    /// already, as chat templates do. Control tokens are recognised outside the plain parts of
    /// the text.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_prompt(&self, prompt: &PromptText) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        for (part, control) in self.controls.parts(prompt) {
            ids.extend(self.encode_with(part, control)?);
        }
        if ids.starts_with(&self.prefix) {
            return Ok(ids);
        }
        Ok([&self.prefix[..], &ids].concat())
    }

    /// The control tokens, as they are written out: special tokens, which stand for no text.
    pub fn controls(&self) -> &[String] {
        self.controls.names()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes that `id` adds to a text; none for special tokens and unknown ids.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize).map_or(&[], |bytes| bytes)
    }

    /// One token for people to read: its text, invalid bytes as U+FFFD, or the name of a special
    /// token.
    pub fn piece(&self, id: u32) -> String {
        match self.bytes(id) {
            [] => self.inner().id_to_token(id).unwrap_or_default(),
            bytes => String::from_utf8_lossy(bytes).into_owned(),
        }
    }

    /// The text of these ids, invalid bytes as U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.bytes(id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether `id` is a special token, such as the end of text.
    pub fn is_special(&self, id: u32) -> bool {
        self.vocabulary.is_special(id)
    }

    /// The id of a token by its content as the file writes it, such as `<|endoftext|>`.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner().token_to_id(token)
    }

    /// One more than the highest id.
    pub fn vocab_size(&self) -> usize {
        self.bytes.len()
    }

    /// How many ids both have in common: all of the shorter vocabulary, which must stand for the
    /// same in both and come from the same merges. Past them one of the two may add tokens of its
    /// own, which guidance leaves out. Whether a token is marked as special, how a file spells a
    /// space, and padding do not matter.
    ///
    /// # Errors
    /// A message naming the first token or merge that differs.
    pub fn common_vocabulary(&self, other: &Self) -> std::result::Result<usize, String> {
        self.vocabulary.common(&other.vocabulary)
    }
}

/// The tokens that end a text, by the folder's configuration. What is wrong with that is reported
/// where the model is loaded.
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

/// Marks added tokens with these ids as special, whatever the file says: what ends a text must not
/// be made by typed text. Whether that changes anything.
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

/// The error of a folder without a tokenizer that is read.
fn without_tokenizer(folder: &Path, file: &Path) -> LmError {
    let pieces = ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model"];
    match pieces.iter().find(|name| folder.join(name).is_file()) {
        Some(name) => {
            let problem = "is a SentencePiece model, and there is no tokenizer.json; make one with \
                           AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) in \
                           transformers, or take a GGUF file";
            invalid(&folder.join(name), problem.to_owned())
        }
        None => LmError::absent(file.to_owned()),
    }
}
