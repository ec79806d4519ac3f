//! The prompt, and everything that can be turned.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::RangeInclusive;

use eframe::egui::{Align, DragValue, Label, Layout, Response, RichText, Sense, Ui, vec2};

use super::Action;
use crate::app::availability::{Control, why_no_run, why_not};
use crate::app::preferences::Preferences;
use crate::app::prompt_box::prompt_box;
use crate::app::session::Session;
use crate::app::shortcuts::GENERATE;
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{
    Edit, Icon, Scale, Setting, chip, icon_button, primary_button, secondary_button, segmented,
    within,
};
use crate::guidance::settings::{Settings, ValueSource, limits};
use crate::words::minus;
use crate::worker::protocol::PackInfo;

/// The controls.
pub struct Controls<'a> {
    /// Says what applies.
    pub session: &'a Session,
    /// What is being turned.
    pub preferences: &'a mut Preferences,
}

/// The smallest λ above 0 on the rail. Values spread over a few units, so below this the choice
/// is as good as random.
const LEAST_LAMBDA: f64 = 0.1;

impl Controls<'_> {
    /// Everything that can be turned, in groups.
    pub fn settings(&mut self, ui: &mut Ui) -> Edit {
        let mut edit = self.guidance(ui);
        edit |= self.search(ui);
        edit |= self.sampling(ui);
        edit
    }

    /// The prompt, examples, and the buttons that start and stop a run.
    pub fn prompt(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let heading = group(ui, "Prompt");
        prompt_box(ui, &mut self.preferences.prompt, &heading);
        self.control_tokens(ui);
        self.examples(ui);
        self.buttons(ui, actions);
    }

    /// Offers to recognise control tokens where the prompt holds one.
    fn control_tokens(&mut self, ui: &mut Ui) {
        let pack = self.session.pack.as_ref();
        let found = pack.and_then(|pack| pack.control_in(&self.preferences.prompt));
        let special = &mut self.preferences.settings.special_tokens;
        let label = match found {
            Some(name) => format!("Read {} as a control token", shorten(name, 24)),
            None if *special => "Read control tokens in the prompt".to_owned(),
            None => return,
        };
        ui.checkbox(special, label).on_hover_text(
            "Off, control tokens in the prompt are read as plain text, so that pasted text cannot \
             end a turn or start another.",
        );
    }

    fn examples(&mut self, ui: &mut Ui) {
        let Some(pack) = &self.session.pack else { return };
        let prompt = &mut self.preferences.prompt;
        ui.scope(|ui| {
            // Before the rows begin: a row is at least as high as a control.
            let spacing = ui.spacing_mut();
            spacing.item_spacing = vec2(6.0, 6.0);
            spacing.button_padding = vec2(9.0, 2.0);
            spacing.interact_size.y = 22.0;
            ui.horizontal_wrapped(|ui| {
                for example in &pack.examples {
                    let response = chip(ui, &shorten(example, 36), prompt == example);
                    let response = response.accessible_name(format!("Example: {example}"));
                    if response.on_hover_text(example).clicked() {
                        prompt.clone_from(example);
                    }
                }
            });
        });
    }

    /// Generate and Stop, over the width there is.
    pub(super) fn buttons(&self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let reason = why_no_run(self.preferences, self.session.pack.as_ref());
        ui.horizontal(|ui| {
            let stop_width = 88.0;
            let width = ui.available_width() - stop_width - space::S;
            let generate = primary_button(ui, "Generate", width, reason.is_none());
            let generate = match &reason {
                Some(reason) => generate.on_disabled_hover_text(reason),
                None => generate.on_hover_text(format!(
                    "Answers the prompt in every column. {}",
                    ui.ctx().format_shortcut(&GENERATE)
                )),
            };
            if generate.clicked() {
                actions.push(Action::Generate);
            }
            let stop = secondary_button(ui, "Stop", stop_width, self.session.is_running());
            let stop = stop.on_hover_text("Ends every answer and keeps its text. Esc");
            if stop.on_disabled_hover_text("Nothing is running.").clicked() {
                actions.push(Action::Stop);
            }
        });
    }

    fn guidance(&mut self, ui: &mut Ui) -> Edit {
        group(ui, "Guidance");
        let session = self.session;
        let pack = session.pack.as_ref();
        let s = &mut self.preferences.settings;
        let standard = defaults(pack);
        let (low, high) = ends(&limits::BETA);
        let scale = Scale::Linear { min: low, max: high, step: 0.05, magnet: 0.08 };
        let hint = "How strongly every token follows the tuned model and shuns the untuned one; \
                    0 is off, below 0 does the opposite.";
        let beta = Setting::new("Token guidance β", hint, scale, exact(standard.beta));
        let mut edit = beta
            .origin(0.0)
            .marks(&[(-3.0, "−3"), (0.0, "0 off"), (3.0, "+3")])
            .words(|v| minus(&format!("{v:.2}")), signed)
            .why_not(why_not(Control::Beta, s, pack))
            .show_f32(ui, &mut s.beta);
        let (_, high) = ends(&limits::LAMBDA);
        let scale = Scale::Decades {
            least: LEAST_LAMBDA,
            max: high,
            zero: true,
            endless: true,
            whole: false,
        };
        let hint = "How strongly the value decides which chunks are kept: 0 keeps them at random, \
                    ∞ keeps the best, as the paper does.";
        let lambda = Setting::new("Chunk guidance λ", hint, scale, exact(standard.lambda));
        edit |= lambda
            .marks(&[(0.0, "0 off"), (1.0, "1"), (10.0, "10"), (f64::INFINITY, "∞")])
            .words(lambda_words, lambda_number)
            .why_not(why_not(Control::Lambda, s, pack))
            .show_f32(ui, &mut s.lambda);
        edit |= self.value_source(ui);
        edit
    }

    fn value_source(&mut self, ui: &mut Ui) -> Edit {
        let pack = self.session.pack.as_ref();
        let s = &mut self.preferences.settings;
        let choices = [
            (
                ValueSource::Explicit,
                "Value model",
                "Ranks chunks by the value model's prediction of the final reward.",
                why_not(Control::ExplicitValue, s, pack),
            ),
            (
                ValueSource::Implicit,
                "Implicit",
                "Ranks chunks by how much likelier the tuned model finds them than the untuned one.",
                why_not(Control::ImplicitValue, s, pack),
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
        let standard = defaults(pack);
        let most = *limits::ROWS.end();
        let why = why_not(Control::Rows, s, pack);
        let hint = "Partial responses kept after every chunk.";
        let beams = Setting::new("Beams W", hint, whole(&limits::BEAMS), standard.beams as f64);
        let mut edit = beams.why_not(why).show_usize(ui, &mut s.beams);
        s.beams = s.beams.min(most / s.successors.max(1));
        let hint = "Continuations sampled from every beam; with one there is nothing to choose.";
        let scale = whole(&limits::SUCCESSORS);
        let successors = Setting::new("Successors K", hint, scale, standard.successors as f64);
        edit |= successors.why_not(why).show_usize(ui, &mut s.successors);
        s.successors = s.successors.min(most / s.beams.max(1));
        let hint = "Tokens sampled between two choices.";
        let scale = decades(&limits::CHUNK_TOKENS, *limits::CHUNK_TOKENS.end());
        let chunk = Setting::new("Chunk length L", hint, scale, standard.chunk_tokens as f64);
        let chunk = chunk.words(tokens, tokens_number).why_not(why);
        edit |= chunk.show_usize(ui, &mut s.chunk_tokens);
        if why.is_some() {
            return edit;
        }
        let rows = s.beams * s.successors;
        let words = if rows + s.beams.min(s.successors) > most {
            format!("W·K = {rows} rows, the most that decode together.")
        } else {
            match rows {
                1 => "W·K = 1: a single row decodes.".to_owned(),
                rows => format!("W·K = {rows} rows decode together."),
            }
        };
        let words = RichText::new(words).font(text::small()).color(Palette::of(ui).weak);
        ui.add(Label::new(words).selectable(false));
        edit
    }

    fn sampling(&mut self, ui: &mut Ui) -> Edit {
        group(ui, "Sampling");
        let pack = self.session.pack.as_ref();
        let s = &mut self.preferences.settings;
        let standard = defaults(pack);
        let (low, high) = ends(&limits::TEMPERATURE);
        let scale = Scale::Linear { min: low, max: high, step: 0.05, magnet: 0.0 };
        let hint = "How freely tokens are drawn; 0 always takes the likeliest.";
        let mut edit = Setting::new("Temperature", hint, scale, exact(standard.temperature))
            .words(|v| minus(&format!("{v:.2}")), signed)
            .show_f32(ui, &mut s.temperature);
        let (low, high) = ends(&limits::TOP_P);
        let scale = Scale::Linear { min: low, max: high, step: 0.01, magnet: 0.0 };
        let hint = "Draws only from the likeliest tokens that together have this probability.";
        edit |= Setting::new("Top-p", hint, scale, exact(standard.top_p))
            .words(|v| if v >= 1.0 { "off".into() } else { format!("{v:.2}") }, |t| off(t, 1.0))
            .origin(high)
            .why_not(why_not(Control::TopP, s, pack))
            .show_f32(ui, &mut s.top_p);
        let (least, high) = (1.0, *limits::TOP_K.end() as f64);
        let scale = Scale::Decades { least, max: high, zero: true, endless: false, whole: true };
        let hint = "Draws only from this many likeliest tokens.";
        edit |= Setting::new("Top-k", hint, scale, standard.top_k as f64)
            .words(|v| if v < 1.0 { "off".into() } else { format!("{v:.0}") }, |t| off(t, 0.0))
            .why_not(why_not(Control::TopK, s, pack))
            .show_usize(ui, &mut s.top_k);
        let context = pack.map_or(usize::MAX, |p| p.context_tokens);
        let longest = context.clamp(*limits::MAX_TOKENS.start() + 1, *limits::MAX_TOKENS.end());
        let hint = "New tokens per response, at most.";
        let scale = decades(&limits::MAX_TOKENS, longest);
        edit |= Setting::new("Length", hint, scale, standard.max_tokens as f64)
            .words(tokens, tokens_number)
            .show_usize(ui, &mut s.max_tokens);
        edit |= seed(ui, &mut s.seed);
        edit
    }
}

/// Where a double-click leads back to: the pack's own settings, if there is one.
fn defaults(pack: Option<&PackInfo>) -> Settings {
    pack.map_or_else(Settings::default, |p| p.defaults.clone())
}

fn seed(ui: &mut Ui, seed: &mut u64) -> Edit {
    row(ui, "Seed", |ui, name| {
        let before = *seed;
        let size = vec2(84.0, space::ROW - 2.0);
        // Numbers beyond this cannot be told apart by the number box.
        let number = DragValue::new(seed).range(0..=u64::from(u32::MAX)).speed(0.1);
        let number = number.update_while_editing(false).clip_text(true).min_size(size);
        ui.spacing_mut().item_spacing.x = space::XS;
        let response = ui.add_sized(size, number).labelled_by(name.id);
        let response = response.on_hover_text(
            "Where the random draws start: the same seed gives the same texts again.",
        );
        if icon_button(ui, Icon::Dice, "Draw another seed").clicked() {
            *seed = fresh_seed(before);
            return Edit::at_once(true);
        }
        let entered = response.changed() && !response.dragged();
        Edit { changed: *seed != before, committed: entered || response.drag_stopped() }
    })
}

/// Six digits are enough to be new and few enough to be read out.
pub(in crate::app) fn fresh_seed(before: u64) -> u64 {
    let drawn = RandomState::new().build_hasher().finish() % 999_999 + 1;
    if drawn == before { drawn % 999_999 + 1 } else { drawn }
}

/// A heading of a group of settings.
fn group(ui: &mut Ui, name: &str) -> Response {
    ui.add_space(space::XS);
    let words = RichText::new(name).font(text::group()).color(Palette::of(ui).guided);
    ui.add(Label::new(words).selectable(false))
}

/// A row with a name on the left and a control at the right edge.
fn row(ui: &mut Ui, name: &str, control: impl FnOnce(&mut Ui, &Response) -> Edit) -> Edit {
    let size = vec2(ui.available_width(), space::ROW);
    let (place, _) = ui.allocate_exact_size(size, Sense::hover());
    within(ui, place, |ui| {
        let name = ui.add(Label::new(name).selectable(false));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| control(ui, &name)).inner
    })
}

