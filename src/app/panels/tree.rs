//! The search as a tree: every chunk a column of candidates, joined to what they continue.

use eframe::egui::text::{LayoutJob, TextFormat, TextWrapping};
use eframe::egui::{
    Align2, Color32, EventFilter, FontId, Galley, Id, Key, Painter, Pos2, Rect, Response, Role,
    ScrollArea, Sense, Shape, Stroke, StrokeKind, Ui, Vec2, WidgetInfo, lerp, pos2, vec2,
};
use std::ops::Range;
use std::sync::Arc;

use super::lower::{KEYS, key};
use crate::app::chunk_card::{ChunkCard, name, value_words};
use crate::app::focus::{ChunkRef, Focus};
use crate::app::lineage::{ancestry, candidate};
use crate::app::session::Session;
use crate::app::slots::Slot;
use crate::app::theme::{Palette, space, text};
use crate::app::tree_layout::{HEADER, Node, Tree};
use crate::app::widgets::{Mark, segmented};
use crate::guidance::trace::ChunkTrace;
use crate::worker::protocol::RunId;

/// Between a candidate and its text.
const GAP: f32 = 9.0;
/// The last part of a chunk's width, in which lines part.
const FAN: f32 = 20.0;
/// Size of the text beside a candidate: room is scarce.
const WORDS: f32 = 11.5;

/// How a person looks at the tree, and where everything in it stands.
#[derive(Debug, Default)]
pub struct TreeView {
    /// The column chosen; until then the first that searches.
    column: Option<usize>,
    /// Where the keyboard is: chunk and candidate.
    selected: Option<(usize, usize)>,
    laid: Option<(LayoutKey, Tree)>,
}

/// What a layout depends on. Candidates of a chunk never change once they are there.
#[derive(Debug, Clone, Copy, PartialEq)]
struct LayoutKey {
    run: RunId,
    arm: Option<usize>,
    chunks: usize,
    is_old: bool,
    is_done: bool,
    room: Vec2,
}

/// The tree and its legend.
pub struct BeamTree<'a> {
    /// What it shows.
    pub session: &'a Session,
    /// The columns.
    pub slots: &'a [Slot<'a>],
    /// The candidate that is pointed at.
    pub focus: &'a mut Focus,
    /// How a person looks at it.
    pub view: &'a mut TreeView,
}

/// What is needed to draw one column's tree.
struct Scene<'a> {
    slot: &'a Slot<'a>,
    prompt: &'a str,
    chunks: &'a [ChunkTrace],
    tree: &'a Tree,
    span: (f32, f32),
    ink: Color32,
    /// Where the tree's own corner is on the screen.
    origin: Vec2,
    /// Whether it can be pointed at.
    is_alive: bool,
}

