//! The sweep panel: gold reward against the distance from the base at seven values of a setting, with the responses.

use eframe::egui::{
    Align, Align2, Color32, CursorIcon, DragValue, FontId, Label, Layout, Pos2, Rect, Response,
    RichText, Role, Sense, Stroke, StrokeKind, TextStyle, Ui, UiBuilder, WidgetInfo, pos2,
    text::{LayoutJob, TextFormat, TextWrapping},
    vec2,
};

use super::plot::SweepPlot;
use super::state::{SEEDS, SweepPhase, SweepState, plan};
use super::tooltip::SweepTooltip;
use crate::app::action::Action;
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::progress_bar;
use crate::app::widgets::{chip, primary_button, segmented, within};
use crate::format::{counted, excerpt, minus, plain};
use crate::guidance::settings::Settings;
use crate::lab::sweep::{Curve, Measure, Plan, Point, SweepAxis};
use crate::worker::protocol::PackInfo;

/// Draws the sweep panel.
pub struct SweepPanel<'a> {
    /// State of the panel.
    pub view: &'a mut SweepState,
    /// Prompt of the next sweep.
    pub prompt: &'a str,
    /// Settings of the next sweep. Their point is highlighted.
    pub settings: &'a Settings,
    /// The pack in use. It decides which settings can be swept.
    pub pack: Option<&'a PackInfo>,
}

/// Height of the list's captions.
const CAPTION_HEIGHT: f32 = 18.0;
const LIST_WIDTH: f32 = 300.0;
/// Width of the box for the number of seeds with its name.
const SEEDS_WIDTH: f32 = 84.0;
/// Width of the button that starts the first sweep.
const START_WIDTH: f32 = 144.0;
/// Width of the list's first column, with the values of the setting.
const SETTING_WIDTH: f32 = 40.0;
/// Width of the list's second column, with the measured means.
const MEAN_WIDTH: f32 = 58.0;

