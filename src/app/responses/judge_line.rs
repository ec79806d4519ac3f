//! The line below a response that matters most: the judge's score, its difference from the first
//! column, and its meaning in words.

use eframe::egui::{Align2, Rect, Role, Sense, Ui, WidgetInfo, vec2};

use crate::app::theme::{Palette, space, text};
use crate::app::widgets::explain_on_stage;
use crate::guidance::aim::Aim;
use crate::guidance::trace::ArmTrace;
use crate::records::report::metrics::{
    GOLD_REWARD, Metric, NONE, VALUE, judge_meaning, judge_title,
};

/// Height of the line with its caption, in points.
pub(crate) const HEIGHT: f32 = 50.0;
/// Score with the strongest tint, in nats.
const FULL_TINT_NATS: f32 = 8.0;

/// Draws the judge's score of one column, or the value of the value model if the pack has no judge.
pub(crate) struct JudgeLine<'a> {
    pub(crate) title: &'a str,
    /// The column's trace. `None` before the first token.
    pub(crate) report: Option<&'a ArmTrace>,
    /// The first column's trace. `None` in the first column.
    pub(crate) reference: Option<&'a ArmTrace>,
    pub(crate) has_judge: bool,
    pub(crate) aim: Option<&'a Aim>,
    /// Explains the score only after a click, for presentations.
    pub(crate) presenting: bool,
}

impl JudgeLine<'_> {
    fn metric(&self) -> (&'static Metric, String) {
        if self.has_judge {
            (&GOLD_REWARD, judge_title(self.aim))
        } else {
            (&VALUE, "Value (this pack has no judge)".to_owned())
        }
    }

    /// Draws the line in `rect`.
    pub(crate) fn show(&self, ui: &mut Ui, rect: Rect) {
        let p = Palette::of(ui);
        let (metric, caption) = self.metric();
        let number = self.report.and_then(|report| metric.text(report));
        let score = self.report.and_then(|report| metric.value(report)).map(|score| score as f32);
        let both = self.report.zip(self.reference);
        let difference = both.and_then(|(own, first)| metric.difference(own, first));
        let meaning = score.filter(|_| self.has_judge).map(|s| judge_meaning(s, self.aim));
        let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
        painter.text(rect.left_top(), Align2::LEFT_TOP, &caption, text::small(), p.weak);
        let shown = number.as_deref().unwrap_or(NONE);
        let color = if number.is_some() { p.text } else { p.weak };
        let galley = painter.layout_no_wrap(shown.to_owned(), text::score(), color);
        let padding = vec2(space::S, 2.0);
        let size = galley.size() + 2.0 * padding;
        let pill = Rect::from_min_size(rect.left_bottom() - vec2(0.0, size.y), size);
        if let Some(score) = score.filter(|_| self.has_judge) {
            let tint = p.diverging((score / FULL_TINT_NATS).clamp(-1.0, 1.0));
            painter.rect_filled(pill, space::RADIUS, tint);
        }
        painter.galley(pill.min + padding, galley, color);
        let mut right = pill.right() + space::S;
        if let Some(difference) = &difference {
            let at = rect.left_bottom() + vec2(right - rect.left(), -size.y / 2.0);
            let words = format!("Δ {difference}");
            let drawn = painter.text(at, Align2::LEFT_CENTER, words, text::figure(), p.text);
            right = drawn.right() + space::S;
        }
        if let Some(meaning) = &meaning {
            let galley = painter.layout_no_wrap(meaning.clone(), text::body(), p.weak);
            // Left out where it does not fit beside the number.
            if galley.size().x <= rect.right() - right {
                let at = vec2(rect.right() - galley.size().x, rect.bottom() - size.y / 2.0);
                let at = at - vec2(0.0, galley.size().y / 2.0);
                painter.galley(at.to_pos2(), galley, p.weak);
            }
        }
        let difference = difference.map(|difference| format!("{difference} from the first column"));
        let facts = [Some(shown.to_owned()), difference, meaning];
        let facts: Vec<String> = facts.into_iter().flatten().collect();
        // Does not take the keyboard's focus.
        let sense = if self.presenting { Sense::CLICK } else { Sense::hover() };
        let response = ui.interact(rect, ui.scope_id().with((self.title, "judge")), sense);
        let words = format!("{} {caption}: {}", self.title, facts.join(", "));
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
        explain_on_stage(response, self.presenting, |ui| {
            ui.label(metric.meaning);
            facts.iter().skip(1).for_each(|fact| drop(ui.label(fact)));
        });
    }
}
