//! Lines of descent through the chunks of a search.

use crate::guidance::trace::{Candidate, ChunkTrace};

/// The candidates from the first chunk to this one, each the parent of the next: their indices,
/// one a chunk. Empty where there is no such candidate.
pub fn ancestry(chunks: &[ChunkTrace], chunk: usize, candidate: usize) -> Vec<usize> {
    let mut path = Vec::new();
    let mut current = Some(candidate);
    for chunk in chunks.get(..=chunk).unwrap_or_default().iter().rev() {
        let Some(i) = current.filter(|&i| i < chunk.candidates.len()) else { break };
        path.push(i);
        current = chunk.candidates[i].parent;
    }
    path.reverse();
    path
}

/// The path of the answer: the last leader and its ancestors, one a chunk.
pub fn lead(chunks: &[ChunkTrace]) -> Vec<usize> {
    match chunks.last() {
        Some(last) => ancestry(chunks, chunks.len() - 1, last.leader),
        None => Vec::new(),
    }
}

/// The whole text of a beam up to this chunk.
pub fn beam_text(chunks: &[ChunkTrace], chunk: usize, candidate: usize) -> String {
    let path = ancestry(chunks, chunk, candidate);
    path.iter().zip(chunks).map(|(&i, chunk)| chunk.candidates[i].text.as_str()).collect()
}

/// The line that runs through this candidate: its ancestors, itself, and what became of it. Where
/// several of its successors were kept, the answer's comes first, then the most valuable.
pub fn line_through(chunks: &[ChunkTrace], chunk: usize, candidate: usize) -> Vec<usize> {
    let mut line = ancestry(chunks, chunk, candidate);
    extend(chunks, &mut line);
    line
}

/// Whether each of these candidates, one a chunk, continues the one before.
pub fn is_line(chunks: &[ChunkTrace], line: &[usize]) -> bool {
    let parent = |t: usize| candidate(chunks, t, line[t]).map(|c| c.parent);
    (0..line.len()).all(|t| parent(t) == Some(t.checked_sub(1).map(|before| line[before])))
}

/// Follows a line to its end.
pub fn extend(chunks: &[ChunkTrace], line: &mut Vec<usize>) {
    let answer = lead(chunks);
    while let Some((&last, next)) = line.last().zip(chunks.get(line.len())) {
        let on_answer = answer.get(line.len()).copied();
        let kept = next.candidates.iter().enumerate();
        let kept = kept.filter(|(_, c)| c.survived && c.parent == Some(last));
        let rank = |i: usize, c: &Candidate| (Some(i) == on_answer, c.value.unwrap_or(f32::MIN));
        let best = kept.max_by(|(i, a), (j, b)| {
            let (a, b) = (rank(*i, a), rank(*j, b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        let Some((i, _)) = best else { break };
        line.push(i);
    }
}

/// A candidate, if there is one.
pub fn candidate(chunks: &[ChunkTrace], chunk: usize, index: usize) -> Option<&Candidate> {
    chunks.get(chunk)?.candidates.get(index)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A candidate of a made-up search.
    pub fn made(parent: Option<usize>, value: f32, survived: bool, tokens: usize) -> Candidate {
        let text = format!(" {value}");
        Candidate { text, parent, value: Some(value), survived, ended: false, tokens }
    }

    /// Two chunks of three candidates.
    pub fn search() -> Vec<ChunkTrace> {
        vec![
            ChunkTrace {
                end_token: 5,
                candidates: vec![
                    made(None, 0.5, true, 5),
                    made(None, 0.1, false, 5),
                    made(None, 0.4, true, 5),
                ],
                leader: 0,
                selection_kl_nats: None,
            },
            ChunkTrace {
                end_token: 10,
                candidates: vec![
                    made(Some(0), 0.2, false, 10),
                    made(Some(0), 0.6, true, 10),
                    made(Some(2), 0.9, true, 8),
                ],
                leader: 2,
                selection_kl_nats: None,
            },
        ]
    }

    #[test]
    fn the_answer_is_traced_back_through_its_parents() {
        assert_eq!(lead(&search()), [2, 2]);
        assert_eq!(lead(&[]), Vec::<usize>::new());
    }

    #[test]
    fn a_line_goes_on_to_where_it_was_dropped() {
        assert_eq!(line_through(&search(), 0, 0), [0, 1]);
        assert_eq!(line_through(&search(), 0, 1), [1]);
        assert_eq!(line_through(&search(), 0, 2), [2, 2]);
        assert_eq!(line_through(&search(), 1, 0), [0, 0]);
        assert_eq!(line_through(&search(), 5, 0), Vec::<usize>::new());
        assert!(is_line(&search(), &[0, 1]) && is_line(&search(), &[]));
        assert!(!is_line(&search(), &[1, 1]) && !is_line(&search(), &[0, 1, 0]));
    }

    #[test]
    fn a_beam_is_read_from_its_beginning() {
        assert_eq!(beam_text(&search(), 1, 1), " 0.5 0.6");
        assert_eq!(beam_text(&search(), 0, 1), " 0.1");
        assert_eq!(beam_text(&search(), 7, 0), "");
        assert_eq!(beam_text(&search(), 1, 9), "");
    }
}
