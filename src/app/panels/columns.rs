//! The two responses, side by side, and the figures under each.

use eframe::egui::{
    Align, Align2, Label, Layout, Rect, RichText, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui,
    UiBuilder, WidgetInfo, pos2, text_selection::LabelSelectionState, vec2,
};

use crate::app::coloring::{Coloring, Legend};
use crate::app::preferences::Preferences;
use crate::app::response;
use crate::app::session::{ArmView, Phase, Session};
use crate::app::theme::{Palette, space, text};
use crate::app::token_card::TokenCard;
use crate::app::widgets::{Mark, marker, segmented, within};
use crate::guidance::settings::Arm;
use crate::words::{minus, plain};

/// Height of a row of figures: a caption and a number.
const FIGURE: f32 = 38.0;
/// Figures under a response.
const FIGURES: usize = 7;
/// Those that an audience sees.
const PRESENTED: [&str; 4] = ["Gold", "Value", "KL, nats", "Perplexity"];
/// Width that a figure needs, the longest caption and a gap.
const FIGURE_WIDTH: f32 = 66.0;

/// Both columns.
pub struct Columns<'a> {
    /// What they show.
    pub session: &'a Session,
    /// The next run, named in the headings until there is one, and how tokens are coloured.
    pub preferences: &'a mut Preferences,
    /// Leave out what an audience need not see.
    pub presenting: bool,
}

impl Columns<'_> {
    /// Shows them over the whole of `ui`.
    pub fn show(self, ui: &mut Ui) {
        if !self.presenting || self.preferences.coloring != Coloring::Plain {
            tools(ui, &mut self.preferences.coloring);
        }
        let area = ui.available_rect_before_wrap();
        let width = (area.width() - space::M) / 2.0;
        for (i, arm) in [Arm::Base, Arm::Ivg].into_iter().enumerate() {
            let left = area.left() + i as f32 * (width + space::M);
            let rect = Rect::from_min_size(pos2(left, area.top()), vec2(width, area.height()));
            self.column(ui, rect, arm);
        }
        ui.advance_cursor_after_rect(area);
    }

    /// A card: heading, text, a line, figures. The text gets what the others leave.
    fn column(&self, ui: &mut Ui, card: Rect, arm: Arm) {
        let p = Palette::of(ui);
        let stroke = Stroke::new(1.0, p.border);
        ui.painter().rect(card, space::CARD_RADIUS, p.surface, stroke, StrokeKind::Inside);
        let inside = card.shrink2(vec2(space::L, space::M));
        let heading = inside.with_max_y(inside.top() + space::ROW);
        let count = if self.presenting { PRESENTED.len() } else { FIGURES };
        let rows = if inside.width() < count as f32 * FIGURE_WIDTH { 2.0 } else { 1.0 };
        let figures_at = inside.with_min_y(inside.bottom() - rows * (FIGURE + space::S) + space::S);
        let line = figures_at.top() - space::S;
        let text = inside.with_min_y(heading.bottom() + space::S).with_max_y(line - space::S);
        let view = self.session.arm(arm);
        within(ui, heading, |ui| self.heading(ui, arm, view));
        let builder =
            UiBuilder::new().id_salt(arm).max_rect(text).layout(Layout::top_down(Align::Min));
        self.body(&mut ui.new_child(builder), arm, view);
        ui.painter().hline(inside.x_range(), line, stroke);
        let no_judge = self.session.pack.as_ref().is_some_and(|pack| !pack.has_judge);
        let mut figures = Vec::from(figures(view, no_judge));
        figures.retain(|f| !self.presenting || PRESENTED.contains(&f.name));
        show_figures(ui, figures_at, arm, &figures);
    }

    fn heading(&self, ui: &mut Ui, arm: Arm, view: Option<&ArmView>) {
        let p = Palette::of(ui);
        let used = view
            .map_or_else(|| arm.apply(&self.preferences.settings), |v| v.report.settings.clone());
        let (mark, _) = ui.allocate_exact_size(vec2(24.0, 20.0), Sense::hover());
        let kind = if arm == Arm::Base { Mark::Unguided } else { Mark::Leader };
        marker(ui.painter(), mark.center(), kind, p.arm(arm));
        let words = RichText::new(name_of(arm)).font(text::heading()).color(p.arm(arm));
        ui.add(Label::new(words).selectable(false));
        let what = match arm {
            Arm::Base => "base model".to_owned(),
            _ => format!("IVG · β {} · λ {}", plain(used.beta.into()), plain(used.lambda.into())),
        };
        let what = RichText::new(what).font(text::body()).color(p.weak);
        ui.add(Label::new(what).selectable(false).truncate());
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if let Some(state) = view.and_then(|v| self.state(v)) {
                let words = RichText::new(state).font(text::small()).color(p.weak);
                ui.add(Label::new(words).selectable(false));
            }
        });
    }

    /// What the arm is doing, or why it ended.
    fn state(&self, view: &ArmView) -> Option<&'static str> {
        if view.done {
            return Some(view.report.stop_reason.label());
        }
        match self.session.run.as_ref()?.phase {
            Phase::Starting => Some("reading"),
            Phase::Generating => Some("writing"),
            Phase::Stopping => Some("stopping"),
            Phase::Finished => None,
            Phase::Stopped => Some("stopped"),
            Phase::Failed => Some("failed"),
        }
    }

    fn body(&self, ui: &mut Ui, arm: Arm, view: Option<&ArmView>) {
        let Some((run, view)) = self.session.run.as_ref().zip(view) else {
            return self.empty(ui, arm);
        };
        ScrollArea::vertical().auto_shrink(false).stick_to_bottom(true).show(ui, |ui| {
            // The right margin keeps words clear of the scroll bar.
            ui.set_max_width(ui.available_width() - space::M);
            self.text(ui, &run.request.prompt, view);
        });
    }

    /// The response, to be selected and copied; a token under the pointer says what it is.
    fn text(&self, ui: &mut Ui, prompt: &str, view: &ArmView) {
        let p = Palette::of(ui);
        let job = response::layout(p, prompt, view, self.preferences.coloring);
        let words = job.text.clone();
        let (at, galley, shown) = Label::new(job).wrap().selectable(true).layout_in_ui(ui);
        shown.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
        let stroke = Stroke::NONE;
        let (drawn, ink) = (galley.clone(), p.text);
        LabelSelectionState::label_text_selection(ui, &shown, at, drawn, ink, stroke);
        let pointer = shown.hover_pos().filter(|_| !shown.is_pointer_button_down_on());
        let token = pointer.and_then(|pointer| {
            response::token_at(&galley, pointer - at, prompt, &view.report.tokens)
        });
        if let Some(token) = token {
            shown.on_hover_ui_at_pointer(|ui| TokenCard(token).show(ui));
        }
    }

    fn empty(&self, ui: &Ui, arm: Arm) {
        let p = Palette::of(ui);
        let words = self.invitation(arm);
        let rect = ui.max_rect();
        let wrap = (rect.width() - 2.0 * space::L).max(0.0);
        let galley = ui.painter().layout(words, text::body(), p.weak, wrap);
        let at = Align2::CENTER_CENTER.align_size_within_rect(galley.size(), rect).min;
        ui.painter().galley(at, galley, p.weak);
    }
}

