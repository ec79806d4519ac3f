//! The strength strip: gold reward against KL at seven strengths, and the texts behind them.

use eframe::egui::{
    Align, Align2, Color32, CursorIcon, FontId, Label, Layout, Pos2, Rect, Response, RichText,
    Role, Sense, Stroke, StrokeKind, Ui, UiBuilder, WidgetInfo, pos2,
    text::{LayoutJob, TextFormat, TextWrapping},
    vec2,
};

use super::Action;
use super::status::progress;
use crate::app::strip_card::StripCard;
use crate::app::strip_plot::StripPlot;
use crate::app::strip_view::{StripPhase, StripView, plan};
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{chip, primary_button, segmented};
use crate::guidance::settings::Settings;
use crate::lab::strip::{Curve, Dial, Measure, Plan, Point};
use crate::words::{excerpt, minus, plain};
use crate::worker::protocol::PackInfo;

/// The strip's card.
pub struct StrengthStrip<'a> {
    /// What it shows.
    pub view: &'a mut StripView,
    /// What would be run.
    pub prompt: &'a str,
    /// The settings of now: their point is marked.
    pub settings: &'a Settings,
    /// Says what applies.
    pub pack: Option<&'a PackInfo>,
}

/// Height of the list's captions.
const CAPTIONS: f32 = 18.0;
/// Width of the list, and of its numbers.
const LIST: f32 = 300.0;
const SETTING: f32 = 40.0;
const HEIGHT: f32 = 58.0;

