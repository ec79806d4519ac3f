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
    Stroke, Style, TextStyle, ThemePreference, Ui, Visuals, epaint::text::FontTweak,
    epaint::text::VariationCoords, vec2,
};
use serde::{Deserialize, Serialize};

use crate::guidance::settings::Arm;

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

/// The colours of one theme.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Palette {
    /// Behind everything.
    pub canvas: Color32,
    /// Cards, bars and the sidebar.
    pub surface: Color32,
    /// Text fields and tracks, set into a surface.
    pub inset: Color32,
    /// A control under the pointer.
    pub hover: Color32,
    /// Hairlines around cards.
    pub border: Color32,
    /// Outlines of controls.
    pub outline: Color32,
    /// Body text.
    pub text: Color32,
    /// Labels and explanations.
    pub weak: Color32,
    /// Tokens that are not decided yet.
    pub provisional: Color32,
    /// Text of the run before, until it is overtaken.
    pub ghost: Color32,
    /// The guided arm, and whatever invites a click.
    pub guided: Color32,
    /// The unguided arm.
    pub unguided: Color32,
    /// Fill of the main button and of what is switched on.
    pub accent: Color32,
    /// The same under the pointer.
    pub accent_hover: Color32,
    /// Text on `accent`.
    pub on_accent: Color32,
    /// Selected text's background.
    pub selection: Color32,
    /// A slider's rail and the empty part of a progress bar.
    pub rail: Color32,
    /// A slider's handle.
    pub handle: Color32,
    /// Text of an error.
    pub danger: Color32,
    /// Background of an error.
    pub danger_fill: Color32,
    /// Lines of the plot's grid.
    pub grid: Color32,
    /// A measure that grows from nothing: how much, not which way.
    pub amount: Color32,
}

const LIGHT: Palette = Palette {
    canvas: Color32::from_rgb(0xf1, 0xf3, 0xf7),
    surface: Color32::from_rgb(0xff, 0xff, 0xff),
    inset: Color32::from_rgb(0xf4, 0xf6, 0xf9),
    hover: Color32::from_rgb(0xe6, 0xea, 0xf2),
    border: Color32::from_rgb(0xdc, 0xe1, 0xea),
    outline: Color32::from_rgb(0xc3, 0xca, 0xd6),
    text: Color32::from_rgb(0x15, 0x1a, 0x26),
    weak: Color32::from_rgb(0x50, 0x59, 0x69),
    provisional: Color32::from_rgb(0x68, 0x70, 0x80),
    ghost: Color32::from_rgb(0x98, 0xa0, 0xae),
    guided: Color32::from_rgb(0x1f, 0x57, 0xd6),
    unguided: Color32::from_rgb(0xa9, 0x4e, 0x0a),
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

pub(super) const DARK: Palette = Palette {
    canvas: Color32::from_rgb(0x0e, 0x11, 0x17),
    surface: Color32::from_rgb(0x16, 0x1a, 0x22),
    inset: Color32::from_rgb(0x0f, 0x13, 0x1a),
    hover: Color32::from_rgb(0x26, 0x2d, 0x3a),
    border: Color32::from_rgb(0x28, 0x2f, 0x3b),
    outline: Color32::from_rgb(0x3c, 0x45, 0x55),
    text: Color32::from_rgb(0xe9, 0xec, 0xf2),
    weak: Color32::from_rgb(0xa6, 0xaf, 0xbe),
    provisional: Color32::from_rgb(0x8b, 0x95, 0xa5),
    ghost: Color32::from_rgb(0x5f, 0x69, 0x79),
    guided: Color32::from_rgb(0x8a, 0xae, 0xff),
    unguided: Color32::from_rgb(0xf4, 0xa8, 0x5e),
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

/// The icon's background, guided line and unguided line.
pub const ICON: [[u8; 3]; 3] = [[0x17, 0x24, 0x4d], [0x8a, 0xae, 0xff], [0xf4, 0xa8, 0x5e]];

impl Palette {
    /// The colours in use where `ui` is drawn.
    pub fn of(ui: &Ui) -> &'static Palette {
        if ui.visuals().dark_mode { &DARK } else { &LIGHT }
    }

    /// Background of a word whose measure is `share` of its scale, −1 to 1: towards the guided
    /// colour above 0, the unguided below. Text stays readable on the strongest of them.
    pub fn diverging(&self, share: f32) -> Color32 {
        let ink = if share < 0.0 { self.unguided } else { self.guided };
        self.tint(ink, share.abs())
    }

    /// Background of a word whose measure is `share` of its scale, 0 to 1.
    pub fn sequential(&self, share: f32) -> Color32 {
        self.tint(self.amount, share)
    }

    fn tint(&self, ink: Color32, share: f32) -> Color32 {
        self.surface.lerp_to_gamma(ink, 0.42 * share.clamp(0.0, 1.0))
    }

    /// The colour of an arm; its shape differs too, wherever it is drawn.
    pub fn arm(&self, arm: Arm) -> Color32 {
        if arm == Arm::Base { self.unguided } else { self.guided }
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
    const INTER: &[u8] = include_bytes!("../../assets/fonts/Inter.ttf");
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
    v.selection.stroke = Stroke::new(1.5, p.guided);
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

    /// Contrast ratio of WCAG 2.1.
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
    fn text_keeps_its_contrast_in_both_themes() {
        for p in [LIGHT, DARK] {
            let readable = [p.text, p.weak, p.provisional, p.guided, p.unguided];
            for (i, ink) in readable.into_iter().enumerate() {
                for paper in [p.surface, p.inset] {
                    let ratio = contrast(ink, paper);
                    assert!(ratio >= 4.5, "ink {i} {ink:?} on {paper:?}: {ratio:.2}");
                }
            }
            for (ink, paper) in [
                (p.weak, p.canvas),
                (p.text, p.hover),
                (p.text, p.selection),
                (p.on_accent, p.accent),
                (p.on_accent, p.accent_hover),
                (p.danger, p.danger_fill),
            ] {
                let ratio = contrast(ink, paper);
                assert!(ratio >= 4.5, "{ink:?} on {paper:?}: {ratio:.2}");
            }
            for tint in [p.diverging(-1.0), p.diverging(1.0), p.sequential(1.0)] {
                let ratio = contrast(p.text, tint);
                assert!(ratio >= 4.5, "text on {tint:?}: {ratio:.2}");
                assert!(contrast(tint, p.surface) >= 1.25, "{tint:?} can be seen");
            }
            assert!(contrast(p.ghost, p.surface) >= 2.5);
            assert!(contrast(p.guided, p.rail) >= 2.0);
        }
    }

    #[test]
    fn a_theme_is_read_from_its_name() {
        assert_eq!("dark".parse(), Ok(Theme::Dark));
        assert!("sepia".parse::<Theme>().is_err());
    }
}
