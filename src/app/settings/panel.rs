//! The prompt and the decoding settings.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::RangeInclusive;

use eframe::egui::{Align, DragValue, Label, Layout, Response, RichText, Sense, Ui, vec2};

use super::limits_panel::{add_limit, guidance_limits};
use super::prompt_box::prompt_box;
use super::scales::{beta_scale, lambda_scale, limits_of, parse_number, rounded};
use super::steer_panel::{add_steer, steers};
use crate::app::action::Action;
use crate::app::action::GENERATE;
use crate::app::state::availability::{Control, disabled_reason, run_disabled_reason};
use crate::app::state::preferences::Preferences;
use crate::app::state::session::Session;
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{
    Edit, Explain, Icon, Scale, Setting, chip, icon_button, primary_button, secondary_button,
    segmented, within,
};
use crate::format::{counted, minus};
use crate::guidance::settings::{Settings, ValueSource, limits};
use crate::worker::protocol::PackInfo;

/// Draws the prompt and the decoding settings.
pub(crate) struct Controls<'a> {
    /// Decides which settings apply.
    pub(crate) session: &'a Session,
    /// The prompt and settings that are edited.
    pub(crate) preferences: &'a mut Preferences,
}

impl Controls<'_> {
    /// Draws all settings, in groups.
    pub(crate) fn settings(&mut self, ui: &mut Ui) -> Edit {
        let mut edit = self.guidance(ui);
        edit |= self.search(ui);
        edit |= self.sampling(ui);
        edit
    }

    /// Draws the prompt, the examples, and the buttons that start and stop a run.
    pub(crate) fn prompt(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let heading = group(ui, "Prompt");
        prompt_box(ui, &mut self.preferences.prompt, &heading);
        self.control_tokens(ui);
        self.examples(ui);
        self.buttons(ui, actions);
    }

    /// Draws the switch for control tokens, if the prompt contains one or the switch is on.
    fn control_tokens(&mut self, ui: &mut Ui) {
        let pack = self.session.pack.as_ref();
        let found = pack.and_then(|pack| pack.control_in(&self.preferences.prompt));
        let special = &mut self.preferences.settings.special_tokens;
        let label = match found {
            Some(name) => format!("Read {} as a control token", truncated(name, 24)),
            None if *special => "Read control tokens in the prompt".to_owned(),
            None => return,
        };
        ui.checkbox(special, label).explain(
            ui,
            "If off, control tokens in the prompt are read as plain text. Then pasted text cannot \
             end a turn or start a new one.",
        );
    }

    fn examples(&mut self, ui: &mut Ui) {
        let Some(pack) = &self.session.pack else { return };
        let prompt = &mut self.preferences.prompt;
        ui.scope(|ui| {
            // Must be set before the layout starts, because a row is at least as high as a control.
            let spacing = ui.spacing_mut();
            spacing.item_spacing = vec2(6.0, 6.0);
            spacing.button_padding = vec2(9.0, 2.0);
            spacing.interact_size.y = 22.0;
            ui.horizontal_wrapped(|ui| {
                for example in &pack.examples {
                    let response = chip(ui, &truncated(example, 36), prompt == example);
                    let response = response.accessible_name(format!("Example: {example}"));
                    if response.explain(ui, example).clicked() {
                        prompt.clone_from(example);
                    }
                }
            });
        });
    }

    /// Draws the Generate and Stop buttons over the available width.
    pub(crate) fn buttons(&self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let reason = run_disabled_reason(self.preferences, self.session.pack.as_ref());
        ui.horizontal(|ui| {
            let stop_width = 88.0;
            let width = ui.available_width() - stop_width - space::S;
            let generate = primary_button(ui, "Generate", width, reason.is_none());
            let generate = match &reason {
                Some(reason) => generate.explain_disabled(ui, reason),
                None => generate.explain(
                    ui,
                    &format!(
                        "Generates a response in every column. {}",
                        ui.ctx().format_shortcut(&GENERATE)
                    ),
                ),
            };
            if generate.clicked() {
                actions.push(Action::Generate);
            }
            let stop = secondary_button(ui, "Stop", stop_width, self.session.is_running());
            let stop = stop.explain(ui, "Stops all columns and keeps their text. Esc");
            if stop.explain_disabled(ui, "Nothing is running.").clicked() {
                actions.push(Action::Stop);
            }
        });
    }

    fn guidance(&mut self, ui: &mut Ui) -> Edit {
        group(ui, "Guidance");
        let session = self.session;
        let pack = session.pack.as_ref();
        let s = &mut self.preferences.settings;
        let default = defaults(pack);
        let scale = beta_scale();
        let hint = "Strength of guidance by the tuned and the untuned model at each token. 0 is \
                    off. Negative values reverse the guidance.";
        let beta = Setting::new("Token guidance β", hint, scale, rounded(default.beta));
        let mut edit = beta
            .origin(0.0)
            .marks(&[(-3.0, "−3"), (0.0, "0 off"), (3.0, "+3")])
            .number_format(|v| minus(&format!("{v:.2}")), parse_number)
            .disabled_reason(disabled_reason(Control::Beta, s, pack))
            .show_f32(ui, &mut s.beta);
        edit |= self.token_source(ui);
        let pack = self.session.pack.as_ref();
        let s = &mut self.preferences.settings;
        let scale = lambda_scale();
        let hint = "How strongly the value decides which chunks are kept. 0 keeps random chunks, \
                    ∞ keeps the best, as in the paper.";
        let lambda = Setting::new("Chunk guidance λ", hint, scale, rounded(default.lambda));
        edit |= lambda
            .marks(&[(0.0, "0 off"), (1.0, "1"), (10.0, "10"), (f64::INFINITY, "∞")])
            .number_format(lambda_text, parse_lambda)
            .disabled_reason(disabled_reason(Control::Lambda, s, pack))
            .show_f32(ui, &mut s.lambda);
        edit |= self.value_source(ui);
        edit |= steers(ui, &mut self.preferences.settings, self.session.pack.as_ref());
        edit |= guidance_limits(ui, &mut self.preferences.settings);
        ui.horizontal_wrapped(|ui| {
            edit |= add_steer(ui, &mut self.preferences.settings);
            edit |= add_limit(ui, &mut self.preferences.settings);
        });
        edit
    }

    /// Draws the choice of the guide that β applies to, if the pack has a value model.
    fn token_source(&mut self, ui: &mut Ui) -> Edit {
        let has_value = self.session.pack.as_ref().is_none_or(|p| p.has_value);
        let s = &mut self.preferences.settings;
        if !has_value && s.token_source == ValueSource::Implicit {
            return Edit::default();
        }
        let choices = [
            (
                ValueSource::Explicit,
                "Value model",
                "Guides tokens by the value model's prediction for each of the likeliest tokens. \
                 Slower than implicit values.",
                None,
            ),
            (
                ValueSource::Implicit,
                "Implicit",
                "Guides tokens by the log-probability ratio of the tuned and the untuned model.",
                None,
            ),
        ];
        row(ui, "Guide tokens by", |ui, _| {
            Edit::at_once(segmented(ui, "Guide tokens by", &choices, &mut s.token_source))
        })
    }

    fn value_source(&mut self, ui: &mut Ui) -> Edit {
        let pack = self.session.pack.as_ref();
        let s = &mut self.preferences.settings;
        let choices = [
            (
                ValueSource::Explicit,
                "Value model",
                "Ranks chunks by the value model's prediction of the final reward.",
                disabled_reason(Control::ExplicitValue, s, pack),
            ),
            (
                ValueSource::Implicit,
                "Implicit",
                "Ranks chunks by the log-probability ratio of the tuned and the untuned model.",
                disabled_reason(Control::ImplicitValue, s, pack),
            ),
        ];
        row(ui, "Rank chunks by", |ui, _| {
            Edit::at_once(segmented(ui, "Rank chunks by", &choices, &mut s.value_source))
        })
    }

    fn search(&mut self, ui: &mut Ui) -> Edit {
        group(ui, "Search");
        let pack = self.session.pack.as_ref();
        let s = &mut self.preferences.settings;
        let default = defaults(pack);
        let max_rows = *limits::ROWS.end();
        let reason = disabled_reason(Control::Rows, s, pack);
        let hint = "Partial responses kept after each chunk.";
        let beams = Setting::new("Beams W", hint, integers(&limits::BEAMS), default.beams as f64);
        let mut edit = beams.disabled_reason(reason).show_usize(ui, &mut s.beams);
        s.beams = s.beams.min(max_rows / s.successors.max(1));
        let hint = "Continuations sampled from each beam. With 1, every beam is kept.";
        let scale = integers(&limits::SUCCESSORS);
        let successors = Setting::new("Successors K", hint, scale, default.successors as f64);
        edit |= successors.disabled_reason(reason).show_usize(ui, &mut s.successors);
        s.successors = s.successors.min(max_rows / s.beams.max(1));
        let hint = "Tokens sampled between two selections.";
        let scale = decades(&limits::CHUNK_TOKENS, *limits::CHUNK_TOKENS.end());
        let chunk = Setting::new("Chunk length L", hint, scale, default.chunk_tokens as f64);
        let chunk = chunk.number_format(tokens, parse_tokens).disabled_reason(reason);
        edit |= chunk.show_usize(ui, &mut s.chunk_tokens);
        if reason.is_some() {
            return edit;
        }
        let rows = s.beams * s.successors;
        let words = if rows + s.beams.min(s.successors) > max_rows {
            format!("{rows} candidates at a time (W × K, at most {max_rows})")
        } else {
            format!("{} at a time (W × K)", counted(rows, "candidate"))
        };
        let words = RichText::new(words).font(text::small()).color(Palette::of(ui).weak);
        ui.add(Label::new(words).selectable(false));
        edit
    }

    fn sampling(&mut self, ui: &mut Ui) -> Edit {
        group(ui, "Sampling");
        let pack = self.session.pack.as_ref();
        let s = &mut self.preferences.settings;
        let default = defaults(pack);
        let (low, high) = limits_of(&limits::TEMPERATURE);
        let scale = Scale::Linear { min: low, max: high, step: 0.05, snap: 0.0 };
        let hint = "Randomness of sampling. 0 always takes the most likely token.";
        let mut edit = Setting::new("Temperature", hint, scale, rounded(default.temperature))
            .number_format(|v| minus(&format!("{v:.2}")), parse_number)
            .show_f32(ui, &mut s.temperature);
        let (low, high) = limits_of(&limits::TOP_P);
        let scale = Scale::Linear { min: low, max: high, step: 0.01, snap: 0.0 };
        let hint = "Samples only from the most likely tokens with this total probability.";
        edit |= Setting::new("Top-p", hint, scale, rounded(default.top_p))
            .number_format(
                |v| if v >= 1.0 { "off".into() } else { format!("{v:.2}") },
                |t| parse_or_off(t, 1.0),
            )
            .origin(high)
            .disabled_reason(disabled_reason(Control::TopP, s, pack))
            .show_f32(ui, &mut s.top_p);
        let (min, max) = (1.0, *limits::TOP_K.end() as f64);
        let scale =
            Scale::Decades { min, max, has_zero: true, has_infinity: false, is_integer: true };
        let hint = "Samples only from this number of most likely tokens.";
        edit |= Setting::new("Top-k", hint, scale, default.top_k as f64)
            .number_format(
                |v| if v < 1.0 { "off".into() } else { format!("{v:.0}") },
                |t| parse_or_off(t, 0.0),
            )
            .disabled_reason(disabled_reason(Control::TopK, s, pack))
            .show_usize(ui, &mut s.top_k);
        let context = pack.map_or(usize::MAX, |p| p.context_tokens);
        let max_length = context.clamp(*limits::MAX_TOKENS.start() + 1, *limits::MAX_TOKENS.end());
        let hint = "Maximum number of new tokens per response.";
        let scale = decades(&limits::MAX_TOKENS, max_length);
        edit |= Setting::new("Length", hint, scale, default.max_tokens as f64)
            .number_format(tokens, parse_tokens)
            .show_usize(ui, &mut s.max_tokens);
        edit |= seed(ui, &mut s.seed);
        edit
    }
}

