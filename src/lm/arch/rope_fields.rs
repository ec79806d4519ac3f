//! Reads the rotary settings of a `config.json`.

use crate::lm::config::{RopeScaling, Rotary};
use crate::lm::error::Result;
use crate::lm::fields::Fields;

impl Rotary {
    /// Reads the rotary settings of a `config.json`. Newer files have `rope_parameters`, older
    /// files `rope_theta` and `rope_scaling`.
    ///
    /// # Errors
    /// Fails if the scaling is not supported, or a number is missing or not a number.
    pub(super) fn from_fields(fields: &Fields<'_>, default_theta: f32) -> Result<Self> {
        let parameters = fields.object("rope_parameters")?;
        let theta = match parameters {
            Some(parameters) => parameters.optional_number("rope_theta")?,
            None => None,
        };
        let theta = match theta {
            Some(theta) => Some(theta),
            None => fields.optional_number("rope_theta")?,
        };
        let scaling = match parameters {
            Some(parameters) => Some(parameters),
            None => fields.object("rope_scaling")?,
        };
        let scaling = scaling.map_or(Ok(RopeScaling::None), |s| RopeScaling::from_fields(&s))?;
        Ok(Self { theta: theta.map_or(default_theta, |theta| theta as f32), scaling })
    }
}

impl RopeScaling {
    /// Reads the scaling from a `rope_scaling` or `rope_parameters` object.
    ///
    /// # Errors
    /// Fails if the kind is not supported, or a number is missing.
    pub(super) fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        let kind = fields.text("rope_type")?;
        let kind = kind.map_or_else(|| fields.text("type"), |kind| Ok(Some(kind)))?;
        match kind {
            None | Some("default") => Ok(Self::None),
            Some("linear") => Ok(Self::Linear(fields.number("factor")? as f32)),
            Some("llama3") => Ok(Self::Llama3 {
                factor: fields.number("factor")? as f32,
                low_freq_factor: fields.number("low_freq_factor")? as f32,
                high_freq_factor: fields.number("high_freq_factor")? as f32,
                original_context_tokens: fields.number("original_max_position_embeddings")? as f32,
            }),
            Some(other) => Err(fields.unsupported(
                format!("rope scaling '{other}'"),
                "with plain, linear or llama3 rotary positions",
            )),
        }
    }
}
