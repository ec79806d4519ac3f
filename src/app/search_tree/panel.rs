//! The search as a tree. Each chunk is a column of candidates, joined by lines to their parents.

use eframe::egui::text::{LayoutJob, TextFormat, TextWrapping};
use eframe::egui::{
    Align2, Color32, EventFilter, FontId, Galley, Id, Key, Painter, Pos2, Rect, Response, Role,
    ScrollArea, Sense, Shape, Stroke, StrokeKind, Ui, Vec2, WidgetInfo, lerp, pos2, vec2,
};
use std::ops::Range;
use std::sync::Arc;

use crate::app::state::columns::ColumnView;
use crate::app::state::selection::{ChunkRef, Selection};
use crate::app::state::session::Session;
use crate::app::theme::{Palette, space, text};
use crate::app::value_plot::chunk_tooltip::{ChunkTooltip, name, value_text};
use crate::app::widgets::{LEGEND_KEY_WIDTH, legend_key};
use crate::app::widgets::{Mark, segmented};
use crate::guidance::lineage::{ancestry, candidate};
use crate::guidance::trace::ChunkTrace;
use crate::records::report::search_tree::{HEADER, Node, Tree};
use crate::worker::protocol::RunId;

/// Gap between a dot and its text, in points.
const LABEL_GAP: f32 = 9.0;
/// Width at the end of a chunk in which the lines fan out, in points.
const FAN_WIDTH: f32 = 20.0;
/// Font size of the text beside a candidate, in points.
const LABEL_SIZE: f32 = 11.5;

/// View of the tree: the chosen column, the keyboard position, and the cached layout.
#[derive(Debug, Default)]
pub(crate) struct TreeView {
    /// The chosen column. `None` selects the first column with a search.
    column: Option<usize>,
    /// Chunk and candidate at the keyboard position.
    selected: Option<(usize, usize)>,
    layout: Option<(LayoutKey, Tree)>,
}

/// Everything that a layout depends on. The number of chunks is enough, because finished chunks
/// never change.
#[derive(Debug, Clone, Copy, PartialEq)]
struct LayoutKey {
    run: RunId,
    arm: Option<usize>,
    chunks: usize,
    is_old: bool,
    is_done: bool,
    room: Vec2,
}

/// Draws the tree and its legend.
pub(crate) struct BeamTree<'a> {
    pub(crate) session: &'a Session,
    pub(crate) columns: &'a [ColumnView<'a>],
    /// The candidate under the pointer.
    pub(crate) selection: &'a mut Selection,
    pub(crate) view: &'a mut TreeView,
}

/// The tree of one column, ready to draw.
struct Scene<'a> {
    column_view: &'a ColumnView<'a>,
    prompt: &'a str,
    chunks: &'a [ChunkTrace],
    tree: &'a Tree,
    /// Lowest and highest value.
    span: (f32, f32),
    color: Color32,
    /// Upper left corner of the tree on the screen.
    origin: Vec2,
    /// Whether it reacts to pointer and keyboard. False for the tree of the previous run.
    is_interactive: bool,
}