/// Returns the default settings: those of the pack, or the built-in ones if no pack is loaded.
fn defaults(pack: Option<&PackInfo>) -> Settings {
    pack.map_or_else(Settings::default, |p| p.defaults.clone())
}

fn seed(ui: &mut Ui, seed: &mut u64) -> Edit {
    row(ui, "Seed", |ui, name| {
        let before = *seed;
        let size = vec2(84.0, space::ROW - 2.0);
        // The number box cannot represent all larger numbers exactly.
        let number = DragValue::new(seed).range(0..=u64::from(u32::MAX)).speed(0.1);
        let number = number.update_while_editing(false).clip_text(true).min_size(size);
        ui.spacing_mut().item_spacing.x = space::XS;
        let response = ui.add_sized(size, number).labelled_by(name.id);
        let response = response.explain(
            ui,
            "Start value of the random numbers. The same seed gives the same responses again.",
        );
        if icon_button(ui, Icon::Dice, "Draw another seed").clicked() {
            *seed = fresh_seed(before);
            return Edit::at_once(true);
        }
        let entered = response.changed() && !response.dragged();
        Edit { changed: *seed != before, committed: entered || response.drag_stopped() }
    })
}

/// Returns a random seed from 1 to 999,999 that differs from `before`. Six digits are easy to read
/// aloud.
pub(in crate::app) fn fresh_seed(before: u64) -> u64 {
    let drawn = RandomState::new().build_hasher().finish() % 999_999 + 1;
    if drawn == before { drawn % 999_999 + 1 } else { drawn }
}

