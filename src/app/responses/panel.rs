//! The responses side by side, each with its metrics.

use eframe::egui::{Rect, ScrollArea, Ui, pos2, vec2};

use super::card::Card;
use super::metrics::{Grid, report};
use super::toolbar::toolbar;
pub(in crate::app) use super::toolbar::{LEGEND_WIDTH, color_scale};
use crate::app::action::Action;
use crate::app::state::columns::{ColumnView, column_views};
use crate::app::state::preferences::Preferences;
use crate::app::state::selection::Selection;
use crate::app::state::session::{Loading, Session};
use crate::app::theme::space;

/// Minimum width of a column, in points. Narrower columns are stacked.
const MIN_COLUMN_WIDTH: f32 = 300.0;
/// Minimum height of a stacked column, in points.
const MIN_STACKED_HEIGHT: f32 = 230.0;
/// Minimum height of the columns that leaves room for the toolbar, in points.
const MIN_TOOLBAR_HEIGHT: f32 = 150.0;

pub(crate) struct Columns<'a> {
    pub(crate) session: &'a Session,
    /// Progress of the pack that is loading.
    pub(crate) loading: Option<&'a Loading>,
    /// Which columns there are, and how tokens are coloured.
    pub(crate) preferences: &'a mut Preferences,
    /// The chunk under the pointer.
    pub(crate) selection: &'a mut Selection,
    /// Hides the toolbar and secondary metrics, for presentations.
    pub(crate) presenting: bool,
    /// Index of the only column shown, or `None` if all are shown.
    pub(crate) focused: Option<usize>,
}

impl Columns<'_> {
    /// Draws the columns over the whole area of `ui`.
    pub(crate) fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Self { session, loading, preferences, selection, presenting, focused } = self;
        let mut edit = None;
        if !presenting && ui.available_height() >= MIN_TOOLBAR_HEIGHT {
            edit = toolbar(ui, preferences, session.pack.as_ref());
        }
        let columns = column_views(session, preferences);
        let shown = columns.iter().filter(|c| focused.is_none_or(|only| only == c.index));
        let shown: Vec<_> = shown.collect();
        let layout = Stack::of(ui.available_rect_before_wrap(), shown.len());
        let grid = Grid::of(
            layout.size.x - 2.0 * space::L,
            presenting,
            columns.len() > 1,
            preferences.details,
        );
        let settings = &*preferences;
        let mut cards = |ui: &mut Ui, top: f32| {
            for (position, column_view) in shown.iter().enumerate() {
                let card = layout.card(position, top);
                let is_comparable = |first: &&ColumnView<'_>| {
                    let views = first.view.zip(column_view.view);
                    first.index != column_view.index
                        && views.is_none_or(|(a, b)| a.is_comparable(b))
                };
                let reference = columns.first().filter(is_comparable).and_then(|c| report(c.view));
                let preferences = settings;
                let card_view = Card {
                    session,
                    loading,
                    preferences,
                    column_view,
                    reference,
                    grid,
                    presenting,
                };
                edit = card_view.show(ui, card, selection).or(edit);
            }
        };
        if layout.scrolls() {
            ScrollArea::vertical().id_salt("columns").auto_shrink(false).show(ui, |ui| {
                let size = vec2(ui.available_width(), layout.height());
                let (rect, _) = ui.allocate_exact_size(size, eframe::egui::Sense::hover());
                cards(ui, rect.top());
            });
        } else {
            cards(ui, layout.area.top());
            ui.advance_cursor_after_rect(layout.area);
        }
        if let Some(edit) = edit {
            let applied: Vec<_> = columns.into_iter().map(|s| s.applied).collect();
            edit.apply(&mut preferences.columns, &applied, &preferences.settings);
            actions.push(Action::ColumnsChanged { added: edit.is_added() });
        }
    }
}

/// The arrangement of columns: side by side, or in several rows in a narrow area.
struct Stack {
    area: Rect,
    per_row: usize,
    rows: usize,
    /// Size of one column.
    size: eframe::egui::Vec2,
}

impl Stack {
    fn of(area: Rect, count: usize) -> Self {
        let gap = space::M;
        let fits = ((area.width() + gap) / (MIN_COLUMN_WIDTH + gap)) as usize;
        let rows = count.max(1).div_ceil(fits.clamp(1, count.max(1)));
        let per_row = count.max(1).div_ceil(rows);
        let width = (area.width() - (per_row - 1) as f32 * gap) / per_row as f32;
        let height = (area.height() - (rows - 1) as f32 * gap) / rows as f32;
        let height = if rows > 1 { height.max(MIN_STACKED_HEIGHT) } else { height };
        Self { area, per_row, rows, size: vec2(width, height) }
    }

    /// Returns the height of all rows, in points.
    fn height(&self) -> f32 {
        self.rows as f32 * (self.size.y + space::M) - space::M
    }

    fn scrolls(&self) -> bool {
        self.height() > self.area.height() + 1.0
    }

    /// Returns the place of a column if the first row starts at `top`.
    fn card(&self, position: usize, top: f32) -> Rect {
        let (row, column) = (position / self.per_row, position % self.per_row);
        let left = self.area.left() + column as f32 * (self.size.x + space::M);
        let top = top + row as f32 * (self.size.y + space::M);
        Rect::from_min_size(pos2(left, top), self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(width: f32, height: f32, count: usize) -> Stack {
        Stack::of(Rect::from_min_size(pos2(10.0, 20.0), vec2(width, height)), count)
    }

    #[test]
    fn narrow_areas_stack_the_columns_and_wide_ones_show_them_side_by_side() {
        for (width, count, rows) in
            [(1400.0, 4, 1), (1400.0, 2, 1), (1000.0, 4, 2), (600.0, 2, 2), (300.0, 4, 4)]
        {
            assert_eq!(stack(width, 500.0, count).rows, rows, "{width} points, {count} columns");
        }
    }

    #[test]
    fn cards_never_overlap_and_stay_inside_the_width() {
        for width in [200.0, 512.0, 900.0, 3840.0] {
            for count in 1..=4 {
                let stack = stack(width, 300.0, count);
                let cards: Vec<Rect> = (0..count).map(|i| stack.card(i, 20.0)).collect();
                for (i, card) in cards.iter().enumerate() {
                    assert!(card.right() <= 10.0 + width + 0.5 && card.left() >= 10.0);
                    let overlaps = |other: &Rect| card.shrink(0.1).intersects(*other);
                    assert!(!cards[..i].iter().any(overlaps), "{width} points, {count} columns");
                }
                assert_eq!(stack.scrolls(), stack.height() > 301.0);
            }
        }
    }
}
