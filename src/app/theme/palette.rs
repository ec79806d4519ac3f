//! All colours of the window, for the light and the dark theme.

use eframe::egui::{Color32, Ui};

/// The colours of one theme.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Palette {
    /// Background of the window.
    pub(crate) canvas: Color32,
    /// Cards, bars and the sidebar.
    pub(crate) surface: Color32,
    /// Background of text fields and tracks.
    pub inset: Color32,
    /// Background of a control under the pointer.
    pub hover: Color32,
    /// Outlines of cards.
    pub border: Color32,
    /// Outlines of controls.
    pub(crate) outline: Color32,
    /// Body text.
    pub text: Color32,
    /// Labels and explanations.
    pub(crate) weak: Color32,
    /// Provisional tokens, which the search may still drop.
    pub provisional: Color32,
    /// Text of the previous run, until new text replaces it.
    pub(crate) ghost: Color32,
    /// The second column, guided text, and highlights of controls.
    pub guided: Color32,
    /// The first column, and unguided text.
    pub unguided: Color32,
    pub(crate) third: Color32,
    pub(crate) fourth: Color32,
    /// Fill of the main button and of switches that are on.
    pub(crate) accent: Color32,
    /// Fill of the main button under the pointer.
    pub(crate) accent_hover: Color32,
    /// Text on `accent`.
    pub(crate) on_accent: Color32,
    /// Background of selected text.
    pub selection: Color32,
    /// Rail of a slider, and the empty part of a progress bar.
    pub(crate) rail: Color32,
    /// Handle of a slider.
    pub handle: Color32,
    /// Text of an error.
    pub(crate) danger: Color32,
    /// Background of an error.
    pub(crate) danger_fill: Color32,
    /// Lines of the plot's grid.
    pub(crate) grid: Color32,
    /// Tint of a measure without a sign.
    pub(crate) amount: Color32,
}

pub(in crate::app) const LIGHT: Palette = Palette {
    canvas: Color32::from_rgb(0xf1, 0xf3, 0xf7),
    surface: Color32::from_rgb(0xff, 0xff, 0xff),
    inset: Color32::from_rgb(0xf4, 0xf6, 0xf9),
    hover: Color32::from_rgb(0xe6, 0xea, 0xf2),
    border: Color32::from_rgb(0xdc, 0xe1, 0xea),
    outline: Color32::from_rgb(0xc3, 0xca, 0xd6),
    text: Color32::from_rgb(0x15, 0x1a, 0x26),
    weak: Color32::from_rgb(0x50, 0x59, 0x69),
    provisional: Color32::from_rgb(0x52, 0x5b, 0x6b),
    ghost: Color32::from_rgb(0x6d, 0x75, 0x84),
    guided: Color32::from_rgb(0x1f, 0x57, 0xd6),
    unguided: Color32::from_rgb(0xa9, 0x4e, 0x0a),
    third: Color32::from_rgb(0x0b, 0x6e, 0x58),
    fourth: Color32::from_rgb(0x9c, 0x25, 0x7b),
    accent: Color32::from_rgb(0x1f, 0x57, 0xd6),
    accent_hover: Color32::from_rgb(0x17, 0x45, 0xb0),
    on_accent: Color32::from_rgb(0xff, 0xff, 0xff),
    selection: Color32::from_rgb(0xc9, 0xda, 0xfb),
    rail: Color32::from_rgb(0xd3, 0xd9, 0xe4),
    handle: Color32::from_rgb(0xff, 0xff, 0xff),
    danger: Color32::from_rgb(0x9f, 0x1c, 0x16),
    danger_fill: Color32::from_rgb(0xfd, 0xec, 0xea),
    grid: Color32::from_rgb(0xcb, 0xd2, 0xde),
    amount: Color32::from_rgb(0x7b, 0x3f, 0xc4),
};

pub(in crate::app) const DARK: Palette = Palette {
    canvas: Color32::from_rgb(0x0e, 0x11, 0x17),
    surface: Color32::from_rgb(0x16, 0x1a, 0x22),
    inset: Color32::from_rgb(0x0f, 0x13, 0x1a),
    hover: Color32::from_rgb(0x26, 0x2d, 0x3a),
    border: Color32::from_rgb(0x28, 0x2f, 0x3b),
    outline: Color32::from_rgb(0x3c, 0x45, 0x55),
    text: Color32::from_rgb(0xe9, 0xec, 0xf2),
    weak: Color32::from_rgb(0xa6, 0xaf, 0xbe),
    provisional: Color32::from_rgb(0x9c, 0xa6, 0xb6),
    ghost: Color32::from_rgb(0x7d, 0x87, 0x97),
    guided: Color32::from_rgb(0x8a, 0xae, 0xff),
    unguided: Color32::from_rgb(0xf4, 0xa8, 0x5e),
    third: Color32::from_rgb(0x56, 0xd0, 0xb0),
    fourth: Color32::from_rgb(0xf0, 0x90, 0xcf),
    accent: Color32::from_rgb(0x36, 0x66, 0xdf),
    accent_hover: Color32::from_rgb(0x2b, 0x56, 0xc4),
    on_accent: Color32::from_rgb(0xff, 0xff, 0xff),
    selection: Color32::from_rgb(0x2a, 0x45, 0x80),
    rail: Color32::from_rgb(0x33, 0x3b, 0x49),
    handle: Color32::from_rgb(0xdf, 0xe4, 0xee),
    danger: Color32::from_rgb(0xff, 0xa1, 0x98),
    danger_fill: Color32::from_rgb(0x3a, 0x18, 0x18),
    grid: Color32::from_rgb(0x47, 0x50, 0x60),
    amount: Color32::from_rgb(0xb3, 0x84, 0xf0),
};