impl Setting<'_> {
    fn show_f32(self, ui: &mut Ui, value: &mut f32) -> Edit {
        let mut number = exact(*value);
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

/// The decimal that a person meant: 0.7, not 0.699999988.
fn exact(value: f32) -> f64 {
    if value.is_finite() { (f64::from(value) * 1e5).round() / 1e5 } else { f64::from(value) }
}

fn ends(range: &RangeInclusive<f32>) -> (f64, f64) {
    (exact(*range.start()), exact(*range.end()))
}

fn whole(range: &RangeInclusive<usize>) -> Scale {
    let (min, max) = (*range.start() as f64, *range.end() as f64);
    Scale::Linear { min, max, step: 1.0, magnet: 0.0 }
}

fn decades(range: &RangeInclusive<usize>, max: usize) -> Scale {
    let (least, max) = (*range.start() as f64, max as f64);
    Scale::Decades { least, max, zero: false, endless: false, whole: true }
}

fn lambda_words(value: f64) -> String {
    if value == f64::INFINITY { "∞ (paper)".into() } else { crate::words::plain(value) }
}

fn lambda_number(text: &str) -> Option<f64> {
    let text = text.trim().to_lowercase();
    if ["inf", "infinity", "∞", "∞ (paper)"].contains(&text.as_str()) {
        return Some(f64::INFINITY);
    }
    let number = off(&text, 0.0)?;
    // Beyond the finite limit there is only the hard rule.
    Some(number.min(f64::from(*limits::LAMBDA.end())))
}

/// A number of tokens, with its unit.
fn tokens(value: f64) -> String {
    format!("{value:.0} tok")
}

fn tokens_number(text: &str) -> Option<f64> {
    signed(text.trim_end_matches(|c: char| c.is_alphabetic() || c.is_whitespace()))
}

/// A number whose minus may be the typographic one.
fn signed(text: &str) -> Option<f64> {
    text.trim().replace('−', "-").replace(',', ".").parse().ok()
}

fn off(text: &str, value: f64) -> Option<f64> {
    if text.trim().eq_ignore_ascii_case("off") { Some(value) } else { signed(text) }
}

fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let cut: String = text.chars().take(most - 1).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambda_is_read_as_people_write_it() {
        for (text, number) in [
            ("inf", f64::INFINITY),
            (" ∞ ", f64::INFINITY),
            ("2.5", 2.5),
            ("2,5", 2.5),
            ("off", 0.0),
        ] {
            assert_eq!(lambda_number(text), Some(number), "{text}");
        }
        assert_eq!(lambda_number("1e9"), Some(100.0));
        assert_eq!(lambda_number("much"), None);
        assert_eq!(lambda_number(&lambda_words(f64::INFINITY)), Some(f64::INFINITY));
    }

    #[test]
    fn a_number_of_tokens_is_read_with_its_unit_or_without() {
        for text in ["120", " 120 tok", "120tokens "] {
            assert_eq!(tokens_number(text), Some(120.0), "{text}");
        }
        assert_eq!(tokens_number(&tokens(5.0)), Some(5.0));
        assert_eq!(tokens_number("tok"), None);
    }

    #[test]
    fn the_dice_never_repeat_the_seed() {
        for seed in [1, 999_999, 0] {
            assert_ne!(fresh_seed(seed), seed);
        }
    }

    #[test]
    fn long_examples_are_cut_between_letters() {
        assert_eq!(shorten("Ein schöner Tag", 20), "Ein schöner Tag");
        assert_eq!(shorten("Ein schöner Tag", 9), "Ein schö…");
    }
}
