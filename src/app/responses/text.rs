//! The text of a response: lays it out with the colours of its tokens, and finds the token under
//! the pointer.

use std::ops::Range;

use eframe::egui::{
    Color32, FontId, Galley, Rect, Stroke, Ui, Vec2,
    text::{CCursor, LayoutJob, TextFormat},
};

use super::diff::{Kind, changes_cached};
use crate::app::settings::prompt_box::prompt_tail;
use crate::app::state::coloring::Coloring;
use crate::app::state::session::ArmView;
use crate::app::theme::{Palette, RESPONSE_LINE, text};
use crate::format::separator;
use crate::guidance::trace::{ChunkTrace, TokenTrace};

/// Width of the line below the word at the fork, in points.
const FORK_LINE: f32 = 2.0;

/// A prompt and its response, to be laid out.
pub(crate) struct Page<'a> {
    pub(crate) prompt: &'a str,
    pub(crate) view: &'a ArmView,
    /// What the background of a token shows.
    pub(crate) coloring: Coloring,
    /// The first column's text. `None` in the first column.
    pub(crate) reference: Option<&'a str>,
    /// Whether the removed words of the reference are shown.
    pub(crate) shows_removed: bool,
    /// Byte range of the response that is marked.
    pub(crate) marked: Option<Range<usize>>,
    /// The column's colour, for the fork and added words.
    pub(crate) color: Color32,
}

/// A laid out page. It maps characters back to bytes of the response.
pub(crate) struct PageLayout {
    pub(crate) job: LayoutJob,
    pieces: Vec<Piece>,
}

/// A piece of text in one format.
struct Piece {
    /// Number of characters.
    characters: usize,
    /// Start in the response, in bytes. `None` if the piece is not part of the response.
    at: Option<usize>,
    /// Byte range in the job's text.
    text: Range<usize>,
}

impl Page<'_> {
    /// Lays out the prompt, the decided tokens, the provisional tokens, and the rest of the
    /// previous run's text.
    pub(crate) fn layout(&self, ui: &Ui) -> PageLayout {
        let p = Palette::of(ui);
        let mut layout = PageLayout { job: LayoutJob::default(), pieces: Vec::new() };
        layout.append(&prompt_tail(self.prompt), None, format(text::prompt(), p.weak));
        // Before the first token, the separator depends on the previous run's text.
        let text = &self.view.report.text;
        let first = if text.is_empty() { self.view.ghost_tail() } else { text };
        layout.append(separator(self.prompt, first), None, format(text::prompt(), p.weak));
        let report = &self.view.report;
        match self.coloring {
            Coloring::Plain => {
                let decided = self.view.decided_bytes();
                self.response_part(&mut layout, p, 0..decided, format(text::response(), p.text));
                let rest = decided..report.text.len();
                self.response_part(&mut layout, p, rest, format(text::response(), p.provisional));
            }
            Coloring::Changes => self.changes(ui, &mut layout, p),
            measure => {
                let mut start = 0;
                for (index, token) in report.tokens.iter().enumerate() {
                    // Italics, because the weak colour of provisional text is hard to read on a
                    // tint.
                    let mut format = format(text::response(), p.text);
                    format.background = measure.of(token, p).unwrap_or(Color32::TRANSPARENT);
                    format.italics = index >= self.view.decided && !self.view.done;
                    let end = start + token.text.len();
                    self.response_part(&mut layout, p, start..end, format);
                    start = end;
                }
            }
        }
        layout.append(self.view.ghost_tail(), None, format(text::response(), p.ghost));
        layout
    }

    /// Lays out the differences from the reference: the fork underlined, added words on a tint and,
    /// on request, removed words struck through.
    fn changes(&self, ui: &Ui, layout: &mut PageLayout, p: &Palette) {
        let response = &self.view.report.text;
        let plain = format(text::response(), p.text);
        let Some(reference) = self.reference else {
            return self.response_part(layout, p, 0..response.len(), plain);
        };
        let changes = changes_cached(ui, reference, response);
        let fork = changes.fork.clone().unwrap_or(0..0);
        let mut start = 0;
        for (kind, words) in &changes.pieces {
            let mut format = plain.clone();
            if *kind == Kind::Removed {
                if self.shows_removed {
                    format.color = p.weak;
                    format.strikethrough = Stroke::new(1.0, p.weak);
                    layout.append(words, None, format);
                }
                continue;
            }
            if *kind == Kind::Added {
                format.background = p.added(self.color);
            }
            let end = start + words.len();
            let cuts = [start, fork.start.clamp(start, end), fork.end.clamp(start, end), end];
            for (i, cut) in cuts.windows(2).enumerate() {
                let mut format = format.clone();
                if i == 1 {
                    format.background = p.fork(self.color);
                    // Underlined for users who cannot see the tint.
                    format.underline = Stroke::new(FORK_LINE, self.color);
                }
                self.response_part(layout, p, cut[0]..cut[1], format);
            }
            start = end;
        }
    }

    /// Appends a part of the response. Marked bytes get the colour of selected text.
    fn response_part(
        &self,
        layout: &mut PageLayout,
        p: &Palette,
        range: Range<usize>,
        format: TextFormat,
    ) {
        let response = &self.view.report.text;
        let mark = self.marked.clone().unwrap_or(0..0);
        let cuts = [
            range.start,
            mark.start.clamp(range.start, range.end),
            mark.end.clamp(range.start, range.end),
            range.end,
        ];
        for (i, pair) in cuts.windows(2).enumerate() {
            let mut format = format.clone();
            if i == 1 {
                format.background = p.selection;
            }
            let words = response.get(pair[0]..pair[1]).unwrap_or("");
            layout.append(words, Some(pair[0]), format);
        }
    }
}

