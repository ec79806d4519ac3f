//! Rotary positions: Su et al. 2021 (arXiv 2104.09864), in the half-split form Llama uses.

use std::f32::consts::PI;

use super::config::{LmConfig, RopeScaling, Rotary};

/// The rotary frequencies of one model.
pub(super) struct Ropes {
    /// Each set of frequencies that some layer uses.
    frequencies: Vec<Vec<f32>>,
    /// Which of them a layer uses.
    layers: Vec<usize>,
    half: usize,
}

/// Cosines and sines of some positions, `[N, head_size / 2]`.
pub(super) struct Turns {
    pub cos: Vec<f32>,
    pub sin: Vec<f32>,
}

impl Ropes {
    /// The frequencies of every layer; none for a model whose positions are learned.
    pub fn new(config: &LmConfig) -> Option<Self> {
        let mut kinds: Vec<&Rotary> = Vec::new();
        let mut layers = Vec::with_capacity(config.layers);
        for layer in 0..config.layers {
            let rotary = config.rotary(layer)?;
            let index = kinds.iter().position(|kind| *kind == rotary).unwrap_or_else(|| {
                kinds.push(rotary);
                kinds.len() - 1
            });
            layers.push(index);
        }
        let frequencies = kinds.iter().map(|kind| frequencies(kind, config.head_size)).collect();
        Some(Self { frequencies, layers, half: config.head_size / 2 })
    }

    /// Cosines and sines of N positions, one [`Turns`] for each set of frequencies. Computed at
    /// every call: some hundred values, and no table as long as the context.
    pub fn turns(&self, positions: &[usize]) -> Vec<Turns> {
        let one = |frequencies: &Vec<f32>| {
            let turns = positions
                .iter()
                .flat_map(|&position| frequencies.iter().map(move |f| position as f32 * f));
            let (cos, sin) = turns.map(|turn| (turn.cos(), turn.sin())).unzip();
            Turns { cos, sin }
        };
        self.frequencies.iter().map(one).collect()
    }

    /// Which entry of [`Ropes::turns`] is `layer`'s.
    pub fn of_layer(&self, layer: usize) -> usize {
        self.layers[layer]
    }

    /// Half the size of a head.
    pub fn half(&self) -> usize {
        self.half
    }
}

/// θ^(−2i/d) for i in 0..d/2, stretched as the configuration asks.
fn frequencies(rotary: &Rotary, head_size: usize) -> Vec<f32> {
    let plain =
        (0..head_size).step_by(2).map(|i| 1f32 / rotary.theta.powf(i as f32 / head_size as f32));
    match &rotary.scaling {
        RopeScaling::None => plain.collect(),
        RopeScaling::Linear(factor) => plain.map(|frequency| frequency / factor).collect(),
        RopeScaling::Divided(divisors) => plain.zip(divisors).map(|(f, by)| f / by).collect(),
        &RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_context_tokens: length,
        } => {
            let (low, high) = (length / low_freq_factor, length / high_freq_factor);
            let stretch = |frequency: f32| {
                let wavelength = 2. * PI / frequency;
                if wavelength < high {
                    return frequency;
                }
                if wavelength > low {
                    return frequency / factor;
                }
                let smooth =
                    (length / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
                (1. - smooth) * frequency / factor + smooth * frequency
            };
            plain.map(stretch).collect()
        }
    }
}
