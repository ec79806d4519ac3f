//! When tooltips appear, and where: never while a pointer button is held, in a presentation only
//! after a click, and in the sidebar beside it.

use std::any::Any;

use eframe::egui::{
    Context, Event, Label, Modifiers, MouseWheelSource, MouseWheelUnit, Plugin, RawInput, Rect,
    RectAlign, Response, Tooltip, TouchPhase, Ui, UiKind, Vec2,
};

use crate::app::theme::TOOLTIP_DELAY;

/// Gap between the sidebar and a tooltip beside it, in points.
const GAP: f32 = 6.0;

/// Prepares `ctx` for [`allow_tooltips`].
pub(crate) fn install_tooltips(ctx: &Context) {
    ctx.add_plugin(EmptyScroll::default());
}

/// Allows or hides all tooltips of this frame, also those of egui's own widgets. Hides them while a
/// pointer button is held, so that they never cover the thing that is dragged, and in presentations.
pub(crate) fn allow_tooltips(ctx: &Context, presenting: bool) {
    let is_held = ctx.input(|i| i.pointer.any_down());
    let delay = if presenting || is_held { f32::INFINITY } else { TOOLTIP_DELAY };
    if ctx.global_style().interaction.tooltip_delay != delay {
        ctx.all_styles_mut(|style| style.interaction.tooltip_delay = delay);
    }
}

/// Reports one scroll of length 0 in the first frame. For the time of `tooltip_delay` after a scroll,
/// egui shows no tooltip and closes an open one. Without any scroll, an infinite delay would only
/// prevent new tooltips.
#[derive(Default)]
struct EmptyScroll {
    is_reported: bool,
}

impl Plugin for EmptyScroll {
    fn debug_name(&self) -> &'static str {
        "tooltips"
    }

    fn input_hook(&mut self, _ctx: &Context, input: &mut RawInput) {
        if !std::mem::replace(&mut self.is_reported, true) {
            input.events.push(Event::MouseWheel {
                unit: MouseWheelUnit::Point,
                delta: Vec2::ZERO,
                phase: TouchPhase::End,
                source: MouseWheelSource::Unknown,
                modifiers: Modifiers::NONE,
            });
        }
    }
}

/// Tooltips that are placed beside the sidebar if the widget is inside it, so that they cover no
/// other setting. Elsewhere they are placed below the widget.
pub(crate) trait Explain {
    /// Adds the tooltip of an enabled widget.
    fn explain(self, ui: &Ui, words: &str) -> Self;
    /// Adds the tooltip of a disabled widget.
    fn explain_disabled(self, ui: &Ui, reason: &str) -> Self;
    /// Adds the tooltip of an enabled widget, with any contents.
    fn explain_ui(self, ui: &Ui, contents: impl FnOnce(&mut Ui)) -> Self;
}

impl Explain for Response {
    fn explain(self, ui: &Ui, words: &str) -> Self {
        if sidebar_edge(ui).is_none() {
            return self.on_hover_text(words);
        }
        // As `on_hover_text` does, for screen readers.
        self.ctx.accesskit_node_builder(self.id, |node| node.set_description(words));
        self.explain_ui(ui, |ui| text(ui, words))
    }

    fn explain_disabled(self, ui: &Ui, reason: &str) -> Self {
        beside(ui, Tooltip::for_disabled(&self), &self).show(|ui| text(ui, reason));
        self
    }

    fn explain_ui(self, ui: &Ui, contents: impl FnOnce(&mut Ui)) -> Self {
        beside(ui, Tooltip::for_enabled(&self), &self).show(contents);
        self
    }
}

fn text(ui: &mut Ui, words: &str) {
    ui.set_max_width(ui.spacing().tooltip_width);
    ui.add(Label::new(words));
}

fn beside<'a>(ui: &Ui, mut tooltip: Tooltip<'a>, widget: &Response) -> Tooltip<'a> {
    if let Some(edge) = sidebar_edge(ui) {
        let row = Rect::from_x_y_ranges(widget.rect.left()..=edge, widget.rect.y_range());
        tooltip.popup = tooltip.popup.anchor(row).align(RectAlign::RIGHT_START).gap(GAP);
    }
    tooltip
}

/// Returns the right edge of the sidebar that contains `ui`, or `None` outside the sidebar.
fn sidebar_edge(ui: &Ui) -> Option<f32> {
    let panel = ui.stack().iter().find(|node| node.kind() == Some(UiKind::LeftPanel))?;
    Some(panel.max_rect.right())
}