impl TreeView {
    /// Returns the index in the run of the column shown, or `None` if the run has no such column.
    pub(crate) fn arm(&self, session: &Session, columns: &[ColumnView<'_>]) -> Option<usize> {
        let shown = columns.get(self.column(columns))?.view?;
        session.run.as_ref()?.arms.iter().position(|arm| std::ptr::eq(arm, shown))
    }

    /// Returns the index of the column shown.
    fn column(&self, columns: &[ColumnView<'_>]) -> usize {
        let searches = |s: &&ColumnView<'_>| s.applied.beams * s.applied.successors > 1;
        let first = || columns.iter().find(searches).map_or(0, |s| s.index);
        self.column.filter(|&c| c < columns.len()).unwrap_or_else(first)
    }
}

impl BeamTree<'_> {
    /// Draws the choice of a column.
    pub(crate) fn choice(&mut self, ui: &mut Ui) {
        if self.columns.len() < 2 {
            return;
        }
        let choices: Vec<_> = self
            .columns
            .iter()
            .map(|s| (s.index, s.title.as_str(), "Shows the search tree of this column.", None))
            .collect();
        let mut column = self.column();
        if segmented(ui, "Tree of", &choices, &mut column) {
            (self.view.column, self.view.selected) = (Some(column), None);
        }
    }

    /// Draws the legend from right to left.
    pub(crate) fn legend(&mut self, ui: &mut Ui) {
        let p = Palette::of(ui);
        if ui.available_width() > LEGEND_KEY_WIDTH + 200.0 {
            legend_key(ui, "dropped", Mark::Dropped);
            legend_key(ui, "kept", Mark::Kept);
            ui.add_space(space::S);
        }
        let Some((low, high)) = self.span() else { return };
        if ui.available_width() < 180.0 {
            return;
        }
        let color = p.column(self.column());
        let (bar, response) = ui.allocate_exact_size(vec2(170.0, 16.0), Sense::hover());
        let [low, high] = [low, high].map(|v| value_text(Some(v)));
        let words = format!("Colours: value, {low} to {high}");
        let painter = ui.painter();
        painter.text(bar.right_center(), Align2::RIGHT_CENTER, high, text::small(), p.weak);
        painter.text(bar.left_center(), Align2::LEFT_CENTER, low, text::small(), p.weak);
        let scale = bar.shrink2(vec2(42.0, 3.0));
        const STEPS: usize = 24;
        for step in 0..STEPS {
            let x = |i: usize| lerp(scale.x_range(), i as f32 / STEPS as f32);
            let part = scale.with_min_x(x(step)).with_max_x(x(step + 1));
            let share = step as f32 / (STEPS - 1) as f32;
            painter.rect_filled(part, 0.0, p.graded(color, share));
        }
        painter.rect_stroke(scale, 2.0, Stroke::new(1.0, p.border), StrokeKind::Outside);
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &words));
        response.on_hover_text("The colour of a candidate shows its value.");
    }

    /// Draws the tree over the rest of `ui`.
    pub(crate) fn show(self, ui: &mut Ui) {
        let (column, span) = (self.column(), self.span().unwrap_or((0.0, 0.0)));
        let found = self.columns.get(column).and_then(|s| Some((s, s.view?)));
        let Some((run, (column_view, view))) = self.session.run.as_ref().zip(found) else {
            return empty(ui, "The search tree appears here, chunk by chunk.");
        };
        let (chunks, is_old) = view.chunks_to_plot();
        if chunks.is_empty() {
            return empty(ui, "Waiting for the first chunk.");
        }
        let room = ui.available_size().floor();
        let (run_id, count, is_done) = (run.id, chunks.len(), view.done);
        // The index in the run, because column indices change when a column is removed.
        let arm = run.arms.iter().position(|other| std::ptr::eq(other, view));
        let key = LayoutKey { run: run_id, arm, chunks: count, is_old, is_done, room };
        let TreeView { selected, layout, .. } = self.view;
        if layout.as_ref().is_none_or(|(cached, _)| *cached != key) {
            let settings = &column_view.applied;
            let expected = settings.max_tokens.div_ceil(settings.chunk_tokens.max(1));
            *layout = Some((key, Tree::of(chunks, expected, room)));
        }
        let Some((_, tree)) = layout else { return };
        let color = Palette::of(ui).column(column_view.index);
        let prompt = view.prompt.as_str();
        let selection = self.selection;
        let area = ScrollArea::both().id_salt(("tree", column)).auto_shrink(false);
        area.stick_to_right(true).show_viewport(ui, |ui, visible| {
            let (all, _) = ui.allocate_exact_size(tree.size, Sense::hover());
            let origin = all.min.to_vec2();
            let is_interactive = !is_old;
            let scene =
                Scene { column_view, prompt, chunks, tree, span, color, origin, is_interactive };
            if is_old {
                ui.set_opacity(0.4);
            }
            scene.show(ui, visible, selection, selected);
        });
    }

    /// Returns the index of the column shown.
    fn column(&self) -> usize {
        self.view.column(self.columns)
    }

    /// Returns the lowest and highest value of the column.
    fn span(&self) -> Option<(f32, f32)> {
        let (chunks, _) = self.columns.get(self.column())?.view?.chunks_to_plot();
        let values = chunks.iter().flat_map(|chunk| &chunk.candidates).filter_map(|c| c.value);
        let ends = |ends: Option<(f32, f32)>, v: f32| {
            Some(ends.map_or((v, v), |(low, high)| (low.min(v), high.max(v))))
        };
        values.filter(|v| v.is_finite()).fold(None, ends)
    }
}