impl SweepPanel<'_> {
    /// Draws the choice of the axis shown.
    pub fn axes(&mut self, ui: &mut Ui) {
        let hints = [
            "Seven values of token guidance β. All other settings stay the same.",
            "Seven values of chunk guidance λ. All other settings stay the same.",
            "Seven values of the chunk length L. All other settings stay the same.",
        ];
        let choices: Vec<_> = SweepAxis::ALL
            .into_iter()
            .zip(hints)
            .map(|(axis, hint)| {
                let reason = self.view.disabled_reason(axis, self.settings, self.pack);
                (axis, axis.label(), hint, reason)
            })
            .collect();
        if segmented(ui, "Sweep over", &choices, &mut self.view.axis) {
            self.view.hovered = None;
        }
    }

    /// Draws the buttons that start, pause and resume a sweep, and its progress, from right to left.
    pub fn controls(&self, ui: &mut Ui, actions: &mut Vec<Action>) {
        if self.view.running().is_some() {
            let pausing = self.view.phase() == Some(&SweepPhase::Pausing);
            let button = ui.add_enabled_ui(!pausing, |ui| chip(ui, "Pause", false)).inner;
            let button = button.on_hover_text("Pauses the sweep and keeps its points. Esc");
            if button.on_disabled_hover_text("The sweep is pausing.").clicked() {
                actions.push(Action::Stop);
            }
        } else {
            if self.view.results().is_some() {
                let planned = self.plan();
                let button = ui.add_enabled_ui(planned.is_ok(), |ui| chip(ui, "Run again", false));
                start_button(button.inner, planned, actions);
            }
            if self.view.can_resume() {
                self.resume_button(ui, actions);
            }
        }
        self.state(ui);
    }

    /// Draws the box for the number of seeds of the next sweep.
    fn seeds(&mut self, ui: &mut Ui) {
        let words = RichText::new("Seeds").font(text::small()).color(Palette::of(ui).weak);
        let label = ui.add(Label::new(words).selectable(false));
        let number = ui.add(DragValue::new(&mut self.view.seeds).range(SEEDS).speed(0.05));
        number.labelled_by(label.id).on_hover_text(
            "Responses at each value, each with a different seed. The curve shows their means.",
        );
    }

    fn resume_button(&self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let reason = self.view.resume_disabled_reason(self.pack);
        let button = ui.add_enabled_ui(reason.is_none(), |ui| chip(ui, "Resume", false)).inner;
        let hint = "Generates the missing responses. Stops a run in progress.";
        let button = button.on_hover_text(hint);
        if button.on_disabled_hover_text(reason.unwrap_or_default()).clicked() {
            actions.push(Action::ResumeSweep);
        }
    }

    /// Draws the curve over the whole area of `ui`.
    pub fn show(mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let area = ui.available_rect_before_wrap();
        match self.view.curve().cloned() {
            Some(curve) => self.body(ui, area, &curve, actions),
            None => self.empty(ui, area, actions),
        }
        ui.advance_cursor_after_rect(area);
    }

    fn plan(&self) -> Result<Plan, String> {
        plan(self.prompt, self.settings, self.pack, self.view.seeds)
    }

    /// Draws the progress or the state of the sweep, from right to left.
    fn state(&self, ui: &mut Ui) {
        let p = Palette::of(ui);
        let (Some(phase), Some(done)) = (self.view.phase(), self.view.progress()) else { return };
        let outdated = self.view.outdated_reason(self.prompt, self.settings);
        let (words, color) = match phase {
            SweepPhase::Running => (done.words(), p.weak),
            SweepPhase::Pausing => ("Pausing".into(), p.weak),
            SweepPhase::Failed(message) => (message.clone(), p.danger),
            SweepPhase::Finished | SweepPhase::Paused => {
                let paused = format!("paused at {} of {}", done.done, done.total);
                let word = (*phase == SweepPhase::Paused).then_some(paused.as_str());
                let words: Vec<&str> = word.into_iter().chain(outdated).collect();
                (words.join(" · "), p.weak)
            }
        };
        if self.view.running().is_some() {
            progress_bar(ui, 96.0, done.share());
        }
        let words = RichText::new(words).font(text::small()).color(color);
        ui.add(Label::new(words).selectable(false).truncate());
    }

    fn empty(&mut self, ui: &mut Ui, rect: Rect, actions: &mut Vec<Action>) {
        let p = Palette::of(ui);
        let centre = Layout::top_down(Align::Center);
        let ui = &mut ui.new_child(UiBuilder::new().max_rect(rect).layout(centre));
        ui.add_space(((rect.height() - 120.0) / 2.0).max(0.0));
        let heading = RichText::new("How strong should guidance be?").font(text::heading());
        ui.add(Label::new(heading).selectable(false));
        let words = "A sweep answers your prompt at seven values of β, then of λ, then of L, and \
                     plots the reward against the distance from the base model.";
        ui.scope(|ui| {
            ui.set_max_width(560.0);
            let words = RichText::new(words).font(text::body()).color(p.weak);
            ui.add(Label::new(words).selectable(false).wrap());
        });
        ui.add_space(space::XS);
        let row = Layout::left_to_right(Align::Center);
        ui.allocate_ui_with_layout(vec2(START_WIDTH + 100.0, 36.0), row, |ui| {
            let planned = self.plan();
            let button = primary_button(ui, "Compare strengths", START_WIDTH, planned.is_ok());
            start_button(button, planned, actions);
            ui.add_space(space::S);
            self.seeds(ui);
        });
    }

    /// Draws the plot, and the list of its points beside it.
    fn body(&mut self, ui: &mut Ui, rect: Rect, curve: &Curve, actions: &mut Vec<Action>) {
        let Some(plan) = self.view.results().map(|s| s.plan.clone()) else { return };
        let measure = plan.measure;
        let current = self.view.current(self.prompt, self.settings);
        let list = rect.with_min_x((rect.right() - LIST_WIDTH).max(rect.center().x));
        let plot = rect.with_max_x(list.left() - space::L);
        let highlighted = self.view.hovered;
        let shown = {
            let ui = &mut ui.new_child(UiBuilder::new().id_salt("plot").max_rect(plot));
            SweepPlot { curve, plan: &plan, current, hovered: highlighted }.show(ui)
        };
        let list = List { curve, measure, current, highlighted };
        let list_rect = rect.with_min_x(plot.right() + space::L);
        let rows = list.show(ui, list_rect);
        if self.view.running().is_none() {
            let captions = list_rect.with_max_y(list_rect.top() + CAPTION_HEIGHT);
            within(ui, captions.with_min_x(captions.right() - SEEDS_WIDTH), |ui| {
                ui.spacing_mut().interact_size = vec2(32.0, CAPTION_HEIGHT);
                ui.spacing_mut().button_padding.y = 0.0;
                ui.style_mut().drag_value_text_style = TextStyle::Small;
                self.seeds(ui);
            });
        }
        let mut hovered = shown.pointed;
        let mut clicked = shown.pointed.filter(|_| shown.response.clicked());
        if shown.pointed.is_some() {
            let response = shown.response.on_hover_cursor(CursorIcon::PointingHand);
            list.tooltip(shown.pointed, response, true);
        }
        for (index, row) in rows.into_iter().enumerate() {
            if row.hovered() || row.has_focus() {
                hovered = Some(index);
            }
            if row.clicked() {
                clicked = Some(index);
            }
            list.tooltip(Some(index), row, false);
        }
        if hovered != highlighted {
            self.view.hovered = hovered;
            ui.ctx().request_repaint();
        }
        if let Some(point) = clicked.filter(|i| current != Some(*i)).map(|i| &curve.points[i]) {
            actions.push(Action::Adopt { axis: curve.axis, value: point.setting });
        }
    }
}

