//! Where every candidate of a search stands in its tree: a column a chunk, the successors of a
//! beam below one another in the order of the beams, so that no two lines cross.

use std::ops::Range;

use eframe::egui::{Pos2, Vec2, pos2, vec2};

use super::lineage::lead;
use crate::guidance::trace::{Candidate, ChunkTrace};

/// Height of a candidate whose text is written beside it.
const ROW: f32 = 20.0;
/// The same where room is scarce; text needs that much.
const READABLE: f32 = 15.0;
/// The least height of a dropped candidate.
const DENSE: f32 = 6.0;
/// Width of a chunk, at least and at most: ten of them fit into the smallest window.
const STEP: (f32, f32) = (80.0, 220.0);
/// Room above the rows, for the numbers of the chunks.
pub const HEADER: f32 = 16.0;
/// From the left edge to the root, and from there to the first chunk.
pub const ROOT: f32 = 10.0;
const FIRST: f32 = 40.0;

/// One candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its chunk.
    pub chunk: usize,
    /// Its row in the chunk.
    pub candidate: usize,
    /// The node that it continues; none in the first chunk.
    pub parent: Option<usize>,
    /// Where it stands.
    pub at: Pos2,
    /// The height of its own.
    pub height: f32,
    /// What is written beside it; empty where there is no room.
    pub label: String,
    /// Whether it was kept.
    pub kept: bool,
    /// Whether the answer comes from it.
    pub on_lead: bool,
    /// Whether another chunk continues it.
    pub goes_on: bool,
    /// Its value, if it has one.
    pub value: Option<f32>,
}

/// A laid out tree.
#[derive(Debug, Default, PartialEq)]
pub struct Tree {
    /// Chunk by chunk, from top to bottom.
    pub nodes: Vec<Node>,
    /// The nodes of every chunk.
    pub chunks: Vec<Range<usize>>,
    /// From one chunk to the next.
    pub step: f32,
    /// All of it.
    pub size: Vec2,
}

impl Tree {
    /// Lays the tree of `chunks` out for `room`, in which `expected` chunks will have to stand.
    pub fn of(chunks: &[ChunkTrace], expected: usize, room: Vec2) -> Self {
        let count = chunks.len().max(expected).max(1) as f32;
        let step = ((room.x - FIRST) / count).clamp(STEP.0, STEP.1).floor();
        let rows = room.y - HEADER;
        let (row, dense) = heights(chunks, rows);
        let height = |c: &Candidate| if c.survived { row } else { dense };
        let total = |chunk: &ChunkTrace| chunk.candidates.iter().map(height).sum::<f32>();
        let tallest = chunks.iter().map(total).fold(rows, f32::max);
        let answer = lead(chunks);
        let mut tree = Self { step, ..Self::default() };
        // For every candidate of the chunk before, its node.
        let mut before: Vec<usize> = Vec::new();
        for (t, chunk) in chunks.iter().enumerate() {
            let start = tree.nodes.len();
            let mut y = HEADER + (tallest - total(chunk)) / 2.0;
            let mut places = vec![usize::MAX; chunk.candidates.len()];
            for i in order(chunk, &before) {
                let candidate = &chunk.candidates[i];
                let height = height(candidate);
                let parent = candidate.parent.and_then(|parent| before.get(parent)).copied();
                if let Some(parent) = parent {
                    tree.nodes[parent].goes_on = true;
                }
                let readable = height >= READABLE;
                places[i] = tree.nodes.len();
                tree.nodes.push(Node {
                    chunk: t,
                    candidate: i,
                    parent,
                    at: pos2(FIRST + t as f32 * step, y + height / 2.0),
                    height,
                    label: if readable { label(candidate) } else { String::new() },
                    kept: candidate.survived,
                    on_lead: answer.get(t) == Some(&i),
                    goes_on: false,
                    value: candidate.value.filter(|v| v.is_finite()),
                });
                y += height;
            }
            tree.chunks.push(start..tree.nodes.len());
            before = places;
        }
        tree.size = vec2(FIRST + chunks.len() as f32 * step, HEADER + tallest);
        tree
    }

    /// Where the root stands.
    pub fn root(&self) -> Pos2 {
        pos2(ROOT, HEADER + (self.size.y - HEADER) / 2.0)
    }

    /// The node of a candidate.
    pub fn find(&self, chunk: usize, candidate: usize) -> Option<usize> {
        let range = self.chunks.get(chunk)?.clone();
        range.into_iter().find(|&i| self.nodes[i].candidate == candidate)
    }

    /// The chunks that stand between two places.
    pub fn chunks_between(&self, left: f32, right: f32) -> Range<usize> {
        let at = |x: f32| ((x - FIRST) / self.step).floor().max(0.0) as usize;
        // The text of the chunk before reaches in, and so do its lines.
        let first = at(left).saturating_sub(1).min(self.chunks.len());
        first..(at(right) + 2).clamp(first, self.chunks.len())
    }