fn empty(ui: &mut Ui, words: &str) {
    let rect = ui.available_rect_before_wrap();
    ui.allocate_rect(rect, Sense::hover());
    let weak = Palette::of(ui).weak;
    ui.painter().text(rect.center(), Align2::CENTER_CENTER, words, text::body(), weak);
}

impl Scene<'_> {
    /// Draws the `visible` part of the tree: first the lines, then the candidates.
    fn show(
        &self,
        ui: &mut Ui,
        visible: Rect,
        selection: &mut Selection,
        selected: &mut Option<(usize, usize)>,
    ) {
        let p = Palette::of(ui);
        let shown = self.tree.chunks_between(visible.left(), visible.right());
        self.header(ui, p, shown.clone());
        for i in self.nodes(shown.clone()) {
            self.edge(ui.painter(), p, visible, &self.tree.nodes[i]);
        }
        let marked = selection.marked().filter(|at| at.column == self.column_view.index);
        if let Some(at) = marked {
            self.highlight_ancestry(ui.painter(), p, at);
        }
        let root = self.tree.root() + self.origin;
        ui.painter().circle(root, 4.0, p.surface, Stroke::new(1.5, p.weak));
        let cursor = self.cursor(*selected);
        for i in self.nodes(shown) {
            let node = &self.tree.nodes[i];
            let is_cursor = Some(i) == cursor;
            let rows = node.at.y - node.height / 2.0..=node.at.y + node.height / 2.0;
            if is_cursor || (*rows.end() >= visible.top() && *rows.start() <= visible.bottom()) {
                let is_marked = marked
                    .is_some_and(|at| (at.chunk, at.candidate) == (node.chunk, node.candidate));
                self.node(ui, p, node, (is_cursor, is_marked), selection, selected);
            }
        }
        if let Some(cursor) = cursor {
            self.keys(ui, cursor, selection, selected);
        }
    }

    fn nodes(&self, chunks: Range<usize>) -> impl Iterator<Item = usize> + use<'_> {
        chunks.filter_map(|t| self.tree.chunks.get(t).cloned()).flatten()
    }

    /// Draws the numbers of the chunks.
    fn header(&self, ui: &Ui, p: &Palette, shown: Range<usize>) {
        for t in shown {
            let Some(first) = self.tree.chunks.get(t).and_then(|r| self.tree.nodes.get(r.start))
            else {
                continue;
            };
            let at = pos2(first.at.x - 4.0, HEADER / 2.0 - 2.0) + self.origin;
            let number = (t + 1).to_string();
            ui.painter().text(at, Align2::LEFT_CENTER, number, text::small(), p.weak);
        }
    }

    fn share(&self, node: &Node) -> f32 {
        let (low, high) = self.span;
        if high > low { node.value.map_or(0.5, |v| (v - low) / (high - low)) } else { 1.0 }
    }

    /// Draws the line from a node's parent to the node, if it is visible.
    fn edge(&self, painter: &Painter, p: &Palette, visible: Rect, node: &Node) {
        let (low, high) = {
            let from = self.start(node).y;
            (from.min(node.at.y), from.max(node.at.y))
        };
        if high < visible.top() || low > visible.bottom() {
            return;
        }
        let stroke = match (node.on_lead, node.kept) {
            (true, _) => Stroke::new(3.0, self.color),
            (_, true) => Stroke::new(1.4, self.color.gamma_multiply(0.7)),
            _ => Stroke::new(1.0, p.outline.gamma_multiply(0.8)),
        };
        self.line(painter, node, stroke);
    }

    /// Returns the point where the line to a node leaves its parent's row.
    fn start(&self, node: &Node) -> Pos2 {
        match node.parent.and_then(|i| self.tree.nodes.get(i)) {
            Some(parent) => pos2(node.at.x - FAN_WIDTH, parent.at.y),
            None => self.tree.root() + vec2(4.0, 0.0),
        }
    }

    fn line(&self, painter: &Painter, node: &Node, stroke: Stroke) {
        const SEGMENTS: usize = 8;
        let (from, to) = (self.start(node) + self.origin, node.at + self.origin);
        let point = |i: usize| {
            let along = i as f32 / SEGMENTS as f32;
            let eased = along * along * (3.0 - 2.0 * along);
            pos2(lerp(from.x..=to.x, along), lerp(from.y..=to.y, eased))
        };
        painter.add(Shape::line((0..=SEGMENTS).map(point).collect(), stroke));
    }

    /// Draws the line from a candidate's text to the point where the lines to its successors fan
    /// out.
    fn stem(&self, painter: &Painter, node: &Node, from: f32) {
        let stroke = if node.on_lead {
            Stroke::new(3.0, self.color)
        } else {
            Stroke::new(1.4, self.color.gamma_multiply(0.7))
        };
        let to = node.at.x + self.tree.step - FAN_WIDTH + self.origin.x;
        if from < to {
            painter.hline(from..=to, node.at.y + self.origin.y, stroke);
        }
    }

    /// Highlights the lines that lead to the candidate under the pointer.
    fn highlight_ancestry(&self, painter: &Painter, p: &Palette, at: ChunkRef) {
        for (t, &i) in ancestry(self.chunks, at.chunk, at.candidate).iter().enumerate() {
            if let Some(node) = self.tree.find(t, i).and_then(|i| self.tree.nodes.get(i)) {
                self.line(painter, node, Stroke::new(2.5, p.text));
            }
        }
    }

    fn at(&self, node: &Node) -> ChunkRef {
        let (chunk, candidate) = (node.chunk, node.candidate);
        ChunkRef { column: self.column_view.index, chunk, candidate }
    }

    fn id(&self, ui: &Ui, node: &Node) -> Id {
        ui.scope_id().with((self.column_view.index, node.chunk, node.candidate))
    }

    fn node(
        &self,
        ui: &mut Ui,
        p: &Palette,
        node: &Node,
        (is_cursor, is_marked): (bool, bool),
        selection: &mut Selection,
        selected: &mut Option<(usize, usize)>,
    ) {
        let here = node.at + self.origin;
        let galley = self.words(ui, p, node);
        let width = galley.as_ref().map_or(8.0, |g| LABEL_GAP + g.size().x);
        let rect = Rect::from_min_max(
            here - vec2(8.0, node.height / 2.0),
            here + vec2(width, node.height / 2.0),
        );
        // Tab stops at one candidate only. From there, the arrow keys move.
        let sense = match (self.is_interactive, is_cursor) {
            (true, true) => Sense::click(),
            (true, false) => Sense::CLICK,
            _ => Sense::hover(),
        };
        let response = ui.interact(rect, self.id(ui, node), sense);
        self.paint(ui, p, node, &response, is_marked);
        if let Some(galley) = galley {
            let at = here + vec2(LABEL_GAP, -galley.size().y / 2.0);
            ui.painter().galley(at, galley, p.text);
        }
        if node.is_continued {
            self.stem(ui.painter(), node, here.x + width + 3.0);
        }
        let Some(found) = candidate(self.chunks, node.chunk, node.candidate) else { return };
        let at = self.at(node);
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, name(at, found)));
        if !self.is_interactive {
            return;
        }
        if response.clicked() {
            (selection.open, *selected) = (Some(at), Some((node.chunk, node.candidate)));
            response.request_focus();
        }
        if response.hovered() || response.has_focus() {
            selection.point(at);
        }
        let (title, prompt, chunks) = (self.column_view.title.as_str(), self.prompt, self.chunks);
        if response.hovered() {
            let tooltip = ChunkTooltip { title, prompt, chunks, at };
            response.on_hover_ui_at_pointer(|ui| tooltip.show(ui));
        }
    }

    fn paint(&self, ui: &Ui, p: &Palette, node: &Node, response: &Response, is_marked: bool) {
        let here = node.at + self.origin;
        let color = p.graded(self.color, self.share(node));
        let painter = ui.painter();
        if node.kept {
            let radius = if node.on_lead { 5.5 } else { 4.5 };
            painter.circle(here, radius, color, Stroke::new(1.0, self.color));
        } else {
            let radius = (node.height / 2.0 - 1.0).clamp(2.5, 3.5);
            painter.circle(here, radius, p.surface, Stroke::new(1.4, color));
        }
        if response.has_focus() {
            let stroke = Stroke::new(1.5, p.guided);
            painter.rect_stroke(response.rect, space::RADIUS, stroke, StrokeKind::Outside);
        } else if is_marked || response.hovered() {
            painter.circle_stroke(here, 6.5, Stroke::new(2.0, p.text));
        }
    }

    /// Lays out the text beside a candidate, cut to the available width.
    fn words(&self, ui: &Ui, p: &Palette, node: &Node) -> Option<Arc<Galley>> {
        if node.label.is_empty() {
            return None;
        }
        let (font_id, color) = match (node.on_lead, node.kept) {
            (true, _) => (FontId::new(LABEL_SIZE, text::strong()), p.text),
            (_, true) => (FontId::proportional(LABEL_SIZE), p.text),
            _ => (FontId::proportional(LABEL_SIZE), p.weak.gamma_multiply(0.75)),
        };
        let format = TextFormat { font_id, color, ..TextFormat::default() };
        let mut job = LayoutJob::single_section(node.label.clone(), format);
        job.wrap = TextWrapping::truncate_at_width(self.tree.step - LABEL_GAP - FAN_WIDTH - 6.0);
        Some(ui.painter().layout_job(job))
    }

    /// Returns the node at which the Tab key stops.
    fn cursor(&self, selected: Option<(usize, usize)>) -> Option<usize> {
        let chosen = selected.and_then(|(chunk, candidate)| self.tree.find(chunk, candidate));
        let first = || self.tree.nodes.iter().position(|node| node.on_lead);
        chosen.or_else(first).filter(|_| self.is_interactive)
    }

    /// Moves from candidate to candidate with the arrow keys. An open reader follows.
    fn keys(
        &self,
        ui: &Ui,
        cursor: usize,
        selection: &mut Selection,
        selected: &mut Option<(usize, usize)>,
    ) {
        let id = self.id(ui, &self.tree.nodes[cursor]);
        if !ui.memory(|m| m.has_focus(id)) {
            return;
        }
        let filter = EventFilter {
            horizontal_arrows: true,
            vertical_arrows: true,
            ..EventFilter::default()
        };
        ui.memory_mut(|m| m.set_focus_lock_filter(id, filter));
        let pressed = |key: Key| ui.input(|i| i32::from(i.key_pressed(key)));
        let right = pressed(Key::ArrowRight) - pressed(Key::ArrowLeft);
        let down = pressed(Key::ArrowDown) - pressed(Key::ArrowUp);
        if (right, down) == (0, 0) {
            return;
        }
        let Some(to) = self.tree.neighbour(cursor, right, down) else { return };
        let node = &self.tree.nodes[to];
        *selected = Some((node.chunk, node.candidate));
        ui.memory_mut(|m| m.request_focus(self.id(ui, node)));
        let room = vec2(self.tree.step, node.height * 2.0);
        ui.scroll_to_rect(Rect::from_center_size(node.at + self.origin, room), None);
        if selection.open.is_some() {
            selection.open = Some(self.at(node));
        }
        ui.request_repaint();
    }
}
