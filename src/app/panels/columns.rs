//! The two responses, side by side, and the figures under each.

use eframe::egui::{
    Align, Align2, Label, Layout, Rect, RichText, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui,
    UiBuilder, WidgetInfo, pos2,
    text::{LayoutJob, TextFormat},
    vec2,
};

use crate::app::preferences::Preferences;
use crate::app::session::{ArmView, Phase, Session};
use crate::app::theme::{Palette, RESPONSE_LINE, space, text};
use crate::app::widgets::{Mark, marker, minus, plain, within};
use crate::guidance::settings::Arm;

/// Height of a row of figures: a caption and a number.
const FIGURE: f32 = 38.0;
/// Width that a figure needs, the longest caption and a gap.
const FIGURE_WIDTH: f32 = 66.0;

/// Both columns.
pub struct Columns<'a> {
    /// What they show.
    pub session: &'a Session,
    /// The next run, named in the headings until there is one.
    pub preferences: &'a Preferences,
}

impl Columns<'_> {
    /// Shows them over the whole of `ui`.
    pub fn show(self, ui: &mut Ui) {
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
        let rows = if inside.width() < 6.0 * FIGURE_WIDTH { 2.0 } else { 1.0 };
        let figures_at = inside.with_min_y(inside.bottom() - rows * (FIGURE + space::S) + space::S);
        let line = figures_at.top() - space::S;
        let text = inside.with_min_y(heading.bottom() + space::S).with_max_y(line - space::S);
        let view = self.session.arm(arm);
        within(ui, heading, |ui| self.heading(ui, arm, view));
        let builder =
            UiBuilder::new().id_salt(arm).max_rect(text).layout(Layout::top_down(Align::Min));
        self.body(&mut ui.new_child(builder), arm, view);
        ui.painter().hline(inside.x_range(), line, stroke);
        figures(ui, figures_at, arm, view);
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
            _ => format!("IVG · β {} · λ {}", plain(used.beta.into()), lambda(used.lambda)),
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
            let job = response(Palette::of(ui), &run.request.prompt, view);
            ui.add(Label::new(job).wrap().selectable(true));
        });
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

/// The prompt, then the decided tokens, then the provisional ones, then what is left of the run
/// before.
fn response(p: &Palette, prompt: &str, view: &ArmView) -> LayoutJob {
    let mut job = LayoutJob::default();
    let format = |font, color| {
        let line_height = Some(text::response().size * RESPONSE_LINE);
        TextFormat { font_id: font, color, line_height, ..TextFormat::default() }
    };
    let (decided, provisional) = view.report.text.split_at(view.decided_bytes());
    job.append(prompt, 0.0, format(text::prompt(), p.weak));
    job.append(decided, 0.0, format(text::response(), p.text));
    job.append(provisional, 0.0, format(text::response(), p.provisional));
    job.append(view.ghost_tail(), 0.0, format(text::response(), p.ghost));
    job
}

/// One number under a response.
struct Figure {
    name: &'static str,
    number: Option<String>,
    hint: &'static str,
}

fn figures(ui: &mut Ui, place: Rect, arm: Arm, view: Option<&ArmView>) {
    let report = view.map(|v| &v.report).filter(|r| !r.tokens.is_empty());
    let seconds = report.map(|r| r.elapsed_ms / 1e3);
    let figures = [
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
    ];
    let columns = if place.height() > FIGURE { figures.len() / 2 } else { figures.len() };
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

fn lambda(value: f32) -> String {
    if value == f32::INFINITY { "∞".into() } else { plain(value.into()) }
}
