//! Rotary positions: Su et al. 2021 (arXiv 2104.09864), in the half-split form Llama uses.

use std::f32::consts::PI;

use super::config::LmConfig;

/// The rotary frequencies of one model.
pub(super) struct Rope {
    frequencies: Vec<f32>,
}

impl Rope {
    /// θ^(−2i/d) for i in 0..d/2, stretched as Llama 3 does where the configuration asks.
    pub fn new(config: &LmConfig) -> Self {
        let head_size = config.head_size;
        let plain = (0..head_size)
            .step_by(2)
            .map(|i| 1f32 / config.rope_theta.powf(i as f32 / head_size as f32));
        let frequencies = match &config.rope_scaling {
            None => plain.collect(),
            Some(scaling) => {
                let length = scaling.original_max_position_embeddings as f32;
                let low = length / scaling.low_freq_factor;
                let high = length / scaling.high_freq_factor;
                let stretch = |frequency: f32| {
                    let wavelength = 2. * PI / frequency;
                    if wavelength < high {
                        return frequency;
                    }
                    if wavelength > low {
                        return frequency / scaling.factor;
                    }
                    let smooth = (length / wavelength - scaling.low_freq_factor)
                        / (scaling.high_freq_factor - scaling.low_freq_factor);
                    (1. - smooth) * frequency / scaling.factor + smooth * frequency
                };
                plain.map(stretch).collect()
            }
        };
        Self { frequencies }
    }

    /// Cosines and sines, each `[N, head_size / 2]`, of N positions. Computed at every call:
    /// some hundred values, and no table as long as the context.
    pub fn tables(&self, positions: &[usize]) -> (Vec<f32>, Vec<f32>) {
        let turns = positions
            .iter()
            .flat_map(|&position| self.frequencies.iter().map(move |f| position as f32 * f));
        turns.map(|turn| (turn.cos(), turn.sin())).unzip()
    }
}