/// Returns the part of a widget whose tooltip was opened by a click. A click on the same part or
/// anywhere else closes it. `clicked` is the part that a click on the widget would open. Must be
/// called in every frame.
pub(crate) fn opened_by_click<T>(widget: &Response, clicked: Option<T>) -> Option<T>
where
    T: Copy + PartialEq + Any + Send + Sync,
{
    let (ctx, id) = (&widget.ctx, widget.id.with("opened by click"));
    let frame = ctx.cumulative_frame_nr();
    // Ignores the state from before the widget was hidden.
    let stored = ctx.data(|data| data.get_temp::<(u64, T)>(id));
    let mut open = stored.filter(|(last, _)| last + 1 >= frame).map(|(_, part)| part);
    if widget.clicked() || ctx.input(|i| i.pointer.any_click()) {
        open = clicked.filter(|part| widget.clicked() && open != Some(*part));
    }
    ctx.data_mut(|data| match open {
        Some(part) => drop(data.insert_temp(id, (frame, part))),
        None => data.remove::<(u64, T)>(id),
    });
    // Hidden while a button is held, as all tooltips are.
    open.filter(|_| !ctx.input(|i| i.pointer.any_down()))
}

/// Adds a tooltip that appears on hover, or in a presentation after a click. The widget must sense
/// clicks in a presentation.
pub(crate) fn explain_on_stage(widget: Response, presenting: bool, contents: impl FnOnce(&mut Ui)) {
    if !presenting {
        widget.on_hover_ui(contents);
    } else if opened_by_click(&widget, Some(())).is_some() {
        Tooltip::for_widget(&widget).show(contents);
    }
}

#[cfg(test)]
mod tests {
    use eframe::egui::{PointerButton, Pos2, Sense, pos2, vec2};

    use super::*;

    /// Runs one frame with these events, in which a widget covers the left half of the window.
    fn frame(ctx: &Context, presenting: bool, events: Vec<Event>) -> Option<u8> {
        let screen = Rect::from_min_size(Pos2::ZERO, vec2(200.0, 100.0));
        let input = RawInput { screen_rect: Some(screen), events, ..RawInput::default() };
        let mut open = None;
        let output = ctx.run_ui(input, |ui| {
            allow_tooltips(ui.ctx(), presenting);
            let left = screen.with_max_x(100.0);
            let widget = ui.interact(left, ui.scope_id().with("left"), Sense::CLICK);
            let part = widget.interact_pointer_pos().map(|at| u8::from(at.y > 50.0));
            open = opened_by_click(&widget, part);
        });
        output.drop_without_applying_deltas();
        open
    }

    fn button(pos: Pos2, pressed: bool) -> Event {
        let (button, modifiers) = (PointerButton::Primary, Modifiers::NONE);
        Event::PointerButton { pos, button, pressed, modifiers }
    }

    fn click(ctx: &Context, at: Pos2) -> Option<u8> {
        frame(ctx, true, vec![Event::PointerMoved(at)]);
        assert_eq!(frame(ctx, true, vec![button(at, true)]), None, "hidden while held");
        frame(ctx, true, vec![button(at, false)])
    }

    #[test]
    fn a_click_opens_a_part_and_another_click_closes_it() {
        let ctx = Context::default();
        let (top, bottom, outside) = (pos2(50.0, 10.0), pos2(50.0, 90.0), pos2(150.0, 50.0));
        frame(&ctx, true, Vec::new());
        assert_eq!(click(&ctx, top), Some(0));
        assert_eq!(frame(&ctx, true, Vec::new()), Some(0), "it stays open");
        assert_eq!(click(&ctx, bottom), Some(1), "another part");
        assert_eq!(click(&ctx, bottom), None, "the same part");
        assert_eq!(click(&ctx, top), Some(0));
        assert_eq!(click(&ctx, outside), None);
    }

    #[test]
    fn tooltips_wait_forever_in_a_presentation_and_while_a_button_is_held() {
        let ctx = Context::default();
        let delay = || ctx.global_style().interaction.tooltip_delay;
        let at = pos2(50.0, 50.0);
        frame(&ctx, false, Vec::new());
        assert_eq!(delay(), TOOLTIP_DELAY);
        frame(&ctx, false, vec![Event::PointerMoved(at), button(at, true)]);
        assert_eq!(delay(), f32::INFINITY);
        frame(&ctx, false, vec![button(at, false)]);
        assert_eq!(delay(), TOOLTIP_DELAY);
        frame(&ctx, true, Vec::new());
        assert_eq!(delay(), f32::INFINITY);
    }
}
