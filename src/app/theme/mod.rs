//! How the window looks: every colour, distance and type size stands here and nowhere else.
//!
//! Both palettes keep body text at WCAG AA contrast; a test below holds them to it. The two arms
//! are blue and orange, the pair that survives the common colour blindnesses, and always differ
//! in shape as well.

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

pub(in crate::app) use palette::{DARK, LIGHT};
pub use palette::{ICON, Palette};

/// Which theme a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// What the desktop says.
    #[default]
    System,
    /// Dark text on light.
    Light,
    /// Light text on dark.
    Dark,
}

impl Theme {
    /// Every theme, in the order of the switch.
    pub const ALL: [Theme; 3] = [Theme::System, Theme::Light, Theme::Dark];

    /// The name on the switch.
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

/// Distances, in points. Everything sits on a grid of four.
pub mod space {
    /// Between things that belong together.
    pub const XS: f32 = 4.0;
    /// Between controls.
    pub const S: f32 = 8.0;
    /// Inside small surfaces.
    pub const M: f32 = 12.0;
    /// Between surfaces, and inside large ones.
    pub const L: f32 = 16.0;
    /// Width of the sidebar.
    pub const SIDEBAR: f32 = 344.0;
    /// Height of the top bar.
    pub const TOP_BAR: f32 = 52.0;
    /// Height of the status bar.
    pub const STATUS_BAR: f32 = 32.0;
    /// Height of one row of controls.
    pub const ROW: f32 = 28.0;
    /// Rounding of cards.
    pub const CARD_RADIUS: u8 = 10;
    /// Rounding of controls.
    pub const RADIUS: u8 = 6;
}

/// Type: a family for emphasis and a style for every level.
pub mod text {
    use super::{FontFamily, FontId, TextStyle};

    /// The family of the heavier weight.
    pub fn strong() -> FontFamily {
        FontFamily::Name("strong".into())
    }

    /// The program's name.
    pub fn title() -> FontId {
        FontId::new(17.0, strong())
    }

    /// Headings of cards and groups.
    pub fn heading() -> FontId {
        FontId::new(15.0, strong())
    }

    /// Headings of groups of settings.
    pub fn group() -> FontId {
        FontId::new(13.0, strong())
    }

    /// A response.
    pub fn response() -> FontId {
        FontId::proportional(16.5)
    }

    /// The prompt before a response.
    pub fn prompt() -> FontId {
        FontId::new(16.5, strong())
    }

    /// A number under a response.
    pub fn figure() -> FontId {
        FontId::new(15.0, strong())
    }

    /// The main button.
    pub fn button() -> FontId {
        FontId::new(14.0, strong())
    }

    /// Controls and sentences.
    pub fn body() -> FontId {
        FontId::proportional(14.0)
    }

    /// Captions.
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

/// Line height of responses, as a multiple of their size.
pub const RESPONSE_LINE: f32 = 1.5;

/// Sets fonts and both themes up, once.
pub fn install(ctx: &egui::Context) {
    ctx.set_fonts(fonts());
    for (theme, palette) in [(egui::Theme::Light, &LIGHT), (egui::Theme::Dark, &DARK)] {
        ctx.style_mut_of(theme, |style| shape(style, palette, theme));
    }
}

/// Inter in two weights, before the fonts that egui brings along for what Inter lacks.
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

fn shape(style: &mut Style, p: &Palette, theme: egui::Theme) {
    style.text_styles = text::styles().into();
    style.spacing.item_spacing = vec2(space::S, space::S);
    style.spacing.button_padding = vec2(10.0, 5.0);
    style.spacing.interact_size = vec2(40.0, space::ROW);
    style.spacing.window_margin = Margin::same(12);
    style.spacing.menu_margin = Margin::symmetric(10, 8);
    style.spacing.tooltip_width = 320.0;
    style.spacing.scroll = egui::style::ScrollStyle::floating();
    style.interaction.tooltip_delay = 0.35;
    // A blinking caret would wake an idle window twice a second.
    style.visuals = visuals(p, theme);
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
    // As wide as the outline of a box without focus, or everything below it would move.
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
    fn a_theme_is_read_from_its_name() {
        assert_eq!("dark".parse(), Ok(Theme::Dark));
        assert!("sepia".parse::<Theme>().is_err());
    }
}
