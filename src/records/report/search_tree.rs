//! Layout of the search tree. Each chunk is a column. The successors of a beam are below each
//! other, in the order of the beams, so that no two lines cross.

use std::ops::Range;

use emath::{Pos2, Vec2, pos2, vec2};

use crate::guidance::lineage::lead;
use crate::guidance::trace::{Candidate, ChunkTrace};

/// Height of a candidate with text, in points.
const TEXT_HEIGHT: f32 = 20.0;
/// Minimum height of a candidate with text, in points.
const MIN_TEXT_HEIGHT: f32 = 15.0;
/// Minimum height of a dropped candidate, in points.
const MIN_DROPPED_HEIGHT: f32 = 6.0;
/// Minimum and maximum width of a chunk, in points. Ten chunks fit into the smallest window.
const STEP_LIMITS: (f32, f32) = (80.0, 220.0);
/// Height of the chunk numbers above the rows, in points.
pub(crate) const HEADER: f32 = 16.0;
/// Distance from the left edge to the root, in points.
const ROOT: f32 = 10.0;
/// Distance from the left edge to the first chunk, in points.
const FIRST_CHUNK: f32 = 40.0;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Index of its chunk.
    pub(crate) chunk: usize,
    /// Index of the candidate in the chunk.
    pub(crate) candidate: usize,
    /// Index of the node that it continues. `None` in the first chunk.
    pub(crate) parent: Option<usize>,
    /// Position of the dot.
    pub(crate) at: Pos2,
    pub(crate) height: f32,
    /// Text beside the dot. Empty if there is no room.
    pub(crate) label: String,
    pub(crate) kept: bool,
    /// Whether it is part of the response.
    pub(crate) on_lead: bool,
    /// Whether a candidate of the next chunk continues it.
    pub(crate) is_continued: bool,
    /// `None` without a finite value.
    pub(crate) value: Option<f32>,
}

/// A laid out search tree.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tree {
    /// All nodes, chunk by chunk, from top to bottom.
    pub(crate) nodes: Vec<Node>,
    /// Range of the nodes of each chunk.
    pub(crate) chunks: Vec<Range<usize>>,
    /// Distance between two chunks.
    pub(crate) step: f32,
    pub(crate) size: Vec2,
}

impl Tree {
    /// Lays out the tree of `chunks` in an area of the size `room`, with space for `expected`
    /// chunks.
    pub(crate) fn of(chunks: &[ChunkTrace], expected: usize, room: Vec2) -> Self {
        let count = chunks.len().max(expected).max(1) as f32;
        let step = ((room.x - FIRST_CHUNK) / count).clamp(STEP_LIMITS.0, STEP_LIMITS.1).floor();
        let rows = room.y - HEADER;
        let (row, dropped_height) = heights(chunks, rows);
        let height = |c: &Candidate| if c.survived { row } else { dropped_height };
        let total = |chunk: &ChunkTrace| chunk.candidates.iter().map(height).sum::<f32>();
        let tallest = chunks.iter().map(total).fold(rows, f32::max);
        let response = lead(chunks);
        let mut tree = Self { step, ..Self::default() };
        // Node index of each candidate of the previous chunk.
        let mut previous: Vec<usize> = Vec::new();
        for (t, chunk) in chunks.iter().enumerate() {
            let start = tree.nodes.len();
            let mut y = HEADER + (tallest - total(chunk)) / 2.0;
            let mut indices = vec![usize::MAX; chunk.candidates.len()];
            for i in order(chunk, &previous) {
                let candidate = &chunk.candidates[i];
                let height = height(candidate);
                let parent = candidate.parent.and_then(|parent| previous.get(parent)).copied();
                if let Some(parent) = parent {
                    tree.nodes[parent].is_continued = true;
                }
                let has_label = height >= MIN_TEXT_HEIGHT;
                indices[i] = tree.nodes.len();
                tree.nodes.push(Node {
                    chunk: t,
                    candidate: i,
                    parent,
                    at: pos2(FIRST_CHUNK + t as f32 * step, y + height / 2.0),
                    height,
                    label: if has_label { label(candidate) } else { String::new() },
                    kept: candidate.survived,
                    on_lead: response.get(t) == Some(&i),
                    is_continued: false,
                    value: candidate.value.filter(|v| v.is_finite()),
                });
                y += height;
            }
            tree.chunks.push(start..tree.nodes.len());
            previous = indices;
        }
        tree.size = vec2(FIRST_CHUNK + chunks.len() as f32 * step, HEADER + tallest);
        tree
    }

    /// Returns the position of the root.
    pub(crate) fn root(&self) -> Pos2 {
        pos2(ROOT, HEADER + (self.size.y - HEADER) / 2.0)
    }

    /// Returns the node index of a candidate.
    pub(crate) fn find(&self, chunk: usize, candidate: usize) -> Option<usize> {
        let range = self.chunks.get(chunk)?.clone();
        range.into_iter().find(|&i| self.nodes[i].candidate == candidate)
    }

