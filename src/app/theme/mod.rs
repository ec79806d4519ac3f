//! The look of the window: all colours, distances and font sizes.
//!
//! Both palettes give body text WCAG AA contrast, which a test checks. The first two columns are
//! orange and blue, which stay distinct under the common forms of colour blindness. Columns also
//! differ in shape.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use eframe::egui::{
    self, Color32, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Shadow,
    Stroke, Style, TextStyle, ThemePreference, Visuals, epaint::text::FontTweak,
    epaint::text::VariationCoords, vec2,
};
use serde::{Deserialize, Serialize};

mod palette;

pub use palette::Palette;
pub(in crate::app) use palette::{DARK, LIGHT};

/// The colour theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// The theme of the desktop.
    #[default]
    System,
    /// Dark text on light.
    Light,
    /// Light text on dark.
    Dark,
}

impl Theme {
    /// All themes, in the order of the switch.
    pub const ALL: [Theme; 3] = [Theme::System, Theme::Light, Theme::Dark];

    /// Returns the name on the switch.
    pub fn label(self) -> &'static str {
        match self {
            Theme::System => "System",
            Theme::Light => "Light",
            Theme::Dark => "Dark",
        }
    }

    pub(crate) fn preference(self) -> ThemePreference {
        match self {
            Theme::System => ThemePreference::System,
            Theme::Light => ThemePreference::Light,
            Theme::Dark => ThemePreference::Dark,
        }
    }
}

impl fmt::Display for Theme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl FromStr for Theme {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let found = Theme::ALL.into_iter().find(|t| t.label().eq_ignore_ascii_case(s));
        found.ok_or_else(|| format!("unknown theme '{s}'; choose system, light or dark"))
    }
}

/// Distances, in points. Most are multiples of four.
pub mod space {
    /// Gap between related items.
    pub(crate) const XS: f32 = 4.0;
    /// Gap between controls.
    pub const S: f32 = 8.0;
    /// Padding of small surfaces.
    pub const M: f32 = 12.0;
    /// Gap between surfaces, and padding of large surfaces.
    pub const L: f32 = 16.0;
    /// Width of the sidebar.
    pub(crate) const SIDEBAR: f32 = 344.0;
    /// Height of the top bar.
    pub(crate) const TOP_BAR: f32 = 52.0;
    /// Height of the status bar.
    pub(crate) const STATUS_BAR: f32 = 32.0;
    /// Height of one row of controls.
    pub const ROW: f32 = 28.0;
    /// Corner radius of cards.
    pub(crate) const CARD_RADIUS: u8 = 10;
    /// Corner radius of controls.
    pub(crate) const RADIUS: u8 = 6;
}

/// Fonts: a bold family, and a font for each kind of text.
pub mod text {
    use super::{FontFamily, FontId, TextStyle};

    /// Returns the bold font family.
    pub(crate) fn strong() -> FontFamily {
        FontFamily::Name("strong".into())
    }

    /// Returns the font of the program's name.
    pub fn title() -> FontId {
        FontId::new(17.0, strong())
    }

    /// Returns the font of card headings.
    pub fn heading() -> FontId {
        FontId::new(15.0, strong())
    }

    /// Returns the font of the headings in the settings.
    pub fn group() -> FontId {
        FontId::new(13.0, strong())
    }

    /// Returns the font of responses.
    pub fn response() -> FontId {
        FontId::proportional(16.5)
    }

    /// Returns the font of the prompt before a response.
    pub fn prompt() -> FontId {
        FontId::new(16.5, strong())
    }

    /// Returns the font of the metrics below a response.
    pub(crate) fn figure() -> FontId {
        FontId::new(15.0, strong())
    }

    /// Returns the font of the judge's score.
    pub(crate) fn score() -> FontId {
        FontId::new(21.0, strong())
    }

    /// Returns the font of the main button.
    pub fn button() -> FontId {
        FontId::new(14.0, strong())
    }

    /// Returns the font of controls and body text.
    pub fn body() -> FontId {
        FontId::proportional(14.0)
    }

    /// Returns the font of captions.
    pub fn small() -> FontId {
        FontId::proportional(12.5)
    }

    pub(super) fn styles() -> [(TextStyle, FontId); 5] {
        [
            (TextStyle::Heading, heading()),
            (TextStyle::Body, body()),
            (TextStyle::Button, body()),
            (TextStyle::Small, small()),
            (TextStyle::Monospace, FontId::monospace(13.0)),
        ]
    }
}

/// Line height of responses, as a multiple of the font size.
pub(crate) const RESPONSE_LINE: f32 = 1.5;

