//! Scrolling of the responses. A column follows its text while it is written and returns to the
//! start of the response when it is done. Columns can scroll together.

use eframe::egui::{Id, Rect, ScrollArea, Ui};

/// The scroll area of one column.
pub(super) struct Scroll {
    /// Identifies the text: the run, and whether it is complete.
    pub(super) text: (u64, bool),
    /// Whether to follow the end of the text.
    pub(super) follows: bool,
    /// Whether all columns scroll together.
    pub(super) together: bool,
}

/// The offset that all columns share, in points.
fn shared_id() -> Id {
    Id::unique("shared scroll offset")
}

impl Scroll {
    /// Draws `content` in a scroll area. `content` gets true in the frame in which the text was
    /// completed, and returns the rectangle of the start of the response.
    pub(super) fn show(&self, ui: &mut Ui, content: impl FnOnce(&mut Ui) -> Option<Rect>) {
        let id = ui.scope_id().with("scrolled text");
        let before = ui.data_mut(|data| {
            let before = data.get_temp::<(u64, bool)>(id);
            data.insert_temp(id, self.text);
            before
        });
        let is_complete = self.text.1;
        // Also a text that is shown for the first time starts at its beginning.
        let just_completed = is_complete && before.is_some_and(|before| before != self.text);
        let shares = self.together && is_complete;
        // A short column ends before the shared offset.
        let limit: f32 = ui.data(|data| data.get_temp(id.with("limit"))).unwrap_or(f32::INFINITY);
        let shared: f32 = ui.data(|data| data.get_temp(shared_id())).unwrap_or(0.0);
        let shared = shared.min(limit);
        // The scroll area takes the motion of the wheel out of the input.
        let is_moving = ui.input(|i| i.smooth_scroll_delta().y != 0.0 || i.pointer.any_down());
        // An animation would go on after the text is complete.
        let area = ScrollArea::vertical().auto_shrink(false).animated(false);
        let mut area = area.stick_to_bottom(self.follows);
        if just_completed {
            ui.data_mut(|data| data.insert_temp(shared_id(), 0.0_f32));
            area = area.vertical_scroll_offset(0.0);
        } else if let Some(offset) = ui.data_mut(|data| data.remove_temp::<f32>(id.with("next"))) {
            area = area.vertical_scroll_offset(offset);
        } else if shares {
            area = area.vertical_scroll_offset(shared);
        }
        let output = area.show(ui, content);
        if just_completed && let Some(start) = output.inner {
            let offset = (start.top() - output.inner_rect.top()).max(0.0);
            // A whole prompt that is shown before the response pushes it down.
            if offset > output.inner_rect.height() / 2.0 {
                ui.data_mut(|data| data.insert_temp(id.with("next"), offset));
            }
            ui.ctx().request_repaint();
        }
        let is_pointed_at = ui.rect_contains_pointer(output.inner_rect);
        let offset = output.state.clamped_offset().y;
        let limit = (output.content_size.y - output.inner_rect.height()).max(0.0);
        ui.data_mut(|data| data.insert_temp(id.with("limit"), limit));
        let has_moved = is_moving && is_pointed_at && (offset - shared).abs() > 0.5;
        if shares && has_moved && !just_completed {
            ui.data_mut(|data| data.insert_temp(shared_id(), offset));
            ui.ctx().request_repaint();
        }
    }
}
