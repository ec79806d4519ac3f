//! Rotary position embeddings (Su et al. 2021, arXiv 2104.09864), in Llama's half-split form.

use std::f32::consts::PI;

use super::config::{LmConfig, RopeScaling, Rotary};

/// Rotary frequencies of one model.
pub(super) struct RotaryFrequencies {
    /// The distinct frequency sets of the model, `head_size / 2` values each.
    frequencies: Vec<Vec<f32>>,
    /// For each layer, the index of its frequency set.
    layers: Vec<usize>,
    half: usize,
}

/// Cosines and sines of the rotation angles of N positions, each `[N, head_size / 2]`.
pub(super) struct RotaryAngles {
    pub(crate) cos: Vec<f32>,
    pub(crate) sin: Vec<f32>,
}

impl RotaryFrequencies {
    /// Computes the frequencies of all layers. Returns `None` for a model with learned positions.
    pub(super) fn new(config: &LmConfig) -> Option<Self> {
        let mut rotaries: Vec<&Rotary> = Vec::new();
        let mut layers = Vec::with_capacity(config.layers);
        for layer in 0..config.layers {
            let rotary = config.rotary(layer)?;
            let index = rotaries.iter().position(|known| *known == rotary).unwrap_or_else(|| {
                rotaries.push(rotary);
                rotaries.len() - 1
            });
            layers.push(index);
        }
        let frequencies = rotaries.iter().map(|r| frequencies(r, config.head_size)).collect();
        Some(Self { frequencies, layers, half: config.head_size / 2 })
    }

    /// Returns the cosines and sines of N positions, one [`RotaryAngles`] per frequency set.
    /// Computes them on each call: this takes a few hundred values, and a table would be as long as
    /// the context.
    pub(super) fn angles(&self, positions: &[usize]) -> Vec<RotaryAngles> {
        let angles = |frequencies: &Vec<f32>| {
            let angles = positions
                .iter()
                .flat_map(|&position| frequencies.iter().map(move |f| position as f32 * f));
            let (cos, sin) = angles.map(|angle| (angle.cos(), angle.sin())).unzip();
            RotaryAngles { cos, sin }
        };
        self.frequencies.iter().map(angles).collect()
    }

    /// Returns the index in [`RotaryFrequencies::angles`] for `layer`.
    pub(crate) fn index_of_layer(&self, layer: usize) -> usize {
        self.layers[layer]
    }

    /// Returns half the head size.
    pub(super) fn half(&self) -> usize {
        self.half
    }
}

/// Returns θ^(−2i/d) for i in 0..d/2, with the configured scaling applied.
fn frequencies(rotary: &Rotary, head_size: usize) -> Vec<f32> {
    let unscaled =
        (0..head_size).step_by(2).map(|i| 1f32 / rotary.theta.powf(i as f32 / head_size as f32));
    match &rotary.scaling {
        RopeScaling::None => unscaled.collect(),
        RopeScaling::Linear(factor) => unscaled.map(|frequency| frequency / factor).collect(),
        RopeScaling::Divided(divisors) => unscaled.zip(divisors).map(|(f, d)| f / d).collect(),
        &RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_context_tokens: length,
        } => {
            let (low, high) = (length / low_freq_factor, length / high_freq_factor);
            let scale = |frequency: f32| {
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
            unscaled.map(scale).collect()
        }
    }
}