impl BeamTree<'_> {
    /// Shows the choice of a column.
    pub fn choice(&mut self, ui: &mut Ui) {
        if self.slots.len() < 2 {
            return;
        }
        let choices: Vec<_> = self
            .slots
            .iter()
            .map(|s| (s.index, s.title.as_str(), "The search of this column.", None))
            .collect();
        let mut column = self.column();
        if segmented(ui, "Tree of", &choices, &mut column) {
            (self.view.column, self.view.selected) = (Some(column), None);
        }
    }

    /// Shows the legend, from right to left.
    pub fn legend(&mut self, ui: &mut Ui) {
        let p = Palette::of(ui);
        if ui.available_width() > KEYS + 200.0 {
            key(ui, "dropped", Mark::Dropped);
            key(ui, "kept", Mark::Kept);
            ui.add_space(space::S);
        }
        let Some((low, high)) = self.span() else { return };
        if ui.available_width() < 180.0 {
            return;
        }
        let ink = p.column(self.column());
        let (bar, response) = ui.allocate_exact_size(vec2(170.0, 16.0), Sense::hover());
        let [low, high] = [low, high].map(|v| value_words(Some(v)));
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
            painter.rect_filled(part, 0.0, p.graded(ink, share));
        }
        painter.rect_stroke(scale, 2.0, Stroke::new(1.0, p.border), StrokeKind::Outside);
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &words));
        response.on_hover_text("The colour of a candidate says how valuable it is.");
    }

    /// Shows the tree over the rest of `ui`.
    pub fn show(self, ui: &mut Ui) {
        let (column, span) = (self.column(), self.span().unwrap_or((0.0, 0.0)));
        let found = self.slots.get(column).and_then(|s| Some((s, s.view?)));
        let Some((run, (slot, view))) = self.session.run.as_ref().zip(found) else {
            return empty(ui, "The search appears here as a tree, chunk by chunk.");
        };
        let (chunks, is_old) = view.plotted();
        if chunks.is_empty() {
            return empty(ui, "The first chunk is being written.");
        }
        let room = ui.available_size().floor();
        let (run_id, count, is_done) = (run.id, chunks.len(), view.done);
        // Its place in the run: columns move when one is taken away.
        let arm = run.arms.iter().position(|other| std::ptr::eq(other, view));
        let layout = LayoutKey { run: run_id, arm, chunks: count, is_old, is_done, room };
        let TreeView { selected, laid, .. } = self.view;
        if laid.as_ref().is_none_or(|(key, _)| *key != layout) {
            let settings = &slot.applied;
            let expected = settings.max_tokens.div_ceil(settings.chunk_tokens.max(1));
            *laid = Some((layout, Tree::of(chunks, expected, room)));
        }
        let Some((_, tree)) = laid else { return };
        let ink = Palette::of(ui).column(slot.index);
        let prompt = view.prompt.as_str();
        let focus = self.focus;
        let area = ScrollArea::both().id_salt(("tree", column)).auto_shrink(false);
        area.stick_to_right(true).show_viewport(ui, |ui, seen| {
            let (all, _) = ui.allocate_exact_size(tree.size, Sense::hover());
            let origin = all.min.to_vec2();
            let is_alive = !is_old;
            let scene = Scene { slot, prompt, chunks, tree, span, ink, origin, is_alive };
            if is_old {
                ui.set_opacity(0.4);
            }
            scene.show(ui, seen, focus, selected);
        });
    }

    /// The column shown.
    fn column(&self) -> usize {
        let searches = |s: &&Slot<'_>| s.applied.beams * s.applied.successors > 1;
        let first = || self.slots.iter().find(searches).map_or(0, |s| s.index);
        self.view.column.filter(|&c| c < self.slots.len()).unwrap_or_else(first)
    }

    /// The lowest and the highest value of the column.
    fn span(&self) -> Option<(f32, f32)> {
        let (chunks, _) = self.slots.get(self.column())?.view?.plotted();
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
    /// Draws what is `seen` of the tree: lines first, then candidates.
    fn show(
        &self,
        ui: &mut Ui,
        seen: Rect,
        focus: &mut Focus,
        selected: &mut Option<(usize, usize)>,
    ) {
        let p = Palette::of(ui);
        let shown = self.tree.chunks_between(seen.left(), seen.right());
        self.header(ui, p, shown.clone());
        for i in self.nodes(shown.clone()) {
            self.edge(ui.painter(), p, seen, &self.tree.nodes[i]);
        }
        let marked = focus.marked().filter(|at| at.slot == self.slot.index);
        if let Some(at) = marked {
            self.descent(ui.painter(), p, at);
        }
        let root = self.tree.root() + self.origin;
        ui.painter().circle(root, 4.0, p.surface, Stroke::new(1.5, p.weak));
        let cursor = self.cursor(*selected);
        for i in self.nodes(shown) {
            let node = &self.tree.nodes[i];
            let is_cursor = Some(i) == cursor;
            let rows = node.at.y - node.height / 2.0..=node.at.y + node.height / 2.0;
            if is_cursor || (*rows.end() >= seen.top() && *rows.start() <= seen.bottom()) {
                let is_marked = marked
                    .is_some_and(|at| (at.chunk, at.candidate) == (node.chunk, node.candidate));
                self.node(ui, p, node, (is_cursor, is_marked), focus, selected);
            }
        }
        if let Some(cursor) = cursor {
            self.keys(ui, cursor, focus, selected);
        }
    }

    fn nodes(&self, chunks: Range<usize>) -> impl Iterator<Item = usize> + use<'_> {
        chunks.filter_map(|t| self.tree.chunks.get(t).cloned()).flatten()
    }

    /// The numbers of the chunks.
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

    /// The line from the candidate that is continued.
    fn edge(&self, painter: &Painter, p: &Palette, seen: Rect, node: &Node) {
        let (low, high) = {
            let from = self.start(node).y;
            (from.min(node.at.y), from.max(node.at.y))
        };
        if high < seen.top() || low > seen.bottom() {
            return;
        }
        let stroke = match (node.on_lead, node.kept) {
            (true, _) => Stroke::new(3.0, self.ink),
            (_, true) => Stroke::new(1.4, self.ink.gamma_multiply(0.7)),
            _ => Stroke::new(1.0, p.outline.gamma_multiply(0.8)),
        };
        self.line(painter, node, stroke);
    }

    /// Where the line to a candidate begins to leave its parent's row.
    fn start(&self, node: &Node) -> Pos2 {
        match node.parent.and_then(|i| self.tree.nodes.get(i)) {
            Some(parent) => pos2(node.at.x - FAN, parent.at.y),
            None => self.tree.root() + vec2(4.0, 0.0),
        }
    }

    fn line(&self, painter: &Painter, node: &Node, stroke: Stroke) {
        const BENDS: usize = 8;
        let (from, to) = (self.start(node) + self.origin, node.at + self.origin);
        let bend = |i: usize| {
            let along = i as f32 / BENDS as f32;
            let ease = along * along * (3.0 - 2.0 * along);
            pos2(lerp(from.x..=to.x, along), lerp(from.y..=to.y, ease))
        };
        painter.add(Shape::line((0..=BENDS).map(bend).collect(), stroke));
    }

    /// From a candidate's text to where its successors part.
    fn stem(&self, painter: &Painter, node: &Node, from: f32) {
        let stroke = if node.on_lead {
            Stroke::new(3.0, self.ink)
        } else {
            Stroke::new(1.4, self.ink.gamma_multiply(0.7))
        };
        let to = node.at.x + self.tree.step - FAN + self.origin.x;
        if from < to {
            painter.hline(from..=to, node.at.y + self.origin.y, stroke);
        }
    }

    /// The lines that lead to what is pointed at.
    fn descent(&self, painter: &Painter, p: &Palette, at: ChunkRef) {
        for (t, &i) in ancestry(self.chunks, at.chunk, at.candidate).iter().enumerate() {
            if let Some(node) = self.tree.find(t, i).and_then(|i| self.tree.nodes.get(i)) {
                self.line(painter, node, Stroke::new(2.5, p.text));
            }
        }
    }

    fn at(&self, node: &Node) -> ChunkRef {
        let (chunk, candidate) = (node.chunk, node.candidate);
        ChunkRef { slot: self.slot.index, chunk, candidate }
    }

    fn id(&self, ui: &Ui, node: &Node) -> Id {
        ui.scope_id().with((self.slot.index, node.chunk, node.candidate))
    }

    fn node(
        &self,
        ui: &mut Ui,
        p: &Palette,
        node: &Node,
        (is_cursor, is_marked): (bool, bool),
        focus: &mut Focus,
        selected: &mut Option<(usize, usize)>,
    ) {
        let here = node.at + self.origin;
        let galley = self.words(ui, p, node);
        let width = galley.as_ref().map_or(8.0, |g| GAP + g.size().x);
        let place = Rect::from_min_max(
            here - vec2(8.0, node.height / 2.0),
            here + vec2(width, node.height / 2.0),
        );
        // One stop for the tab key; from there the arrows lead on.
        let sense = match (self.is_alive, is_cursor) {
            (true, true) => Sense::click(),
            (true, false) => Sense::CLICK,
            _ => Sense::hover(),
        };
        let response = ui.interact(place, self.id(ui, node), sense);
        self.paint(ui, p, node, &response, is_marked);
        if let Some(galley) = galley {
            let at = here + vec2(GAP, -galley.size().y / 2.0);
            ui.painter().galley(at, galley, p.text);
        }
        if node.goes_on {
            self.stem(ui.painter(), node, here.x + width + 3.0);
        }
        let Some(found) = candidate(self.chunks, node.chunk, node.candidate) else { return };
        let at = self.at(node);
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, name(at, found)));
        if !self.is_alive {
            return;
        }
        if response.clicked() {
            (focus.open, *selected) = (Some(at), Some((node.chunk, node.candidate)));
            response.request_focus();
        }
        if response.hovered() || response.has_focus() {
            focus.point(at);
        }
        let (title, prompt, chunks) = (self.slot.title.as_str(), self.prompt, self.chunks);
        if response.hovered() {
            let card = ChunkCard { title, prompt, chunks, at };
            response.on_hover_ui_at_pointer(|ui| card.show(ui));
        }
    }

    fn paint(&self, ui: &Ui, p: &Palette, node: &Node, response: &Response, is_marked: bool) {
        let here = node.at + self.origin;
        let ink = p.graded(self.ink, self.share(node));
        let painter = ui.painter();
        if node.kept {
            let radius = if node.on_lead { 5.5 } else { 4.5 };
            painter.circle(here, radius, ink, Stroke::new(1.0, self.ink));
        } else {
            let radius = (node.height / 2.0 - 1.0).clamp(2.5, 3.5);
            painter.circle(here, radius, p.surface, Stroke::new(1.4, ink));
        }
        if response.has_focus() {
            let stroke = Stroke::new(1.5, p.guided);
            painter.rect_stroke(response.rect, space::RADIUS, stroke, StrokeKind::Outside);
        } else if is_marked || response.hovered() {
            painter.circle_stroke(here, 6.5, Stroke::new(2.0, p.text));
        }
    }

    /// What is written beside a candidate, cut to the room it has.
    fn words(&self, ui: &Ui, p: &Palette, node: &Node) -> Option<Arc<Galley>> {
        if node.label.is_empty() {
            return None;
        }
        let (font_id, color) = match (node.on_lead, node.kept) {
            (true, _) => (FontId::new(WORDS, text::strong()), p.text),
            (_, true) => (FontId::proportional(WORDS), p.text),
            _ => (FontId::proportional(WORDS), p.weak.gamma_multiply(0.75)),
        };
        let format = TextFormat { font_id, color, ..TextFormat::default() };
        let mut job = LayoutJob::single_section(node.label.clone(), format);
        job.wrap = TextWrapping::truncate_at_width(self.tree.step - GAP - FAN - 6.0);
        Some(ui.painter().layout_job(job))
    }

    /// The node that the tab key leads to.
    fn cursor(&self, selected: Option<(usize, usize)>) -> Option<usize> {
        let chosen = selected.and_then(|(chunk, candidate)| self.tree.find(chunk, candidate));
        let first = || self.tree.nodes.iter().position(|node| node.on_lead);
        chosen.or_else(first).filter(|_| self.is_alive)
    }

    /// Arrow keys lead from candidate to candidate; what is read follows.
    fn keys(
        &self,
        ui: &Ui,
        cursor: usize,
        focus: &mut Focus,
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
        let Some(to) = self.tree.next(cursor, right, down) else { return };
        let node = &self.tree.nodes[to];
        *selected = Some((node.chunk, node.candidate));
        ui.memory_mut(|m| m.request_focus(self.id(ui, node)));
        let room = vec2(self.tree.step, node.height * 2.0);
        ui.scroll_to_rect(Rect::from_center_size(node.at + self.origin, room), None);
        if focus.open.is_some() {
            focus.open = Some(self.at(node));
        }
        ui.request_repaint();
    }
}
