//! Presentation mode: shows only the prompt, the responses and the plot, enlarged and full-screen.

use std::time::Duration;

use eframe::egui::{Context, CursorIcon, ViewportCommand};

use super::preferences::{PRESENT_ZOOM, Preferences};

/// How long a pointer rests before it is hidden.
const POINTER_REST: Duration = Duration::from_secs(2);

/// Whether the window is in presentation mode.
#[derive(Debug, Default)]
pub struct Presentation {
    is_on: bool,
    /// Index of the only column shown, or `None` if all are shown.
    focused: Option<usize>,
    /// Whether a stop of the demo was shown since the presentation began.
    has_begun: bool,
}

impl Presentation {
    /// Returns whether presentation mode is on.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Returns the index of the only column shown, or `None` if all are shown.
    pub(crate) fn focused(&self) -> Option<usize> {
        self.focused.filter(|_| self.is_on)
    }

    /// Shows only this column, or all columns if it is the only one shown.
    pub(crate) fn toggle_focus(&mut self, column: usize) {
        self.focused = if self.focused == Some(column) { None } else { Some(column) };
    }

    /// Records that a stop of the demo is shown. Returns whether it is the first since the
    /// presentation began.
    pub(crate) fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.has_begun, true)
    }

    /// Turns presentation mode on or off, and sets the zoom of the new mode. A stage is never
    /// smaller than the window.
    pub(crate) fn toggle(&mut self, ctx: &Context, preferences: &Preferences) {
        self.is_on = !self.is_on;
        (self.focused, self.has_begun) = (None, false);
        let Preferences { zoom, present_zoom, .. } = *preferences;
        ctx.set_zoom_factor(if self.is_on { present_zoom.max(zoom) } else { zoom });
    }

    /// Returns to the default zoom of the current mode.
    pub(crate) fn reset_zoom(&self, ctx: &Context, preferences: &mut Preferences) {
        let zoom = if self.is_on { PRESENT_ZOOM.max(preferences.zoom) } else { 1.0 };
        ctx.set_zoom_factor(zoom);
    }

    /// Makes the window full-screen if presentation mode is on, and restores it otherwise.
    pub(crate) fn fill_screen(&self, ctx: &Context) {
        ctx.send_viewport_cmd(ViewportCommand::Fullscreen(self.is_on));
    }

    /// Hides a pointer that has not moved for [`POINTER_REST`].
    pub(crate) fn hide_idle_pointer(&self, ctx: &Context) {
        if self.is_on && self.is_pointer_idle(ctx) {
            ctx.set_cursor_icon(CursorIcon::None);
        } else if self.is_on {
            ctx.request_repaint_after(POINTER_REST);
        }
    }

    fn is_pointer_idle(&self, ctx: &Context) -> bool {
        ctx.input(|i| i.pointer.time_since_last_movement()) >= POINTER_REST.as_secs_f32()
    }

    /// Stores the current zoom, which the user may have changed (Ctrl with plus and minus), as the
    /// zoom of the current mode.
    pub(crate) fn remember_zoom(&self, ctx: &Context, preferences: &mut Preferences) {
        let zoom = if self.is_on { &mut preferences.present_zoom } else { &mut preferences.zoom };
        *zoom = ctx.zoom_factor();
    }
}
