//! The prompt of a run as each role of a pack reads it.

use super::role::{PromptStyle, Role};
use super::{Pack, PromptOptions};
use crate::guidance::steer::Instructions;
use crate::guidance::{GuidanceError, Prefilled, Prompts, ValueGuide, ValuePrompt};
use crate::lm::{PromptText, Tokenizer};

/// A prompt, prefilled once for all arms with the same instructions.
pub struct PromptCache<'a> {
    pack: &'a Pack,
    prompt: &'a str,
    options: PromptOptions,
    read: Vec<(Vec<Instructions>, Prefilled)>,
}

impl<'a> PromptCache<'a> {
    /// Creates a cache in which nothing has been read yet.
    pub fn new(pack: &'a Pack, prompt: &'a str, options: PromptOptions) -> Self {
        Self { pack, prompt, options, read: Vec::new() }
    }

    /// Returns the prompt, prefilled for searches whose settings have these instructions.
    ///
    /// # Errors
    /// Same as [`Pack::prompts`] and [`Prefilled::new`].
    pub fn prefilled(&mut self, steers: &[Instructions]) -> Result<&Prefilled, GuidanceError> {
        let index = match self.read.iter().position(|(read, _)| read == steers) {
            Some(index) => index,
            None => {
                let prompts = self.pack.steered_prompts(self.prompt, self.options, steers)?;
                let prefilled = Prefilled::new(&self.pack.models, &prompts)?;
                self.read.push((steers.to_vec(), prefilled));
                self.read.len() - 1
            }
        };
        Ok(&self.read[index].1)
    }
}

/// The text that one role reads.
struct Reading<'a> {
    role_name: &'a str,
    role: &'a Role,
    prompt: &'a str,
    /// The instruction of a steer, or an empty text.
    instruction: &'a str,
    options: PromptOptions,
}

impl Pack {
    /// Returns the prompt of each role as token ids, or as text for a value model with another
    /// vocabulary.
    ///
    /// # Errors
    /// Fails if the prompt is empty or the tokenizer rejects it.
    pub fn prompts(&self, prompt: &str, options: PromptOptions) -> Result<Prompts, GuidanceError> {
        self.steered_prompts(prompt, options, &[])
    }

    /// Same as [`Pack::prompts`], with two more prompts of the base for each steer.
    ///
    /// # Errors
    /// Same as [`Pack::prompts`].
    pub fn steered_prompts(
        &self,
        prompt: &str,
        options: PromptOptions,
        steers: &[Instructions],
    ) -> Result<Prompts, GuidanceError> {
        if prompt.trim().is_empty() {
            return Err(GuidanceError::EmptyPrompt);
        }
        let (manifest, models) = (&self.manifest, &self.models);
        let tokenizer = &models.tokenizer;
        let text = |role_name: &str, role: &Role, instruction: &str, tokenizer: &Tokenizer| {
            let reading = Reading { role_name, role, prompt, instruction, options };
            self.prompt_text(&reading, tokenizer)
        };
        let encode = |name: &str, role: &Role, instruction: &str| {
            let text = text(name, role, instruction, tokenizer)?;
            Ok::<Vec<u32>, GuidanceError>(tokenizer.encode_prompt(&text)?)
        };
        let words = models
            .pair
            .as_ref()
            .map(|pair| pair.words.as_ref().map(|words| words.own().tokenizer()));
        let half = |name: &str, role: &Option<Role>| match (role, words) {
            (Some(role), Some(None)) => encode(name, role, ""),
            _ => Ok(Vec::new()),
        };
        let (untuned, tuned) =
            (half("untuned", &manifest.untuned)?, half("tuned", &manifest.tuned)?);
        let pair_text = match (&manifest.untuned, &manifest.tuned, words.flatten()) {
            (Some(untuned), Some(tuned), Some(own)) => {
                Some([text("untuned", untuned, "", own)?, text("tuned", tuned, "", own)?])
            }
            _ => None,
        };
        let value = match (&manifest.value, &models.value) {
            (Some(role), Some(ValueGuide { words: Some(words), .. })) => {
                ValuePrompt::Text(text("value", role, "", words.tokenizer())?)
            }
            (Some(role), Some(_)) => ValuePrompt::Tokens(encode("value", role, "")?),
            _ => ValuePrompt::Tokens(Vec::new()),
        };
        let base = |instruction: &str| encode("base", &manifest.base, instruction);
        let steers = steers.iter().map(|steer| Ok([base(&steer.away)?, base(&steer.towards)?]));
        let steers = steers.collect::<Result<_, GuidanceError>>()?;
        Ok(Prompts { base: base("")?, untuned, tuned, pair_text, value, steers })
    }

    /// Returns whether the base has a place for instructions: a chat template, or a template with
    /// `{instruction}`. Otherwise they are text before the prompt, which a model follows loosely.
    pub fn reads_instructions(&self) -> bool {
        self.manifest.base.has_place_for_instruction()
    }

    /// Returns the text that a role reads for a typed prompt.
    fn prompt_text(
        &self,
        reading: &Reading<'_>,
        tokenizer: &Tokenizer,
    ) -> Result<PromptText, GuidanceError> {
        let Reading { role_name, role, prompt, instruction, options } = *reading;
        let chat = self.chats.iter().find(|(role, _)| *role == role_name);
        let text = match (&role.prompt, chat) {
            (PromptStyle::Chat { system }, Some((_, template))) => {
                let controls = tokenizer.controls();
                let render = |system: Option<&str>, user: &str| {
                    template.prompt(system, user, controls, options.time)
                };
                let own = system.as_deref();
                match instruction {
                    "" => render(own, prompt)?,
                    _ => {
                        let system = own.map_or_else(String::new, |own| format!("{own}\n"));
                        let system = format!("{system}{instruction}");
                        let shows = |text: &PromptText| text.text().contains(instruction);
                        match render(Some(&system), prompt) {
                            Ok(text) if shows(&text) => text,
                            // The template has no system prompt.
                            _ => render(own, &format!("{instruction}\n\n{prompt}"))?,
                        }
                    }
                }
            }
            // Loading rejects a chat role without a template.
            _ => role.fill(prompt, instruction),
        };
        Ok(if options.special_tokens { PromptText::control(text.text()) } else { text })
    }
}