impl PageLayout {
    fn append(&mut self, words: &str, at: Option<usize>, format: TextFormat) {
        if words.is_empty() {
            return;
        }
        let start = self.job.text.len();
        self.job.append(words, 0.0, format);
        let text = start..self.job.text.len();
        self.pieces.push(Piece { characters: words.chars().count(), at, text });
    }

    /// Returns the byte of the response at the position `at`, relative to the galley's upper left
    /// corner. Returns `None` beside the text and on text that is not part of the response.
    /// `words` is the job's text, passed separately because the job may have been moved out.
    pub(crate) fn byte_at(&self, words: &str, galley: &Galley, at: Vec2) -> Option<usize> {
        if !galley.rect.contains(at.to_pos2()) {
            return None;
        }
        // The cursor is the nearest gap between two characters. The character under the pointer is
        // on the pointer's side of the gap.
        let cursor = galley.cursor_from_pos(at);
        let edge = galley.pos_from_cursor(cursor);
        if !edge.y_range().contains(at.y) {
            return None;
        }
        let mut character =
            if at.x < edge.left() { cursor.index.0.checked_sub(1)? } else { cursor.index.0 };
        for piece in &self.pieces {
            if character < piece.characters {
                let (inside, _) = words.get(piece.text.clone())?.char_indices().nth(character)?;
                return piece.at.map(|start| start + inside);
            }
            character -= piece.characters;
        }
        None
    }

    /// Returns the rectangle of the line in which the byte `byte` of the response is, without width
    /// and at the byte's left edge. It is relative to the galley's upper left corner.
    pub(crate) fn place_of(&self, galley: &Galley, byte: usize) -> Option<Rect> {
        let mut before = 0;
        for piece in &self.pieces {
            let inside = piece.at.and_then(|start| byte.checked_sub(start));
            if let Some(inside) = inside.filter(|inside| *inside < piece.text.len()) {
                let words = galley.job.text.get(piece.text.clone())?.get(..inside)?;
                let cursor = CCursor::new(before + words.chars().count());
                return Some(galley.pos_from_cursor(cursor));
            }
            before += piece.characters;
        }
        None
    }
}

/// Returns the token that contains the byte at `byte`, and its index.
pub(crate) fn token_at(tokens: &[TokenTrace], byte: usize) -> Option<(usize, &TokenTrace)> {
    let mut end = 0;
    tokens.iter().enumerate().find(|(_, token)| {
        end += token.text.len();
        byte < end
    })
}

/// Returns the index of the chunk that contains a token.
pub(crate) fn chunk_of(chunks: &[ChunkTrace], token: usize) -> Option<usize> {
    chunks.iter().position(|chunk| token < chunk.end_token)
}

/// Returns the byte range of the response that belongs to the chunk with index `chunk`.
pub(crate) fn bytes_of(tokens: &[TokenTrace], chunks: &[ChunkTrace], chunk: usize) -> Range<usize> {
    let end_token = chunks.get(chunk).map_or(0, |c| c.end_token).min(tokens.len());
    let before = chunk.checked_sub(1).and_then(|c| chunks.get(c));
    let start_token = before.map_or(0, |c| c.end_token).min(end_token);
    let length = |tokens: &[TokenTrace]| tokens.iter().map(|t| t.text.len()).sum::<usize>();
    length(&tokens[..start_token])..length(&tokens[..end_token])
}

fn format(font: FontId, color: Color32) -> TextFormat {
    let line_height = Some(text::response().size * RESPONSE_LINE);
    TextFormat { font_id: font, color, line_height, ..TextFormat::default() }
}