/// Draws the heading of a group of settings.
fn group(ui: &mut Ui, name: &str) -> Response {
    ui.add_space(space::XS);
    let words = RichText::new(name).font(text::group()).color(Palette::of(ui).guided);
    ui.add(Label::new(words).selectable(false))
}

/// Draws a row with a name on the left and a control on the right.
fn row(ui: &mut Ui, name: &str, control: impl FnOnce(&mut Ui, &Response) -> Edit) -> Edit {
    let size = vec2(ui.available_width(), space::ROW);
    let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
    within(ui, rect, |ui| {
        let name = ui.add(Label::new(name).selectable(false));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| control(ui, &name)).inner
    })
}

impl Setting<'_> {
    fn show_f32(self, ui: &mut Ui, value: &mut f32) -> Edit {
        let mut number = rounded(*value);
        let edit = self.show(ui, &mut number);
        if edit.changed {
            *value = number as f32;
        }
        edit
    }

    fn show_usize(self, ui: &mut Ui, value: &mut usize) -> Edit {
        let mut number = *value as f64;
        let edit = self.show(ui, &mut number);
        if edit.changed {
            *value = number.round() as usize;
        }
        edit
    }
}

fn integers(range: &RangeInclusive<usize>) -> Scale {
    let (min, max) = (*range.start() as f64, *range.end() as f64);
    Scale::Linear { min, max, step: 1.0, snap: 0.0 }
}

