//! Routing of tokens to the experts of a sparse mixture (Shazeer et al. 2017, arXiv 1701.06538), as
//! in Mixtral: each token uses the experts with the highest router scores, weighted by a softmax
//! over all experts that is renormalised to a sum of 1.

/// The tokens of one forward pass that are routed to one expert.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Share {
    /// Indices of the tokens.
    pub(crate) rows: Vec<usize>,
    /// Weight of the expert's output for each token.
    pub(crate) weights: Vec<f32>,
}

/// Returns each expert's share, given the router's probabilities `[N, experts]`, row-major.
pub(super) fn shares(probabilities: &[f32], experts: usize, per_token: usize) -> Vec<Share> {
    let mut shares = vec![Share::default(); experts];
    for (row, p) in probabilities.chunks_exact(experts).enumerate() {
        let mut order: Vec<usize> = (0..experts).collect();
        // Ties go to the lower index, as in PyTorch's topk on the CPU.
        order.sort_by(|a, b| p[*b].total_cmp(&p[*a]).then(a.cmp(b)));
        order.truncate(per_token);
        let sum: f32 = order.iter().map(|&expert| p[expert]).sum();
        for expert in order {
            shares[expert].rows.push(row);
            shares[expert].weights.push(p[expert] / sum);
        }
    }
    shares
}
