//! The card of a token: log-probabilities, advantage, KL, and the probabilities of the sampled and of
//! other tokens before and after guidance. It appears on hover, in a presentation on click.

use eframe::egui::{
    Align2, Color32, Label, Pos2, Rect, Response, RichText, Role, Sense, Tooltip, Ui, Vec2,
    WidgetInfo, pos2, vec2,
};

use crate::app::theme::{Palette, space, text};
use crate::app::widgets::opened_by_click;
use crate::format::minus;
use crate::guidance::trace::{Alternative, TokenTrace};
use crate::worker::protocol::RunId;

const WIDTH: f32 = 340.0;
const LINE_HEIGHT: f32 = 18.0;
const NAME_WIDTH: f32 = 104.0;
/// Width of a probability with a gap.
const NUMBER_WIDTH: f32 = 50.0;
/// Maximum number of tokens shown below the sampled one.
const MAX_OTHERS: usize = 10;

/// The cards of the tokens of a response.
pub(crate) struct TokenCards<'a> {
    /// The text of the response.
    pub(crate) response: &'a Response,
    pub(crate) run: Option<RunId>,
    pub(crate) tokens: &'a [TokenTrace],
    /// Index of the token under the pointer.
    pub(crate) pointed: Option<usize>,
}

impl TokenCards<'_> {
    /// Shows the card of the token under the pointer, or in a presentation of the token clicked
    /// last. `place_of` returns the place of the byte of the response on the screen.
    pub(crate) fn show(self, ui: &Ui, presenting: bool, place_of: impl Fn(usize) -> Option<Rect>) {
        let clicked = self.pointed.map(|index| (self.run, index));
        let index = if presenting {
            let open = opened_by_click(self.response, clicked);
            open.filter(|(run, _)| *run == self.run).map(|(_, index)| index)
        } else {
            self.pointed
        };
        let Some((index, token)) = index.and_then(|i| Some((i, self.tokens.get(i)?))) else {
            return;
        };
        let mut tooltip = if presenting {
            Tooltip::for_widget(self.response)
        } else {
            Tooltip::for_enabled(self.response)
        };
        // Below the token's line, so that the card does not cover it.
        let start = self.tokens[..index].iter().map(|token| token.text.len()).sum::<usize>();
        let indent = token.text.len() - token.text.trim_start().len();
        let place = place_of(start + indent).or_else(|| place_of(start));
        // The clicked token may be scrolled out of sight.
        let Some(place) = place.filter(|place| ui.clip_rect().intersects(*place)) else { return };
        tooltip.popup = tooltip.popup.anchor(place).gap(space::XS);
        tooltip.show(|ui| TokenCard(token).show(ui));
    }
}

struct TokenCard<'a>(&'a TokenTrace);

impl TokenCard<'_> {
    fn show(self, ui: &mut Ui) {
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
        ui.add_space(space::XS);
        probabilities(ui, p, token);
    }
}

/// Draws the log-probabilities under each model, the advantage and the KL.
fn facts(ui: &mut Ui, p: &Palette, token: &TokenTrace) {
    let nats = |v: f32| minus(&format!("{v:.2}"));
    let known = |v: Option<f32>| v.map_or("–".to_owned(), nats);
    let signed = |v: Option<f32>| v.map_or("–".to_owned(), |v| minus(&format!("{v:+.2}")));
    let mut lines = vec![
        [("log p base", nats(token.logp_base)), ("log p guided", nats(token.logp_guided))],
        [("log p untuned", known(token.logp_untuned)), ("log p tuned", known(token.logp_tuned))],
        [("advantage", signed(token.advantage)), ("KL, nats", format!("{:.3}", token.kl_nats))],
    ];
    let own = [
        token.unguided_mass.map(|mass| ("not guided", format!("{:.1}%", mass * 100.0))),
        token.strength_factor.map(|factor| ("strength", format!("× {factor:.2}"))),
    ];
    let mut own = own.into_iter().flatten();
    if let Some(first) = own.next() {
        lines.push([first, own.next().unwrap_or_default()]);
    }
    let mut sentences = ["of sentence", "of sentence 2", "of sentence 3"]
        .into_iter()
        .zip(token.steer_advantages.iter().map(|v| signed(Some(*v))));
    while let Some(first) = sentences.next() {
        lines.push([first, sentences.next().unwrap_or_default()]);
    }
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

/// A token and its probabilities before and after guidance.
#[derive(Debug, Clone, PartialEq)]
struct Row<'a> {
    text: &'a str,
    base: f32,
    guided: f32,
    is_sampled: bool,
}

impl Row<'_> {
    fn likeliest(&self) -> f32 {
        self.base.max(self.guided)
    }
}

/// Returns the sampled token, even if it is not in the list of likely tokens, and then the ten
/// likeliest others.
fn rows(token: &TokenTrace) -> Vec<Row<'_>> {
    let is_sampled = |a: &&Alternative| a.id == token.id;
    // The list also knows the names of special tokens.
    let listed = token.alternatives.iter().find(is_sampled);
    let mut rows = vec![Row {
        text: listed.map_or(&token.text, |a| &a.text),
        base: token.logp_base.exp(),
        guided: token.logp_guided.exp(),
        is_sampled: true,
    }];
    let mut others: Vec<Row<'_>> = token
        .alternatives
        .iter()
        .filter(|a| !is_sampled(a))
        .map(|a| Row {
            text: &a.text,
            base: a.logp_base.exp(),
            guided: a.logp_guided.exp(),
            is_sampled: false,
        })
        .collect();
    others.sort_by(|a, b| b.likeliest().total_cmp(&a.likeliest()));
    others.truncate(MAX_OTHERS);
    rows.append(&mut others);
    rows
}