impl StrengthStrip<'_> {
    /// The choice of what is turned.
    pub fn dials(&mut self, ui: &mut Ui) {
        let hints = [
            "Token guidance at seven strengths, all other settings held.",
            "Chunk guidance at seven strengths, all other settings held.",
            "Chunks of seven lengths, all other settings held.",
        ];
        let choices: Vec<_> = Dial::ALL
            .into_iter()
            .zip(hints)
            .map(|(dial, hint)| {
                let why_not = self.view.why_not(dial, self.settings, self.pack);
                (dial, dial.label(), hint, why_not)
            })
            .collect();
        if segmented(ui, "Turn", &choices, &mut self.view.dial) {
            self.view.hovered = None;
        }
    }

    /// What starts and stops a strip, and how far it is; for a row that is filled from the right.
    pub fn controls(&self, ui: &mut Ui, actions: &mut Vec<Action>) {
        if self.view.running().is_some() {
            let stopping = self.view.phase() == Some(&StripPhase::Stopping);
            let button = ui.add_enabled_ui(!stopping, |ui| chip(ui, "Stop", false)).inner;
            let button = button.on_hover_text("Ends the strip and keeps its points. Esc");
            if button.on_disabled_hover_text("It is stopping already.").clicked() {
                actions.push(Action::Stop);
            }
        } else if self.view.strip().is_some() {
            let planned = self.plan();
            let button = ui.add_enabled_ui(planned.is_ok(), |ui| chip(ui, "Run again", false));
            asked(button.inner, planned, actions);
        }
        self.state(ui);
    }

    /// Shows the curve over the whole of `ui`.
    pub fn show(mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let area = ui.available_rect_before_wrap();
        match self.view.curve().cloned() {
            Some(curve) => self.body(ui, area, &curve, actions),
            None => self.empty(ui, area, actions),
        }
        ui.advance_cursor_after_rect(area);
    }

    fn plan(&self) -> Result<Plan, String> {
        plan(self.prompt, self.settings, self.pack)
    }

    /// How far it is, or what there is to know about it. Laid out from right to left.
    fn state(&self, ui: &mut Ui) {
        let p = Palette::of(ui);
        let (Some(phase), Some(done)) = (self.view.phase(), self.view.progress()) else { return };
        let old = self.view.why_old(self.prompt, self.settings);
        let (words, ink) = match phase {
            StripPhase::Running => (done.words(), p.weak),
            StripPhase::Stopping => ("Stopping".into(), p.weak),
            StripPhase::Failed(message) => (message.clone(), p.danger),
            StripPhase::Finished | StripPhase::Stopped => {
                let word = (*phase == StripPhase::Stopped).then_some("stopped early");
                let words: Vec<&str> = word.into_iter().chain(old).collect();
                (words.join(" · "), p.weak)
            }
        };
        if self.view.running().is_some() {
            progress(ui, 96.0, done.share());
        }
        let words = RichText::new(words).font(text::small()).color(ink);
        ui.add(Label::new(words).selectable(false).truncate());
    }

    fn empty(&self, ui: &mut Ui, place: Rect, actions: &mut Vec<Action>) {
        let p = Palette::of(ui);
        let centre = Layout::top_down(Align::Center);
        let ui = &mut ui.new_child(UiBuilder::new().max_rect(place).layout(centre));
        ui.add_space(((place.height() - 92.0) / 2.0).max(0.0));
        let words = "What does each strength buy, and what does it cost? The strip answers your \
                     prompt at seven strengths of β, then of λ, then of L, and draws the reward \
                     against the distance from the base.";
        ui.scope(|ui| {
            ui.set_max_width(560.0);
            let words = RichText::new(words).font(text::body()).color(p.weak);
            ui.add(Label::new(words).selectable(false).wrap());
        });
        ui.add_space(space::XS);
        let planned = self.plan();
        asked(primary_button(ui, "Run the strip", 112.0, planned.is_ok()), planned, actions);
    }

    /// The plot, and beside it the same as rows.
    fn body(&mut self, ui: &mut Ui, place: Rect, curve: &Curve, actions: &mut Vec<Action>) {
        let Some(measure) = self.view.strip().map(|s| s.plan.measure) else { return };
        let current = self.view.current(self.prompt, self.settings);
        let list = place.with_min_x((place.right() - LIST).max(place.center().x));
        let plot = place.with_max_x(list.left() - space::L);
        let stressed = self.view.hovered;
        let shown = {
            let ui = &mut ui.new_child(UiBuilder::new().id_salt("plot").max_rect(plot));
            StripPlot { curve, measure, current, hovered: stressed }.show(ui)
        };
        let list = List { curve, measure, current, stressed };
        let rows = list.show(ui, place.with_min_x(plot.right() + space::L));
        let mut hovered = shown.pointed;
        let mut clicked = shown.pointed.filter(|_| shown.response.clicked());
        if shown.pointed.is_some() {
            let response = shown.response.on_hover_cursor(CursorIcon::PointingHand);
            list.card(shown.pointed, response, true);
        }
        for (index, row) in rows.into_iter().enumerate() {
            if row.hovered() || row.has_focus() {
                hovered = Some(index);
            }
            if row.clicked() {
                clicked = Some(index);
            }
            list.card(Some(index), row, false);
        }
        if hovered != stressed {
            self.view.hovered = hovered;
            ui.ctx().request_repaint();
        }
        if let Some(point) = clicked.filter(|i| current != Some(*i)).map(|i| &curve.points[i]) {
            actions.push(Action::Adopt { dial: curve.dial, value: point.setting });
        }
    }
}

/// What follows from the button that starts a strip: it explains itself, and may be clicked.
fn asked(button: Response, planned: Result<Plan, String>, actions: &mut Vec<Action>) {
    let clicked = match planned {
        Ok(plan) => {
            let what = format!(
                "Answers the prompt {} times under guidance: at seven strengths of each dial, {} \
                 times each. A run in progress ends.",
                plan.len(),
                plan.repeats
            );
            button.on_hover_text(what).clicked()
        }
        Err(reason) => button.on_disabled_hover_text(reason).clicked(),
    };
    if clicked {
        actions.push(Action::RunStrip);
    }
}

/// The points of a curve as rows: for the keyboard, for screen readers, and for their texts.
struct List<'a> {
    curve: &'a Curve,
    measure: Measure,
    current: Option<usize>,
    stressed: Option<usize>,
}

