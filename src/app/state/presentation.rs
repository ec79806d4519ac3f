//! Presentation mode: shows only the prompt, the responses and the plot, enlarged and full-screen.

use eframe::egui::{Context, ViewportCommand};

use super::preferences::Preferences;

/// Whether the window is in presentation mode.
#[derive(Debug, Default)]
pub struct Presentation {
    is_on: bool,
}

impl Presentation {
    /// Returns whether presentation mode is on.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Turns presentation mode on or off, and sets the zoom of the new mode.
    pub(crate) fn toggle(&mut self, ctx: &Context, preferences: &Preferences) {
        self.is_on = !self.is_on;
        let Preferences { zoom, present_zoom, .. } = *preferences;
        ctx.set_zoom_factor(if self.is_on { present_zoom } else { zoom });
    }

    /// Makes the window full-screen if presentation mode is on, and restores it otherwise.
    pub(crate) fn fill_screen(&self, ctx: &Context) {
        ctx.send_viewport_cmd(ViewportCommand::Fullscreen(self.is_on));
    }

    /// Stores the current zoom, which the user may have changed (Ctrl with plus and minus), as the
    /// zoom of the current mode.
    pub(crate) fn remember_zoom(&self, ctx: &Context, preferences: &mut Preferences) {
        let zoom = if self.is_on { &mut preferences.present_zoom } else { &mut preferences.zoom };
        *zoom = ctx.zoom_factor();
    }
}