    /// The node that arrow keys lead to: over to the parent or to what became of it, up or down
    /// in its chunk.
    pub fn next(&self, from: usize, right: i32, down: i32) -> Option<usize> {
        let node = self.nodes.get(from)?;
        if down != 0 {
            let to = from.checked_add_signed(down as isize)?;
            return self.chunks.get(node.chunk)?.contains(&to).then_some(to);
        }
        if right < 0 {
            return node.parent;
        }
        let successors = self.chunks.get(node.chunk + 1)?.clone();
        let successors = successors.filter(|&i| self.nodes[i].parent == Some(from));
        // Those of one parent stand in the order of their values.
        successors.min_by_key(|&i| (!self.nodes[i].on_lead, !self.nodes[i].kept, i))
    }
}

/// The heights of kept and of dropped candidates with which everything fits, as far as it can.
fn heights(chunks: &[ChunkTrace], rows: f32) -> (f32, f32) {
    let dense = |row: f32| {
        let fits = chunks.iter().map(|chunk| {
            let kept = chunk.candidates.iter().filter(|c| c.survived).count();
            let dropped = (chunk.candidates.len() - kept).max(1);
            (rows - kept as f32 * row) / dropped as f32
        });
        fits.fold(row, f32::min)
    };
    let roomy = dense(ROW);
    if roomy > DENSE { (ROW, roomy) } else { (READABLE, dense(READABLE).max(DENSE)) }
}

/// The candidates from top to bottom: by beam, then the most valuable first.
fn order(chunk: &ChunkTrace, before: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..chunk.candidates.len()).collect();
    let beam = |i: usize| chunk.candidates[i].parent.and_then(|p| before.get(p)).copied();
    let value = |i: usize| chunk.candidates[i].value.unwrap_or(f32::NEG_INFINITY);
    order.sort_by(|&a, &b| beam(a).cmp(&beam(b)).then(value(b).total_cmp(&value(a))));
    order
}

/// The text of a chunk in one line.
fn label(candidate: &Candidate) -> String {
    let words = candidate.text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.is_empty() {
        true if candidate.ended => "ended".into(),
        true => "·".into(),
        false => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::lineage::tests::{made, search};

    fn tree() -> Tree {
        Tree::of(&search(), 10, vec2(1000.0, 200.0))
    }

    #[test]
    fn successors_stand_in_the_order_of_their_beams() {
        let tree = tree();
        let rows: Vec<usize> = tree.nodes.iter().map(|n| n.candidate).collect();
        assert_eq!(rows, [0, 2, 1, 1, 0, 2], "by value, then by beam and value");
        for chunk in &tree.chunks {
            let nodes = &tree.nodes[chunk.clone()];
            assert!(nodes.is_sorted_by(|a, b| a.at.y < b.at.y));
            assert!(nodes.is_sorted_by(|a, b| a.parent <= b.parent), "lines would cross");
        }
        assert!(tree.nodes[1].goes_on && !tree.nodes[2].goes_on);
    }

    #[test]
    fn what_has_come_stays_where_it_is() {
        let whole = tree();
        let first = Tree::of(&search()[..1], 10, vec2(1000.0, 200.0));
        for (before, after) in first.nodes.iter().zip(&whole.nodes) {
            assert_eq!(before.at, after.at);
        }
    }

    #[test]
    fn dropped_candidates_move_together_until_all_of_them_fit() {
        let chunk = |rows: usize| ChunkTrace {
            end_token: 5,
            candidates: (0..rows).map(|i| made(None, i as f32, i < 4, 5)).collect(),
            leader: 3,
            selection_kl_nats: None,
        };
        let sixteen = Tree::of(&[chunk(16)], 10, vec2(872.0, 150.0));
        assert!(sixteen.size.y <= 150.0, "{}", sixteen.size.y);
        assert!(sixteen.nodes.iter().all(|n| n.label.is_empty() != n.kept));
        let many = Tree::of(&[chunk(64)], 10, vec2(872.0, 200.0));
        assert!(many.size.y > 200.0);
        let few = Tree::of(&[chunk(6)], 10, vec2(872.0, 200.0));
        assert!(few.nodes.iter().all(|n| !n.label.is_empty()));
    }

    #[test]
    fn arrows_follow_the_lines() {
        let tree = tree();
        let at = |chunk, candidate| tree.find(chunk, candidate).expect("a node");
        assert_eq!(tree.next(at(0, 2), 1, 0), Some(at(1, 2)));
        assert_eq!(tree.next(at(1, 2), -1, 0), Some(at(0, 2)));
        assert_eq!(tree.next(at(0, 0), 1, 0), Some(at(1, 1)), "the survivor");
        assert_eq!(tree.next(at(0, 1), 1, 0), None, "it was dropped");
        assert_eq!(tree.next(at(0, 0), 0, 1), Some(at(0, 2)));
        assert_eq!(tree.next(at(0, 0), 0, -1), None);
        assert_eq!(tree.next(at(0, 1), 0, 1), None, "not into the next chunk");
        assert_eq!(tree.next(at(0, 0), -1, 0), None);
    }

    #[test]
    fn only_what_can_be_seen_is_looked_at() {
        let chunks: Vec<_> = (0..80).flat_map(|_| search().into_iter().take(1)).collect();
        let tree = Tree::of(&chunks, 80, vec2(872.0, 200.0));
        assert_eq!(tree.step, 80.0);
        assert_eq!(tree.chunks_between(0.0, 872.0), 0..12);
        assert_eq!(tree.chunks_between(3240.0, 4112.0), 39..52);
        assert_eq!(tree.chunks_between(1e6, 2e6), 80..80);
    }
}