fn decades(range: &RangeInclusive<usize>, max: usize) -> Scale {
    let (min, max) = (*range.start() as f64, max as f64);
    Scale::Decades { min, max, has_zero: false, has_infinity: false, is_integer: true }
}

fn lambda_text(value: f64) -> String {
    if value == f64::INFINITY { "∞ (paper)".into() } else { crate::format::plain(value) }
}

fn parse_lambda(text: &str) -> Option<f64> {
    let text = text.trim().to_lowercase();
    if ["inf", "infinity", "∞", "∞ (paper)"].contains(&text.as_str()) {
        return Some(f64::INFINITY);
    }
    let number = parse_or_off(&text, 0.0)?;
    // Clamps finite numbers to the limit. Only "inf" selects the paper's rule.
    Some(number.min(f64::from(*limits::LAMBDA.end())))
}

/// Returns a number of tokens with its unit.
fn tokens(value: f64) -> String {
    format!("{value:.0} tok")
}

fn parse_tokens(text: &str) -> Option<f64> {
    parse_number(text.trim_end_matches(|c: char| c.is_alphabetic() || c.is_whitespace()))
}

fn parse_or_off(text: &str, value: f64) -> Option<f64> {
    if text.trim().eq_ignore_ascii_case("off") { Some(value) } else { parse_number(text) }
}

fn truncated(text: &str, max_length: usize) -> String {
    if text.chars().count() <= max_length {
        return text.to_owned();
    }
    let cut: String = text.chars().take(max_length - 1).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_lambda() {
        for (text, number) in [
            ("inf", f64::INFINITY),
            (" ∞ ", f64::INFINITY),
            ("2.5", 2.5),
            ("2,5", 2.5),
            ("off", 0.0),
        ] {
            assert_eq!(parse_lambda(text), Some(number), "{text}");
        }
        assert_eq!(parse_lambda("1e9"), Some(100.0));
        assert_eq!(parse_lambda("much"), None);
        assert_eq!(parse_lambda(&lambda_text(f64::INFINITY)), Some(f64::INFINITY));
    }

    #[test]
    fn parses_a_number_of_tokens_with_or_without_its_unit() {
        for text in ["120", " 120 tok", "120tokens "] {
            assert_eq!(parse_tokens(text), Some(120.0), "{text}");
        }
        assert_eq!(parse_tokens(&tokens(5.0)), Some(5.0));
        assert_eq!(parse_tokens("tok"), None);
    }

    #[test]
    fn a_fresh_seed_differs_from_the_last_one() {
        for seed in [1, 999_999, 0] {
            assert_ne!(fresh_seed(seed), seed);
        }
    }

    #[test]
    fn cuts_long_examples() {
        assert_eq!(truncated("Ein schöner Tag", 20), "Ein schöner Tag");
        assert_eq!(truncated("Ein schöner Tag", 9), "Ein schö…");
    }
}
