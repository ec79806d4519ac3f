//! Incremental decoding of a response's bytes into text.

use std::ops::Range;

/// The text of one response, built token by token. A token may end inside a character; only the
/// bytes of an incomplete character are held back. Invalid bytes become U+FFFD exactly as
/// [`String::from_utf8_lossy`] would decode the whole response.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TextStream {
    text: String,
    /// Received bytes of an incomplete character; at most three.
    pending: Vec<u8>,
    ranges: Vec<Range<usize>>,
    /// Index of the first token that ends inside `pending`.
    open_from: usize,
    /// For each token that ends inside `pending`, its end in it.
    open_ends: Vec<usize>,
}

impl TextStream {
    /// Returns an empty text.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the bytes of one token. Returns the characters that it completed, possibly none.
    pub fn push(&mut self, bytes: &[u8]) -> &str {
        let before = self.text.len();
        self.pending.extend_from_slice(bytes);
        self.ranges.push(before..before);
        self.open_ends.push(self.pending.len());
        self.decode_pending(false);
        &self.text[before..]
    }

    /// Returns the characters that [`TextStream::push`] would complete with these bytes.
    pub fn completed_by(&self, bytes: &[u8]) -> String {
        let mut next = Self { pending: self.pending.clone(), ..Self::default() };
        next.push(bytes);
        next.text
    }

    /// Returns the complete characters received so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the byte range of each pushed token in [`TextStream::text`]. Ranges are ascending,
    /// adjacent and always inside the text. If a token ends inside a character, so does its range;
    /// while that character is incomplete, the range ends at the end of the text. If all bytes are
    /// valid UTF-8, a range covers exactly the token's bytes once its last character is complete.
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// Ends the text. An incomplete character at the end becomes one U+FFFD. Returns the added
    /// text.
    pub fn finish(&mut self) -> &str {
        let before = self.text.len();
        self.decode_pending(true);
        &self.text[before..]
    }

    /// Moves decoded characters from `pending` to `text`. If `is_last`, also replaces an incomplete
    /// character.
    fn decode_pending(&mut self, is_last: bool) {
        let pending = std::mem::take(&mut self.pending);
        let mut done = 0;
        // The end of each segment in bytes, as (in `pending`, in `text`).
        let mut segments = vec![(0, self.text.len())];
        while done < pending.len() {
            let rest = &pending[done..];
            let (valid, invalid) = match std::str::from_utf8(rest) {
                Ok(valid) => (valid, 0),
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    let incomplete = if is_last { after.len() } else { 0 };
                    // Never the default: `valid_up_to` guarantees a valid prefix.
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
        self.update_ranges(&segments, done);
    }

    /// Sets the ranges of the open tokens, and closes those that end in the first `done` bytes of
    /// `pending`.
    fn update_ranges(&mut self, segments: &[(usize, usize)], done: usize) {
        let first = self.open_from;
        let mut segment = 1;
        let mut closed = 0;
        let mut start = first.checked_sub(1).map_or(0, |token| self.ranges[token].end);
        for (token, &end) in self.open_ends.iter().enumerate() {
            while segment < segments.len() && segments[segment].0 < end {
                segment += 1;
            }
            let text_end = match segments.get(segment) {
                Some(&(bytes, text)) if bytes == end => text,
                // Inside a segment, offsets in bytes and text are equal. An invalid sequence is at
                // most as long as its replacement, so the result stays inside the segment.
                Some(_) => segments[segment - 1].1 + (end - segments[segment - 1].0),
                None if end == 0 => start,
                None => self.text.len(),
            };
            self.ranges[first + token] = start..text_end;
            start = text_end;
            closed += usize::from(end <= done);
        }
        self.open_from += closed;
        self.open_ends.drain(..closed);
        self.open_ends.iter_mut().for_each(|end| *end -= done);
    }
}
