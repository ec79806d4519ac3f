//! The tooltip of a token: log-probabilities, advantage, KL, and alternative tokens.

use eframe::egui::{Align2, Color32, Label, Rect, RichText, Sense, Ui, Vec2, pos2, vec2};

use crate::app::theme::{Palette, space, text};
use crate::format::minus;
use crate::guidance::trace::{Alternative, TokenTrace};

const WIDTH: f32 = 320.0;
const LINE_HEIGHT: f32 = 18.0;
const NAME_WIDTH: f32 = 104.0;
const NUMBER_WIDTH: f32 = 52.0;
/// Maximum number of alternatives shown.
const MAX_ALTERNATIVES: usize = 10;

pub(crate) struct TokenTooltip<'a>(pub &'a TokenTrace);

impl TokenTooltip<'_> {
    pub(crate) fn show(self, ui: &mut Ui) {
        let p = Palette::of(ui);
        let token = self.0;
        ui.set_width(WIDTH);
        ui.spacing_mut().item_spacing.y = space::XS;
        ui.horizontal(|ui| {
            ui.add(Label::new(RichText::new(visible(&token.text)).font(text::heading())));
            let id = format!("token {}", token.id);
            ui.add(Label::new(RichText::new(id).font(text::small()).color(p.weak)));
        });
        facts(ui, p, token);
        if !token.alternatives.is_empty() {
            ui.add_space(space::XS);
            alternatives(ui, p, token);
        }
    }
}

/// Draws the log-probabilities under each model, the advantage and the KL.
fn facts(ui: &mut Ui, p: &Palette, token: &TokenTrace) {
    let nats = |v: f32| minus(&format!("{v:.2}"));
    let known = |v: Option<f32>| v.map_or("–".to_owned(), nats);
    let signed = |v: Option<f32>| v.map_or("–".to_owned(), |v| minus(&format!("{v:+.2}")));
    let lines = [
        [("log p base", nats(token.logp_base)), ("log p guided", nats(token.logp_guided))],
        [("log p untuned", known(token.logp_untuned)), ("log p tuned", known(token.logp_tuned))],
        [("advantage", signed(token.advantage)), ("KL, nats", format!("{:.3}", token.kl_nats))],
    ];
    for pair in lines {
        let (row, _) = ui.allocate_exact_size(vec2(WIDTH, LINE_HEIGHT), Sense::hover());
        for (half, (name, number)) in pair.into_iter().enumerate() {
            let left = row.left() + half as f32 * WIDTH / 2.0;
            let right = if half == 0 { row.center().x - space::M } else { row.right() };
            let y = row.center().y;
            let painter = ui.painter();
            painter.text(pos2(left, y), Align2::LEFT_CENTER, name, text::small(), p.weak);
            painter.text(pos2(right, y), Align2::RIGHT_CENTER, number, text::small(), p.text);
        }
    }
}

/// Draws the likeliest tokens as pairs of bars: probability before and after guidance.
fn alternatives(ui: &mut Ui, p: &Palette, token: &TokenTrace) {
    let mut shown: Vec<&Alternative> = token.alternatives.iter().collect();
    let height = |a: &Alternative| a.logp_base.max(a.logp_guided);
    shown.sort_by(|a, b| height(b).total_cmp(&height(a)));
    shown.truncate(MAX_ALTERNATIVES);
    let highest = shown.iter().map(|a| height(a).exp()).fold(0.0, f32::max).max(f32::MIN_POSITIVE);
    legend(ui, p);
    for alternative in shown {
        let (row, _) = ui.allocate_exact_size(vec2(WIDTH, LINE_HEIGHT), Sense::hover());
        let is_sampled = alternative.id == token.id;
        let color = if is_sampled { p.text } else { p.weak };
        let name = if is_sampled {
            format!("• {}", visible(&alternative.text))
        } else {
            visible(&alternative.text)
        };
        let painter = ui.painter();
        let cut = painter.with_clip_rect(row.with_max_x(row.left() + NAME_WIDTH - space::XS));
        cut.text(row.left_center(), Align2::LEFT_CENTER, name, text::small(), color);
        let bars = row
            .with_min_x(row.left() + NAME_WIDTH)
            .with_max_x(row.right() - NUMBER_WIDTH - space::S);
        for (half, logp, color) in
            [(0.0, alternative.logp_base, p.unguided), (1.0, alternative.logp_guided, p.guided)]
        {
            painter.rect_filled(bar(bars, half, logp.exp() / highest), 1.0, color);
        }
        let percent = format!("{:.1}%", alternative.logp_guided.exp() * 100.0);
        painter.text(row.right_center(), Align2::RIGHT_CENTER, percent, text::small(), color);
    }
}

/// Returns the upper (`half` = 0) or lower (`half` = 1) bar of a pair, `share` of the width long.
fn bar(rect: Rect, half: f32, share: f32) -> Rect {
    let top = rect.center().y - 6.0 + half * 6.0;
    let size = vec2((rect.width() * share).max(1.0), 5.0);
    Rect::from_min_size(pos2(rect.left(), top), size)
}

fn legend(ui: &mut Ui, p: &Palette) {
    let (row, _) = ui.allocate_exact_size(vec2(WIDTH, LINE_HEIGHT), Sense::hover());
    let painter = ui.painter();
    let entry = |left: f32, color: Color32, words: &str| {
        let swatch = Rect::from_center_size(pos2(left + 5.0, row.center().y), Vec2::splat(8.0));
        painter.rect_filled(swatch, 1.0, color);
        let at = pos2(left + 14.0, row.center().y);
        painter.text(at, Align2::LEFT_CENTER, words, text::small(), p.weak);
    };
    painter.text(row.right_center(), Align2::RIGHT_CENTER, "guided", text::small(), p.weak);
    entry(row.left() + NAME_WIDTH, p.unguided, "base");
    entry(row.left() + NAME_WIDTH + 56.0, p.guided, "guided");
}

/// Returns a token's text with visible white space.
fn visible(text: &str) -> String {
    let text = text.replace('\n', "\\n").replace('\t', "\\t");
    match text.strip_prefix(' ') {
        Some(rest) => format!("·{}", rest.replace(' ', "·")),
        None if text.is_empty() => "part of a character".into(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_white_space_visible() {
        assert_eq!(visible(" film"), "·film");
        assert_eq!(visible("\n"), "\\n");
        assert_eq!(visible("a"), "a");
        assert_eq!(visible(""), "part of a character");
    }
}
