//! Text of a response while it grows, exact to the byte.

use std::ops::Range;

/// The text of one response, built token by token. Tokens may end inside a character: what is
/// not yet a whole character is held back, and nothing else is. Invalid bytes become U+FFFD
/// exactly as [`String::from_utf8_lossy`] would have it for the whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TextStream {
    text: String,
    /// Bytes received that do not yet make a character; at most three.
    pending: Vec<u8>,
    ranges: Vec<Range<usize>>,
    /// Tokens that end inside `pending`: index of the first, and where each ends in it.
    open_from: usize,
    open_ends: Vec<usize>,
}

impl TextStream {
    /// An empty text.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the bytes of one token and gives the characters it completed, possibly none.
    pub fn push(&mut self, bytes: &[u8]) -> &str {
        let before = self.text.len();
        self.pending.extend_from_slice(bytes);
        self.ranges.push(before..before);
        self.open_ends.push(self.pending.len());
        self.settle(false);
        &self.text[before..]
    }

    /// The whole characters so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where each pushed token's bytes stand in [`TextStream::text`]: ascending, adjoining,
    /// always inside the text. A token that ends inside a character has a range that does, too;
    /// while the character is incomplete the range ends with the text. Where all bytes are valid
    /// UTF-8 a range holds exactly the token's bytes once its last character is complete.
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// Ends the text: an incomplete character at its end becomes one U+FFFD, which is given.
    pub fn finish(&mut self) -> &str {
        let before = self.text.len();
        self.settle(true);
        &self.text[before..]
    }

    /// Moves what is decided from `pending` to `text`.
    fn settle(&mut self, last: bool) {
        let pending = std::mem::take(&mut self.pending);
        let mut done = 0;
        // (bytes of `pending` up to here, bytes of `text` up to here), one entry a segment.
        let mut segments = vec![(0, self.text.len())];
        while done < pending.len() {
            let rest = &pending[done..];
            let (valid, invalid) = match std::str::from_utf8(rest) {
                Ok(valid) => (valid, 0),
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    let incomplete = if last { after.len() } else { 0 };
                    // The prefix was just found valid: this never takes the default.
                    let valid = std::str::from_utf8(valid).unwrap_or_default();
                    (valid, error.error_len().unwrap_or(incomplete))
                }
            };
            if valid.is_empty() && invalid == 0 {
                break;
            }
            self.text.push_str(valid);
            done += valid.len();
            segments.push((done, self.text.len()));
            if invalid > 0 {
                self.text.push(char::REPLACEMENT_CHARACTER);
                done += invalid;
                segments.push((done, self.text.len()));
            }
        }
        self.pending = pending[done..].to_vec();
        self.place(&segments, done);
    }

    /// Sets the ranges of the tokens that were open, and keeps those that still are.
    fn place(&mut self, segments: &[(usize, usize)], done: usize) {
        let first = self.open_from;
        let mut segment = 1;
        let mut closed = 0;
        let mut start = first.checked_sub(1).map_or(0, |token| self.ranges[token].end);
        for (token, &end) in self.open_ends.iter().enumerate() {
            while segment < segments.len() && segments[segment].0 < end {
                segment += 1;
            }
            let place = match segments.get(segment) {
                Some(&(bytes, text)) if bytes == end => text,
                // Inside a segment: as far from its start as the bytes are. A replaced sequence
                // is at most as long as its replacement, so this stays inside.
                Some(_) => segments[segment - 1].1 + (end - segments[segment - 1].0),
                None if end == 0 => start,
                None => self.text.len(),
            };
            self.ranges[first + token] = start..place;
            start = place;
            closed += usize::from(end <= done);
        }
        self.open_from += closed;
        self.open_ends.drain(..closed);
        self.open_ends.iter_mut().for_each(|end| *end -= done);
    }
}