impl Palette {
    /// Returns the palette of the current theme.
    pub fn of(ui: &Ui) -> &'static Palette {
        if ui.visuals().dark_mode { &DARK } else { &LIGHT }
    }

    /// Returns the background for a signed measure. `share` is −1 to 1. A positive share uses the
    /// guided colour, a negative one the unguided colour. Text is readable on the strongest tint.
    pub(crate) fn diverging(&self, share: f32) -> Color32 {
        let color = if share < 0.0 { self.unguided } else { self.guided };
        self.tint(color, share.abs())
    }

    /// Returns the background for a measure without a sign. `share` is 0 to 1.
    pub(crate) fn sequential(&self, share: f32) -> Color32 {
        self.tint(self.amount, share)
    }

    /// Returns the background of added words in a column with the colour `color`.
    pub fn added(&self, color: Color32) -> Color32 {
        self.tint(color, 0.5)
    }

    /// Returns the background of the first word that differs in a column with the colour `color`.
    pub(crate) fn fork(&self, color: Color32) -> Color32 {
        self.tint(color, 1.0)
    }

    /// Returns `color` blended with the surface. `share` is 0 (pale) to 1 (full colour).
    pub(crate) fn graded(&self, color: Color32, share: f32) -> Color32 {
        self.surface.lerp_to_gamma(color, 0.25 + 0.75 * share.clamp(0.0, 1.0))
    }

    fn tint(&self, color: Color32, share: f32) -> Color32 {
        self.surface.lerp_to_gamma(color, 0.42 * share.clamp(0.0, 1.0))
    }

    /// Returns the colour of the column with this index.
    pub fn column(&self, column: usize) -> Color32 {
        [self.unguided, self.guided, self.third, self.fourth][column % 4]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the contrast ratio of WCAG 2.1.
    fn contrast(a: Color32, b: Color32) -> f32 {
        let luminance = |c: Color32| {
            let linear = |v: u8| {
                let v = f32::from(v) / 255.0;
                if v <= 0.03928 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * linear(c.r()) + 0.7152 * linear(c.g()) + 0.0722 * linear(c.b())
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_has_enough_contrast_in_both_themes() {
        for p in [LIGHT, DARK] {
            let columns = (0..4).map(|column| p.column(column));
            let readable = [p.text, p.weak, p.provisional].into_iter().chain(columns);
            for (i, color) in readable.enumerate() {
                for background in [p.surface, p.inset] {
                    let ratio = contrast(color, background);
                    assert!(ratio >= 4.5, "colour {i} {color:?} on {background:?}: {ratio:.2}");
                }
            }
            for (color, background) in [
                (p.weak, p.canvas),
                (p.ghost, p.surface),
                (p.text, p.hover),
                (p.text, p.selection),
                (p.on_accent, p.accent),
                (p.on_accent, p.accent_hover),
                (p.danger, p.danger_fill),
            ] {
                let ratio = contrast(color, background);
                assert!(ratio >= 4.5, "{color:?} on {background:?}: {ratio:.2}");
            }
            for tint in [p.diverging(-1.0), p.diverging(1.0), p.sequential(1.0)] {
                let ratio = contrast(p.text, tint);
                assert!(ratio >= 4.5, "text on {tint:?}: {ratio:.2}");
                assert!(contrast(tint, p.surface) >= 1.25, "{tint:?} is too pale");
            }
            for column in (0..4).map(|column| p.column(column)) {
                let (added, fork) = (p.added(column), p.fork(column));
                assert!(contrast(p.text, fork) >= 4.5, "text on {fork:?}");
                assert!(contrast(added, p.surface) >= 1.2, "{added:?} is too pale");
                assert!(contrast(fork, added) >= 1.2, "{fork:?} is not stronger than {added:?}");
            }
            // The previous text is paler than new text, and new text than decided text.
            for (darker, paler) in [(p.provisional, p.ghost), (p.text, p.provisional)] {
                let (darker, paler) = (contrast(darker, p.surface), contrast(paler, p.surface));
                assert!(darker >= 1.4 * paler, "{darker:.2} and {paler:.2} look alike");
            }
            assert!(contrast(p.guided, p.rail) >= 2.0);
        }
    }
}
