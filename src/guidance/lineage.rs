//! Lines of descent through the chunks of a search. A line is a list of candidate indices, one per
//! chunk from the first.

use super::trace::{Candidate, ChunkTrace};

/// Returns the line from the first chunk to this candidate: the indices of its ancestors, then its
/// own. Empty if the candidate does not exist.
pub(crate) fn ancestry(chunks: &[ChunkTrace], chunk: usize, candidate: usize) -> Vec<usize> {
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

/// Returns the line of the response: the ancestors of the last leader, then the leader itself.
pub fn lead(chunks: &[ChunkTrace]) -> Vec<usize> {
    match chunks.last() {
        Some(last) => ancestry(chunks, chunks.len() - 1, last.leader),
        None => Vec::new(),
    }
}

/// Returns the text of a candidate from the beginning of the response to the end of `chunk`.
pub fn beam_text(chunks: &[ChunkTrace], chunk: usize, candidate: usize) -> String {
    let path = ancestry(chunks, chunk, candidate);
    path.iter().zip(chunks).map(|(&i, chunk)| chunk.candidates[i].text.as_str()).collect()
}

/// Returns the line through this candidate: its ancestors, itself, and its kept successors. If
/// several successors were kept, the line follows the one that leads to the response, otherwise
/// the one with the highest value.
pub(crate) fn line_through(chunks: &[ChunkTrace], chunk: usize, candidate: usize) -> Vec<usize> {
    let mut line = ancestry(chunks, chunk, candidate);
    extend(chunks, &mut line);
    line
}

/// Checks whether each candidate of `line` is a child of the one before.
pub(crate) fn is_line(chunks: &[ChunkTrace], line: &[usize]) -> bool {
    let parent = |t: usize| candidate(chunks, t, line[t]).map(|c| c.parent);
    (0..line.len()).all(|t| parent(t) == Some(t.checked_sub(1).map(|before| line[before])))
}

/// Extends `line` with kept successors until no candidate continues it.
pub fn extend(chunks: &[ChunkTrace], line: &mut Vec<usize>) {
    let response = lead(chunks);
    while let Some((&last, next)) = line.last().zip(chunks.get(line.len())) {
        let on_response = response.get(line.len()).copied();
        let kept = next.candidates.iter().enumerate();
        let kept = kept.filter(|(_, c)| c.survived && c.parent == Some(last));
        let rank = |i: usize, c: &Candidate| (Some(i) == on_response, c.value.unwrap_or(f32::MIN));
        let best = kept.max_by(|(i, a), (j, b)| {
            let (a, b) = (rank(*i, a), rank(*j, b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        let Some((i, _)) = best else { break };
        line.push(i);
    }
}

/// Returns a candidate, or `None` if it does not exist.
pub fn candidate(chunks: &[ChunkTrace], chunk: usize, index: usize) -> Option<&Candidate> {
    chunks.get(chunk)?.candidates.get(index)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns a candidate with invented text.
    pub(crate) fn candidate_of(
        parent: Option<usize>,
        value: f32,
        survived: bool,
        tokens: usize,
    ) -> Candidate {
        let text = format!(" {value}");
        Candidate { text, parent, value: Some(value), survived, ended: false, tokens }
    }

    /// Returns two chunks of three candidates.
    pub(crate) fn search() -> Vec<ChunkTrace> {
        vec![
            ChunkTrace {
                end_token: 5,
                candidates: vec![
                    candidate_of(None, 0.5, true, 5),
                    candidate_of(None, 0.1, false, 5),
                    candidate_of(None, 0.4, true, 5),
                ],
                leader: 0,
                selection_kl_nats: None,
            },
            ChunkTrace {
                end_token: 10,
                candidates: vec![
                    candidate_of(Some(0), 0.2, false, 10),
                    candidate_of(Some(0), 0.6, true, 10),
                    candidate_of(Some(2), 0.9, true, 8),
                ],
                leader: 2,
                selection_kl_nats: None,
            },
        ]
    }

    #[test]
    fn lead_follows_the_parents_of_the_last_leader() {
        assert_eq!(lead(&search()), [2, 2]);
        assert_eq!(lead(&[]), Vec::<usize>::new());
    }

    #[test]
    fn a_line_extends_to_the_last_kept_successor() {
        assert_eq!(line_through(&search(), 0, 0), [0, 1]);
        assert_eq!(line_through(&search(), 0, 1), [1]);
        assert_eq!(line_through(&search(), 0, 2), [2, 2]);
        assert_eq!(line_through(&search(), 1, 0), [0, 0]);
        assert_eq!(line_through(&search(), 5, 0), Vec::<usize>::new());
        assert!(is_line(&search(), &[0, 1]) && is_line(&search(), &[]));
        assert!(!is_line(&search(), &[1, 1]) && !is_line(&search(), &[0, 1, 0]));
    }

    #[test]
    fn beam_text_starts_at_the_first_chunk() {
        assert_eq!(beam_text(&search(), 1, 1), " 0.5 0.6");
        assert_eq!(beam_text(&search(), 0, 1), " 0.1");
        assert_eq!(beam_text(&search(), 7, 0), "");
        assert_eq!(beam_text(&search(), 1, 9), "");
    }
}