/// Draws the probabilities before and after guidance of the sampled token and of the likeliest
/// others, as pairs of bars and numbers.
fn probabilities(ui: &mut Ui, p: &Palette, token: &TokenTrace) {
    let rows = rows(token);
    let highest = rows.iter().map(Row::likeliest).fold(f32::MIN_POSITIVE, f32::max);
    legend(ui, p);
    for row in &rows {
        let (rect, response) = ui.allocate_exact_size(vec2(WIDTH, LINE_HEIGHT), Sense::hover());
        let color = if row.is_sampled { p.text } else { p.weak };
        let painter = ui.painter();
        if row.is_sampled {
            painter.rect_filled(rect.expand2(vec2(space::XS, 0.0)), space::RADIUS, p.inset);
        }
        let name = visible(row.text);
        let cut = painter.with_clip_rect(rect.with_max_x(rect.left() + NAME_WIDTH - space::XS));
        cut.text(rect.left_center(), Align2::LEFT_CENTER, &name, text::small(), color);
        let bars = rect
            .with_min_x(rect.left() + NAME_WIDTH)
            .with_max_x(rect.right() - 2.0 * NUMBER_WIDTH - space::S);
        for (half, share, color) in [(0.0, row.base, p.unguided), (1.0, row.guided, p.guided)] {
            painter.rect_filled(bar(bars, half, share / highest), 1.0, color);
        }
        let (before, after) = (percent(row.base), percent(row.guided));
        for (right, number) in numbers(rect).into_iter().zip([&before, &after]) {
            painter.text(right, Align2::RIGHT_CENTER, number, text::small(), color);
        }
        let kind = if row.is_sampled { "Sampled" } else { "Other" };
        let words = format!("{kind} token {name}: {before} before, {after} after guidance");
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
    }
}

/// Returns the right ends of the two numbers of a row: before and after guidance.
fn numbers(row: Rect) -> [Pos2; 2] {
    let right = row.right_center();
    [right - vec2(NUMBER_WIDTH, 0.0), right]
}

/// Formats a probability. A small one is not rounded to zero.
fn percent(probability: f32) -> String {
    let percent = probability * 100.0;
    if percent > 0.0 && percent < 0.05 { "<0.1%".into() } else { format!("{percent:.1}%") }
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
    for (right, caption) in numbers(row).into_iter().zip(["before", "after"]) {
        painter.text(right, Align2::RIGHT_CENTER, caption, text::small(), p.weak);
    }
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

    /// Returns a token with an alternative for each pair of probabilities, with the ids 0, 1, ….
    fn token(id: u32, own: (f32, f32), alternatives: &[(f32, f32)]) -> TokenTrace {
        let alternative = |(id, (base, guided)): (usize, &(f32, f32))| Alternative {
            id: id as u32,
            text: format!(" {id}"),
            logp_base: base.ln(),
            logp_guided: guided.ln(),
        };
        TokenTrace {
            id,
            text: format!(" {id}"),
            start: 0,
            end: 2,
            logp_base: own.0.ln(),
            logp_guided: own.1.ln(),
            logp_untuned: None,
            logp_tuned: None,
            advantage: None,
            steer_advantages: Vec::new(),
            unguided_mass: None,
            strength_factor: None,
            kl_nats: 0.0,
            alternatives: alternatives.iter().enumerate().map(alternative).collect(),
        }
    }

    fn names<'a>(rows: &[Row<'a>]) -> Vec<&'a str> {
        rows.iter().map(|row| row.text).collect()
    }

    #[test]
    fn a_sampled_token_in_the_list_is_moved_to_the_first_row() {
        let token = token(1, (0.2, 0.1), &[(0.3, 0.1), (0.2, 0.1), (0.1, 0.6)]);
        let rows = rows(&token);
        assert_eq!(names(&rows), [" 1", " 2", " 0"], "the others are sorted");
        assert_eq!(rows.iter().filter(|row| row.is_sampled).count(), 1);
        assert!((rows[0].base - 0.2).abs() < 1e-6 && (rows[0].guided - 0.1).abs() < 1e-6);
    }

    #[test]
    fn a_sampled_token_outside_the_list_is_the_first_row_above_ten_others() {
        let likely: Vec<(f32, f32)> = (0..12).map(|i| (0.08, 0.08 - 0.001 * i as f32)).collect();
        let token = token(99, (0.01, 0.0002), &likely);
        let rows = rows(&token);
        assert_eq!((rows.len(), rows[0].text, rows[0].is_sampled), (11, " 99", true));
        let shown = (percent(rows[0].base), percent(rows[0].guided));
        assert_eq!(shown, ("1.0%".to_owned(), "<0.1%".to_owned()));
        assert!(rows[1..].iter().all(|row| !row.is_sampled));
    }

    #[test]
    fn without_a_list_only_the_sampled_token_is_shown() {
        let token = token(7, (0.5, 0.25), &[]);
        assert_eq!(names(&rows(&token)), [" 7"]);
    }

    #[test]
    fn a_special_token_has_the_name_from_the_list() {
        let mut token = token(0, (0.5, 0.5), &[(0.5, 0.5)]);
        token.text.clear();
        assert_eq!(names(&rows(&token)), [" 0"]);
    }

    #[test]
    fn impossible_and_certain_tokens_have_plain_percentages() {
        assert_eq!(percent(f32::NEG_INFINITY.exp()), "0.0%");
        assert_eq!((percent(0.0005), percent(1.0)), ("0.1%".to_owned(), "100.0%".to_owned()));
    }

    #[test]
    fn makes_white_space_visible() {
        assert_eq!(visible(" film"), "·film");
        assert_eq!(visible("\n"), "\\n");
        assert_eq!(visible("a"), "a");
        assert_eq!(visible(""), "part of a character");
    }
}