impl Columns<'_> {
    /// What to do to fill an empty column, in one line.
    fn invitation(&self, arm: Arm) -> String {
        let unguided = arm == Arm::Base;
        match (&self.session.loading, &self.session.pack) {
            (Some(loading), None) => {
                format!("Loading {} · {:.0}%", loading.what, loading.fraction * 100.0)
            }
            (None, None) => "No models are loaded.".into(),
            _ if self.preferences.prompt.trim().is_empty() => {
                "Type a prompt or pick an example, then generate.".into()
            }
            _ if unguided => "Generate to read what the base model writes by itself.".into(),
            _ => "Generate to read what it writes under guidance.".into(),
        }
    }
}

/// What the colours of the tokens show, and their scale.
fn tools(ui: &mut Ui, coloring: &mut Coloring) {
    let p = Palette::of(ui);
    ui.horizontal(|ui| {
        let words = RichText::new("Colour tokens by").font(text::small()).color(p.weak);
        ui.add(Label::new(words).selectable(false));
        let choices = Coloring::ALL.map(|(value, label, hint)| (value, label, hint, None));
        segmented(ui, "Colour tokens by", &choices, coloring);
        if let Some(legend) = coloring.legend() {
            ui.add_space(space::XS);
            scale(ui, *coloring, &legend);
        }
    });
    ui.add_space(space::XS);
}