/// Adds the tooltip to a button that starts a sweep, and handles its click.
fn start_button(button: Response, planned: Result<Plan, String>, actions: &mut Vec<Action>) {
    let clicked = match planned {
        Ok(plan) => {
            let hint = format!(
                "Answers the prompt {} times under guidance: {} at each of seven values per \
                 setting. Stops a run in progress.",
                plan.len(),
                counted(plan.repeats as usize, "time")
            );
            button.on_hover_text(hint).clicked()
        }
        Err(reason) => button.on_disabled_hover_text(reason).clicked(),
    };
    if clicked {
        actions.push(Action::RunSweep);
    }
}

/// The points of a curve as rows, for the keyboard, screen readers, and their responses.
struct List<'a> {
    curve: &'a Curve,
    measure: Measure,
    current: Option<usize>,
    highlighted: Option<usize>,
}

impl List<'_> {
    fn show(&self, ui: &mut Ui, rect: Rect) -> Vec<Response> {
        let count = self.curve.points.len();
        let height = ((rect.height() - CAPTION_HEIGHT) / count.max(1) as f32).clamp(14.0, 28.0);
        let captions = rect.with_max_y(rect.top() + CAPTION_HEIGHT);
        let p = Palette::of(ui);
        let columns = columns(captions);
        let painter = ui.painter();
        let caption = |at: Pos2, align: Align2, words: &str| {
            painter.text(at, align, words, text::small(), p.weak);
        };
        caption(columns[0].right_center(), Align2::RIGHT_CENTER, self.curve.axis.symbol());
        caption(columns[1].right_center(), Align2::RIGHT_CENTER, self.measure.name());
        caption(columns[2].left_center(), Align2::LEFT_CENTER, "Sample text");
        let row = |index: usize| {
            let top = captions.bottom() + index as f32 * height;
            Rect::from_min_size(pos2(rect.left(), top), vec2(rect.width(), height))
        };
        (0..count).map(|index| self.row(ui, row(index), index)).collect()
    }

    fn row(&self, ui: &Ui, rect: Rect, index: usize) -> Response {
        let p = Palette::of(ui);
        let point = &self.curve.points[index];
        let is_current = self.current == Some(index);
        let id = ui.scope_id().with(("sweep row", self.curve.axis, index));
        let response = ui.interact(rect, id, Sense::click());
        let response = response.on_hover_cursor(CursorIcon::PointingHand);
        let (painter, cell) = (ui.painter(), rect.shrink2(vec2(0.0, 0.5)));
        if is_current {
            painter.rect_filled(cell, space::RADIUS, p.selection);
        } else if self.highlighted == Some(index) {
            painter.rect_filled(cell, space::RADIUS, p.hover);
        }
        if response.has_focus() {
            let stroke = Stroke::new(1.5, p.guided);
            painter.rect_stroke(cell, space::RADIUS, stroke, StrokeKind::Inside);
        }
        let columns = columns(rect);
        let setting = plain(point.setting.into());
        let at = columns[0].right_center();
        painter.text(at, Align2::RIGHT_CENTER, setting, text::body(), p.text);
        let mean = point.mean.map_or("…".into(), |v| minus(&format!("{v:+.2}")));
        let at = columns[1].right_center();
        painter.text(at, Align2::RIGHT_CENTER, mean, text::body(), p.text);
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

    /// Returns the accessible name of a point.
    fn name(&self, point: &Point) -> String {
        let setting = self.curve.axis.format_value(point.setting);
        match (point.mean, point.kl_bound_nats) {
            (Some(mean), Some(kl)) => {
                let measure = self.measure.name();
                minus(&format!("{setting}: {measure} {mean:+.2}, KL upper bound {kl:.1} nats"))
            }
            _ => format!("{setting}: no response yet"),
        }
    }

    fn tooltip(&self, index: Option<usize>, over: Response, at_pointer: bool) {
        let Some((index, point)) = index.and_then(|i| Some((i, self.curve.points.get(i)?))) else {
            return;
        };
        let is_current = self.current == Some(index);
        let tooltip =
            SweepTooltip { point, axis: self.curve.axis, measure: self.measure, is_current };
        if at_pointer {
            over.on_hover_ui_at_pointer(|ui| tooltip.show(ui));
        } else {
            over.on_hover_ui(|ui| tooltip.show(ui));
        }
    }
}

/// Returns the cells of a row: setting, mean and text.
fn columns(row: Rect) -> [Rect; 3] {
    let setting = row.with_max_x(row.left() + SETTING_WIDTH);
    let mean = row.with_min_x(setting.right()).with_max_x(setting.right() + MEAN_WIDTH);
    let words = row.with_min_x(mean.right() + space::M).with_max_x(row.right() - space::S);
    [setting, mean, words]
}

/// Draws `words` in one line. Cuts it with "…" if it is too wide.
fn one_line(ui: &Ui, rect: Rect, words: String, font: FontId, color: Color32) {
    let mut job = LayoutJob::single_section(words, TextFormat::simple(font, color));
    job.wrap = TextWrapping::truncate_at_width(rect.width());
    let galley = ui.painter().layout_job(job);
    let at = pos2(rect.left(), rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, color);
}
