//! The text of a response: laid out with the colours of its tokens, and found again under the
//! pointer.

use std::ops::Range;

use eframe::egui::{
    Color32, FontId, Galley, Stroke, Ui, Vec2,
    text::{LayoutJob, TextFormat},
};

use super::changes::{Kind, changes_cached};
use super::coloring::Coloring;
use super::prompt_box::end_of;
use super::session::ArmView;
use super::theme::{Palette, RESPONSE_LINE, text};
use crate::guidance::trace::{ChunkTrace, TokenTrace};
use crate::words::seam;

/// What is to be laid out.
pub struct Page<'a> {
    /// The prompt, before the response.
    pub prompt: &'a str,
    /// The response.
    pub view: &'a ArmView,
    /// What the background of a token shows.
    pub coloring: Coloring,
    /// The first column's text, for whoever is compared with it.
    pub reference: Option<&'a str>,
    /// Bytes of the response that are pointed at.
    pub marked: Option<Range<usize>>,
    /// The column's colour, for the mark.
    pub ink: Color32,
}

/// A laid out page that knows where its letters come from.
pub struct Laid {
    /// The text and its formats.
    pub job: LayoutJob,
    pieces: Vec<Piece>,
}

/// A stretch of one format.
struct Piece {
    letters: usize,
    /// The byte of the response at which it begins; none for what is no part of it.
    at: Option<usize>,
    text: Range<usize>,
}

impl Page<'_> {
    /// The prompt, then the decided tokens, then the provisional ones, then what is left of the
    /// run before.
    pub fn lay(&self, ui: &Ui) -> Laid {
        let p = Palette::of(ui);
        let mut laid = Laid { job: LayoutJob::default(), pieces: Vec::new() };
        laid.append(&end_of(self.prompt), None, format(text::prompt(), p.weak));
        // While a text begins, what is left of the run before holds its place.
        let text = &self.view.report.text;
        let first = if text.is_empty() { self.view.ghost_tail() } else { text };
        laid.append(seam(self.prompt, first), None, format(text::prompt(), p.weak));
        let report = &self.view.report;
        match self.coloring {
            Coloring::Plain => {
                let decided = self.view.decided_bytes();
                self.stretch(&mut laid, p, 0..decided, format(text::response(), p.text));
                let rest = decided..report.text.len();
                self.stretch(&mut laid, p, rest, format(text::response(), p.provisional));
            }
            Coloring::Changes => self.changes(ui, &mut laid, p),
            measure => {
                let mut start = 0;
                for (index, token) in report.tokens.iter().enumerate() {
                    // On a tint the weaker ink of provisional text would be hard to read.
                    let mut format = format(text::response(), p.text);
                    format.background = measure.of(token, p).unwrap_or(Color32::TRANSPARENT);
                    format.italics = index >= self.view.decided && !self.view.done;
                    let end = start + token.text.len();
                    self.stretch(&mut laid, p, start..end, format);
                    start = end;
                }
            }
        }
        laid.append(self.view.ghost_tail(), None, format(text::response(), p.ghost));
        laid
    }

    /// Words that the reference lacks on a tint; those it has instead, struck through.
    fn changes(&self, ui: &Ui, laid: &mut Laid, p: &Palette) {
        let response = &self.view.report.text;
        let plain = format(text::response(), p.text);
        let Some(reference) = self.reference else {
            return self.stretch(laid, p, 0..response.len(), plain);
        };
        let mut start = 0;
        for (kind, words) in changes_cached(ui, reference, response).iter() {
            let mut format = plain.clone();
            match kind {
                Kind::Removed => {
                    format.color = p.weak;
                    format.strikethrough = Stroke::new(1.0, p.weak);
                    laid.append(words, None, format);
                    continue;
                }
                Kind::Added => {
                    format.background = p.added(self.ink);
                    // The weight tells it to those who do not see the tint.
                    format.font_id = text::prompt();
                }
                Kind::Common => {}
            }
            let end = start + words.len();
            self.stretch(laid, p, start..end, format);
            start = end;
        }
    }

    /// A part of the response, its marked bytes on the colour of selected text.
    fn stretch(&self, laid: &mut Laid, p: &Palette, range: Range<usize>, format: TextFormat) {
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
            laid.append(words, Some(pair[0]), format);
        }
    }
}

impl Laid {
    fn append(&mut self, words: &str, at: Option<usize>, format: TextFormat) {
        if words.is_empty() {
            return;
        }
        let start = self.job.text.len();
        self.job.append(words, 0.0, format);
        let text = start..self.job.text.len();
        self.pieces.push(Piece { letters: words.chars().count(), at, text });
    }

    /// The byte of the response under `at`, counted from the galley's corner; none beside the
    /// text, and on letters that are no part of the response.
    /// `words` is the job's text, which may have been taken.
    pub fn byte_at(&self, words: &str, galley: &Galley, at: Vec2) -> Option<usize> {
        if !galley.rect.contains(at.to_pos2()) {
            return None;
        }
        // The nearest place between two letters; the letter meant is the one on the pointer's
        // side of it.
        let cursor = galley.cursor_from_pos(at);
        let edge = galley.pos_from_cursor(cursor);
        if !edge.y_range().contains(at.y) {
            return None;
        }
        let mut letter =
            if at.x < edge.left() { cursor.index.0.checked_sub(1)? } else { cursor.index.0 };
        for piece in &self.pieces {
            if letter < piece.letters {
                let (inside, _) = words.get(piece.text.clone())?.char_indices().nth(letter)?;
                return piece.at.map(|start| start + inside);
            }
            letter -= piece.letters;
        }
        None
    }
}

/// The token that wrote the byte at `byte`, and its index.
pub fn token_at(tokens: &[TokenTrace], byte: usize) -> Option<(usize, &TokenTrace)> {
    let mut end = 0;
    tokens.iter().enumerate().find(|(_, token)| {
        end += token.text.len();
        byte < end
    })
}

/// The chunk in which a token was decided.
pub fn chunk_of(chunks: &[ChunkTrace], token: usize) -> Option<usize> {
    chunks.iter().position(|chunk| token < chunk.end_token)
}

/// The bytes of the response that chunk number `chunk` wrote.
pub fn bytes_of(tokens: &[TokenTrace], chunks: &[ChunkTrace], chunk: usize) -> Range<usize> {
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
