//! Which experts of a sparse mixture a token passes (Shazeer et al. 2017, arXiv 1701.06538; as in
//! Mixtral): those that the router likes best, weighted by a softmax over all experts, brought to a
//! sum of 1.

/// One expert's share of the tokens of a pass.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Share {
    /// Which tokens.
    pub rows: Vec<usize>,
    /// What the expert's output counts for in each of them.
    pub weights: Vec<f32>,
}

/// Every expert's share, from probabilities `[N, experts]`, row by row.
pub(super) fn shares(probabilities: &[f32], experts: usize, per_token: usize) -> Vec<Share> {
    let mut shares = vec![Share::default(); experts];
    for (row, p) in probabilities.chunks_exact(experts).enumerate() {
        let mut order: Vec<usize> = (0..experts).collect();
        // Equal ones: the lower number first, as PyTorch's topk has it on the CPU.
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