    /// Returns the chunks that are visible between two x coordinates.
    pub(crate) fn chunks_between(&self, left: f32, right: f32) -> Range<usize> {
        let at = |x: f32| ((x - FIRST_CHUNK) / self.step).floor().max(0.0) as usize;
        // Includes one chunk more on the left, because its text and lines reach into the view.
        let first = at(left).saturating_sub(1).min(self.chunks.len());
        first..(at(right) + 2).clamp(first, self.chunks.len())
    }

    /// Returns the node that an arrow key selects. Left is the parent, right the best successor, up
    /// and down are the neighbours in the chunk.
    pub(crate) fn neighbour(&self, from: usize, right: i32, down: i32) -> Option<usize> {
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
        // The successors of one parent are sorted by value.
        successors.min_by_key(|&i| (!self.nodes[i].on_lead, !self.nodes[i].kept, i))
    }
}

/// Returns the heights of kept and of dropped candidates, so that all fit into `rows` if possible.
fn heights(chunks: &[ChunkTrace], rows: f32) -> (f32, f32) {
    let dropped_height = |row: f32| {
        let fits = chunks.iter().map(|chunk| {
            let kept = chunk.candidates.iter().filter(|c| c.survived).count();
            let dropped = (chunk.candidates.len() - kept).max(1);
            (rows - kept as f32 * row) / dropped as f32
        });
        fits.fold(row, f32::min)
    };
    let dropped = dropped_height(TEXT_HEIGHT);
    if dropped > MIN_DROPPED_HEIGHT {
        (TEXT_HEIGHT, dropped)
    } else {
        (MIN_TEXT_HEIGHT, dropped_height(MIN_TEXT_HEIGHT).max(MIN_DROPPED_HEIGHT))
    }
}

/// Returns the candidates from top to bottom: sorted by beam, then by descending value.
fn order(chunk: &ChunkTrace, previous: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..chunk.candidates.len()).collect();
    let beam = |i: usize| chunk.candidates[i].parent.and_then(|p| previous.get(p)).copied();
    let value = |i: usize| chunk.candidates[i].value.unwrap_or(f32::NEG_INFINITY);
    order.sort_by(|&a, &b| beam(a).cmp(&beam(b)).then(value(b).total_cmp(&value(a))));
    order
}

/// Returns the text of a candidate in one line.
fn label(candidate: &Candidate) -> String {
    let line = candidate.text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.is_empty() {
        true if candidate.ended => "ended".into(),
        true => "·".into(),
        false => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::lineage::tests::{candidate_of, search};

    fn tree() -> Tree {
        Tree::of(&search(), 10, vec2(1000.0, 200.0))
    }

    #[test]
    fn successors_are_in_the_order_of_their_beams() {
        let tree = tree();
        let rows: Vec<usize> = tree.nodes.iter().map(|n| n.candidate).collect();
        assert_eq!(rows, [0, 2, 1, 1, 0, 2], "by value, then by beam and value");
        for chunk in &tree.chunks {
            let nodes = &tree.nodes[chunk.clone()];
            assert!(nodes.is_sorted_by(|a, b| a.at.y < b.at.y));
            assert!(nodes.is_sorted_by(|a, b| a.parent <= b.parent), "lines would cross");
        }
        assert!(tree.nodes[1].is_continued && !tree.nodes[2].is_continued);
    }

    #[test]
    fn new_chunks_do_not_move_earlier_ones() {
        let whole = tree();
        let first = Tree::of(&search()[..1], 10, vec2(1000.0, 200.0));
        for (first, later) in first.nodes.iter().zip(&whole.nodes) {
            assert_eq!(first.at, later.at);
        }
    }

    #[test]
    fn dropped_candidates_shrink_until_all_fit() {
        let chunk = |rows: usize| ChunkTrace {
            end_token: 5,
            candidates: (0..rows).map(|i| candidate_of(None, i as f32, i < 4, 5)).collect(),
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
    fn arrow_keys_follow_the_lines() {
        let tree = tree();
        let at = |chunk, candidate| tree.find(chunk, candidate).expect("a node");
        assert_eq!(tree.neighbour(at(0, 2), 1, 0), Some(at(1, 2)));
        assert_eq!(tree.neighbour(at(1, 2), -1, 0), Some(at(0, 2)));
        assert_eq!(tree.neighbour(at(0, 0), 1, 0), Some(at(1, 1)), "the survivor");
        assert_eq!(tree.neighbour(at(0, 1), 1, 0), None, "it was dropped");
        assert_eq!(tree.neighbour(at(0, 0), 0, 1), Some(at(0, 2)));
        assert_eq!(tree.neighbour(at(0, 0), 0, -1), None);
        assert_eq!(tree.neighbour(at(0, 1), 0, 1), None, "not into the next chunk");
        assert_eq!(tree.neighbour(at(0, 0), -1, 0), None);
    }

    #[test]
    fn finds_the_visible_chunks() {
        let chunks: Vec<_> = (0..80).flat_map(|_| search().into_iter().take(1)).collect();
        let tree = Tree::of(&chunks, 80, vec2(872.0, 200.0));
        assert_eq!(tree.step, 80.0);
        assert_eq!(tree.chunks_between(0.0, 872.0), 0..12);
        assert_eq!(tree.chunks_between(3240.0, 4112.0), 39..52);
        assert_eq!(tree.chunks_between(1e6, 2e6), 80..80);
    }
}