impl List<'_> {
    fn show(&self, ui: &mut Ui, place: Rect) -> Vec<Response> {
        let count = self.curve.points.len();
        let height = ((place.height() - CAPTIONS) / count.max(1) as f32).clamp(14.0, 28.0);
        let captions = place.with_max_y(place.top() + CAPTIONS);
        let p = Palette::of(ui);
        let columns = columns(captions);
        let painter = ui.painter();
        let caption = |at: Pos2, align: Align2, words: &str| {
            painter.text(at, align, words, text::small(), p.weak);
        };
        caption(columns[0].right_center(), Align2::RIGHT_CENTER, self.curve.dial.symbol());
        caption(columns[1].right_center(), Align2::RIGHT_CENTER, self.measure.name());
        caption(columns[2].left_center(), Align2::LEFT_CENTER, "first text");
        let row = |index: usize| {
            let top = captions.bottom() + index as f32 * height;
            Rect::from_min_size(pos2(place.left(), top), vec2(place.width(), height))
        };
        (0..count).map(|index| self.row(ui, row(index), index)).collect()
    }

    fn row(&self, ui: &Ui, place: Rect, index: usize) -> Response {
        let p = Palette::of(ui);
        let point = &self.curve.points[index];
        let is_current = self.current == Some(index);
        let id = ui.scope_id().with(("strip row", self.curve.dial, index));
        let response = ui.interact(place, id, Sense::click());
        let response = response.on_hover_cursor(CursorIcon::PointingHand);
        let (painter, cell) = (ui.painter(), place.shrink2(vec2(0.0, 0.5)));
        if is_current {
            painter.rect_filled(cell, space::RADIUS, p.selection);
        } else if self.stressed == Some(index) {
            painter.rect_filled(cell, space::RADIUS, p.hover);
        }
        if response.has_focus() {
            let stroke = Stroke::new(1.5, p.guided);
            painter.rect_stroke(cell, space::RADIUS, stroke, StrokeKind::Inside);
        }
        let columns = columns(place);
        let setting = plain(point.setting.into());
        let at = columns[0].right_center();
        painter.text(at, Align2::RIGHT_CENTER, setting, text::body(), p.text);
        let height = point.mean.map_or("…".into(), |v| minus(&format!("{v:+.2}")));
        let at = columns[1].right_center();
        painter.text(at, Align2::RIGHT_CENTER, height, text::body(), p.text);
        if let Some(sample) = point.samples.first() {
            let words = excerpt(&sample.text, 60);
            one_line(
                ui,
                columns[2],
                words,
                text::small(),
                if is_current { p.text } else { p.weak },
            );
        }
        let name = self.name(point);
        response.widget_info(|| WidgetInfo::selected(Role::Button, true, is_current, &name));
        response
    }

    /// Everything that the point's place says.
    fn name(&self, point: &Point) -> String {
        let setting = self.curve.dial.words(point.setting);
        match (point.mean, point.kl_bound_nats) {
            (Some(mean), Some(kl)) => {
                minus(&format!("{setting}: {} {mean:+.2}, KL ≤ {kl:.1}", self.measure.name()))
            }
            _ => format!("{setting}: no text yet"),
        }
    }

    /// What there is to know of a point, where the pointer rests on it.
    fn card(&self, index: Option<usize>, over: Response, at_pointer: bool) {
        let Some((index, point)) = index.and_then(|i| Some((i, self.curve.points.get(i)?))) else {
            return;
        };
        let is_current = self.current == Some(index);
        let card = StripCard { point, dial: self.curve.dial, measure: self.measure, is_current };
        if at_pointer {
            over.on_hover_ui_at_pointer(|ui| card.show(ui));
        } else {
            over.on_hover_ui(|ui| card.show(ui));
        }
    }
}

/// Where the setting, the height and the text of a row stand.
fn columns(row: Rect) -> [Rect; 3] {
    let setting = row.with_max_x(row.left() + SETTING);
    let height = row.with_min_x(setting.right()).with_max_x(setting.right() + HEIGHT);
    let words = row.with_min_x(height.right() + space::M).with_max_x(row.right() - space::S);
    [setting, height, words]
}

/// As much of `words` as there is room for, and "…" where that is not all.
fn one_line(ui: &Ui, place: Rect, words: String, font: FontId, ink: Color32) {
    let mut job = LayoutJob::single_section(words, TextFormat::simple(font, ink));
    job.wrap = TextWrapping::truncate_at_width(place.width());
    let galley = ui.painter().layout_job(job);
    let at = pos2(place.left(), place.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, ink);
}