/// The colours of a measure from its lowest to its highest value.
fn scale(ui: &mut Ui, coloring: Coloring, legend: &Legend) {
    const STEPS: usize = 32;
    let p = Palette::of(ui);
    let number = |words: &str| {
        Label::new(RichText::new(words).font(text::small()).color(p.weak)).selectable(false)
    };
    ui.add(number(legend.low));
    let (bar, response) = ui.allocate_exact_size(vec2(128.0, 12.0), Sense::hover());
    let width = bar.width() / STEPS as f32;
    for step in 0..STEPS {
        let left = bar.left() + step as f32 * width;
        let part = Rect::from_min_size(pos2(left, bar.top()), vec2(width, bar.height()));
        let ink = coloring.along((step as f32 + 0.5) / STEPS as f32, p);
        ui.painter().rect_filled(part, 0.0, ink);
    }
    ui.painter().rect_stroke(bar, 2.0, Stroke::new(1.0, p.border), StrokeKind::Outside);
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, legend.words));
    ui.add(number(legend.high));
}

/// One number under a response.
struct Figure {
    name: &'static str,
    number: Option<String>,
    hint: &'static str,
}

fn figures(view: Option<&ArmView>, no_judge: bool) -> [Figure; FIGURES] {
    let report = view.map(|v| &v.report).filter(|r| !r.tokens.is_empty());
    let seconds = report.map(|r| r.elapsed_ms / 1e3);
    let gold = report.and_then(|r| r.gold_reward).map(|v| minus(&format!("{v:+.2}")));
    [
        Figure {
            name: "Gold",
            number: if no_judge { Some("no judge".into()) } else { gold },
            hint: "Gold reward of the finished text: log-odds that an independent judge gives to \
                   praise. It only measures; it never guides.",
        },
        Figure {
            name: "Value",
            number: report.and_then(|r| r.value).map(|v| minus(&format!("{v:+.2}"))),
            hint: "V(x, y): the reward that the value function expects for this text.",
        },
        Figure {
            name: "Tokens",
            number: report.map(|r| r.tokens.len().to_string()),
            hint: "Tokens of this response.",
        },
        Figure {
            name: "Tokens/s",
            number: report.map(|r| format!("{:.0}", r.tokens_per_second())),
            hint: "Tokens drawn per second over all rows, kept or not.",
        },
        Figure {
            name: "Seconds",
            number: seconds.map(|s| format!("{s:.1}")),
            hint: "Time spent on this response.",
        },
        Figure {
            name: "KL, nats",
            number: report.map(|r| format!("{:.1}", r.kl_nats())),
            hint: "How far guidance bent the base's token probabilities, summed over the text; \
                   the choice between chunks comes on top.",
        },
        Figure {
            name: "Perplexity",
            number: report.and_then(|r| r.base_perplexity()).map(|v| format!("{v:.1}")),
            hint: "How surprised the base model is by this text, per token; lower is more natural.",
        },
    ]
}

fn show_figures(ui: &mut Ui, place: Rect, arm: Arm, figures: &[Figure]) {
    let columns = if place.height() > FIGURE { figures.len().div_ceil(2) } else { figures.len() };
    let width = place.width() / columns as f32;
    for (i, figure) in figures.iter().enumerate() {
        let (row, column) = ((i / columns) as f32, (i % columns) as f32);
        let at = place.min + vec2(column * width, row * (FIGURE + space::S));
        paint_figure(ui, Rect::from_min_size(at, vec2(width, FIGURE)), arm, figure);
    }
}

fn paint_figure(ui: &mut Ui, cell: Rect, arm: Arm, figure: &Figure) {
    let p = Palette::of(ui);
    let number = figure.number.as_deref().unwrap_or("–");
    let response = ui.interact(cell, ui.scope_id().with((arm, figure.name)), Sense::hover());
    let ink = if figure.number.is_some() { p.text } else { p.weak };
    let painter = ui.painter();
    let name = figure.name.to_owned();
    painter.text(cell.left_top(), Align2::LEFT_TOP, name, text::small(), p.weak);
    painter.text(cell.left_bottom(), Align2::LEFT_BOTTOM, number, text::figure(), ink);
    let words = format!("{} {}: {number}", name_of(arm), figure.name);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
    response.on_hover_text(figure.hint);
}

/// What a column is called.
fn name_of(arm: Arm) -> &'static str {
    if arm == Arm::Base { "Unguided" } else { "Guided" }
}
