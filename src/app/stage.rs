//! The stage: how the window changes before an audience.

use eframe::egui::{Context, ViewportCommand};

use super::preferences::Preferences;

/// Whether the window is shown to a room: the prompt, the texts and the plot alone, larger, on
/// the whole screen.
#[derive(Debug, Default)]
pub struct Stage {
    on: bool,
}

impl Stage {
    /// Whether the window presents.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Steps on or off the stage. Each side has its own zoom.
    pub fn toggle(&mut self, ctx: &Context, preferences: &Preferences) {
        self.on = !self.on;
        let Preferences { zoom, present_zoom, .. } = *preferences;
        ctx.set_zoom_factor(if self.on { present_zoom } else { zoom });
    }

    /// Takes the whole screen on the stage, and gives it back off it.
    pub fn fill_screen(&self, ctx: &Context) {
        ctx.send_viewport_cmd(ViewportCommand::Fullscreen(self.on));
    }

    /// Keeps the zoom that a person has chosen (Ctrl with plus and minus) for this side.
    pub fn remember_zoom(&self, ctx: &Context, preferences: &mut Preferences) {
        let side = if self.on { &mut preferences.present_zoom } else { &mut preferences.zoom };
        *side = ctx.zoom_factor();
    }
}