/// Installs the fonts and both themes. Called once, at startup. The fonts apply from the next frame
/// on.
pub fn install(ctx: &egui::Context) {
    ctx.set_fonts(fonts());
    for (theme, palette) in [(egui::Theme::Light, &LIGHT), (egui::Theme::Dark, &DARK)] {
        ctx.style_mut_of(theme, |style| shape(style, palette, theme));
    }
}

/// Returns the fonts: Inter in two weights, then the fonts of egui for characters missing in Inter.
fn fonts() -> FontDefinitions {
    const INTER: &[u8] = include_bytes!("../../../assets/fonts/Inter.ttf");
    let mut fonts = FontDefinitions::default();
    for (name, weight) in [("inter", 400.0), ("inter strong", 600.0)] {
        let coords = VariationCoords::new([(b"wght", weight)]);
        let tweak = FontTweak { coords, ..FontTweak::default() };
        let data = FontData::from_static(INTER).tweak(tweak);
        fonts.font_data.insert(name.to_owned(), Arc::new(data));
    }
    let fallback = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    for (family, name) in [(FontFamily::Proportional, "inter"), (text::strong(), "inter strong")] {
        let mut chain = vec![name.to_owned()];
        chain.extend(fallback.iter().cloned());
        fonts.families.insert(family, chain);
    }
    fonts
}

/// Time that the pointer must rest before a tooltip appears, in seconds.
pub(crate) const TOOLTIP_DELAY: f32 = 0.35;

fn shape(style: &mut Style, p: &Palette, theme: egui::Theme) {
    style.text_styles = text::styles().into();
    style.spacing.item_spacing = vec2(space::S, space::S);
    style.spacing.button_padding = vec2(10.0, 5.0);
    style.spacing.interact_size = vec2(40.0, space::ROW);
    style.spacing.window_margin = Margin::same(12);
    style.spacing.menu_margin = Margin::symmetric(10, 8);
    style.spacing.tooltip_width = 320.0;
    style.spacing.scroll = egui::style::ScrollStyle::floating();
    style.interaction.tooltip_delay = TOOLTIP_DELAY;
    // Every tooltip waits. Otherwise one would follow the pointer from widget to widget.
    style.interaction.tooltip_grace_time = 0.0;
    style.visuals = visuals(p, theme);
    // A blinking text cursor would redraw an idle window twice a second.
    style.visuals.text_cursor.blink = false;
}

fn visuals(p: &Palette, theme: egui::Theme) -> Visuals {
    let mut v = match theme {
        egui::Theme::Light => Visuals::light(),
        egui::Theme::Dark => Visuals::dark(),
    };
    v.panel_fill = p.canvas;
    v.window_fill = p.surface;
    v.window_stroke = Stroke::new(1.0, p.outline);
    v.window_corner_radius = CornerRadius::same(space::RADIUS);
    v.menu_corner_radius = CornerRadius::same(space::RADIUS);
    let shadow = Color32::from_black_alpha(if v.dark_mode { 90 } else { 28 });
    v.popup_shadow = Shadow { offset: [0, 4], blur: 14, spread: 0, color: shadow };
    v.extreme_bg_color = p.inset;
    v.faint_bg_color = p.inset;
    v.text_edit_bg_color = Some(p.inset);
    v.weak_text_color = Some(p.weak);
    v.hyperlink_color = p.guided;
    v.error_fg_color = p.danger;
    v.selection.bg_fill = p.selection;
    // As wide as the outline without focus. Otherwise the widgets below a focused box would move.
    v.selection.stroke = Stroke::new(1.0, p.guided);
    v.text_cursor.stroke = Stroke::new(2.0, p.guided);
    v.disabled_alpha = 0.45;
    let corner_radius = CornerRadius::same(space::RADIUS);
    let w = &mut v.widgets;
    for state in
        [&mut w.noninteractive, &mut w.inactive, &mut w.hovered, &mut w.active, &mut w.open]
    {
        state.corner_radius = corner_radius;
        state.expansion = 0.0;
        state.fg_stroke = Stroke::new(1.0, p.text);
        state.bg_stroke = Stroke::new(1.0, p.outline);
        state.bg_fill = p.inset;
        state.weak_bg_fill = p.inset;
    }
    w.noninteractive.bg_stroke = Stroke::new(1.0, p.border);
    w.noninteractive.bg_fill = p.surface;
    for state in [&mut w.hovered, &mut w.open] {
        state.bg_fill = p.hover;
        state.weak_bg_fill = p.hover;
    }
    w.active.bg_fill = p.hover;
    w.active.weak_bg_fill = p.hover;
    w.active.bg_stroke = Stroke::new(1.5, p.guided);
    v
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_a_theme() {
        assert_eq!("dark".parse(), Ok(Theme::Dark));
        assert!("sepia".parse::<Theme>().is_err());
    }
}
