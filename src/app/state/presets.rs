//! Presets: named settings, built in or saved by the user.

use serde::{Deserialize, Serialize};

use crate::guidance::settings::Settings;
use crate::worker::protocol::PackInfo;

/// Settings that the user saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// The name. It is unique.
    pub name: String,
    /// The settings. Choosing the preset does not change the seed.
    pub settings: Settings,
}

/// Name of the preset with the default settings of the pack.
pub(crate) const DEFAULT: &str = "Default";

/// Returns the built-in presets as names, descriptions and settings: the defaults of the pack, the
/// three setups of the paper, and reversed guidance.
pub(crate) fn built_in(pack: Option<&PackInfo>) -> Vec<(String, &'static str, Settings)> {
    let pack_defaults = pack.map_or_else(Settings::default, |p| p.defaults.clone());
    let with = |beta, rows, chunk_tokens, max_tokens| Settings {
        beta,
        beams: rows,
        successors: rows,
        chunk_tokens,
        max_tokens,
        ..Settings::default()
    };
    let away = pack.and_then(|pack| pack.aim.as_ref()?.away.as_ref());
    let reverse = away.map_or("Reverse".to_owned(), |away| format!("Reverse (towards {away})"));
    vec![
        (DEFAULT.to_owned(), "The default settings of this pack.", pack_defaults.clone()),
        ("Paper: sentiment".to_owned(), "β 1, W and K 4, L 5, 50 tokens.", with(1.0, 4, 5, 50)),
        (
            "Paper: summaries".to_owned(),
            "β 0.25, W and K 4, L 5, 128 tokens.",
            with(0.25, 4, 5, 128),
        ),
        (
            "Paper: instructions".to_owned(),
            "β 1, W and K 2, L 30, 128 tokens.",
            with(1.0, 2, 30, 128),
        ),
        (reverse, "β −1 and λ 0: favours what the tuned model avoids.", reversed(&pack_defaults)),
    ]
}

/// Returns the settings with reversed token guidance and without chunk guidance.
pub(crate) fn reversed(settings: &Settings) -> Settings {
    Settings { beta: -1.0, lambda: 0.0, ..settings.clone() }
}

/// Returns whether two settings are equal, ignoring the seed.
pub(crate) fn equal_except_seed(a: &Settings, b: &Settings) -> bool {
    Settings { seed: b.seed, ..a.clone() } == *b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_presets_are_valid_and_comparison_ignores_the_seed() {
        for (name, _, settings) in built_in(None) {
            assert_eq!(settings.validate(), Ok(()), "{name}");
        }
        let a = Settings::default();
        assert!(equal_except_seed(&a, &Settings { seed: 99, ..a.clone() }));
        assert!(!equal_except_seed(&a, &Settings { beta: 0.5, ..a.clone() }));
    }
}
