//! The limits of token guidance: the KL budget and the plausibility mask.

use eframe::egui::{Id, Ui};

use super::scales::{limits_of, parse_number};
use crate::app::widgets::{Edit, Explain, Scale, Setting, chip};
use crate::format::plain;
use crate::guidance::settings::{Settings, limits};

/// The KL budget that the button sets, in nats.
const FIRST_KL_BUDGET: f32 = 5.0;
/// Minimum KL budget above 0 on the slider, in nats.
const MIN_KL_BUDGET: f64 = 0.1;
/// Maximum KL budget on the slider, in nats. Larger ones rarely limit anything.
const MAX_KL_BUDGET: f64 = 100.0;
/// Minimum width of the mask above 0 on the slider, in nats.
const MIN_MASK: f64 = 0.5;

/// Draws the button that sets a limit, unless one is set.
pub(super) fn add_limit(ui: &mut Ui, settings: &mut Settings) -> Edit {
    if is_limited(settings) {
        return Edit::default();
    }
    let hint = "Keeps token guidance close to the base: a budget of divergence for each response, \
                and a mask of implausible tokens.";
    let clicked = chip(ui, "Limit the guidance", false).explain(ui, hint).clicked();
    if clicked {
        settings.kl_budget_nats = FIRST_KL_BUDGET;
    }
    Edit::at_once(clicked)
}

fn is_limited(settings: &Settings) -> bool {
    settings.kl_budget_nats.is_finite() || settings.mask_nats.is_finite()
}

/// Draws both limits if one is set. They stay while a slider is dragged to its end.
pub(super) fn guidance_limits(ui: &mut Ui, settings: &mut Settings) -> Edit {
    let was_shown = Id::unique("limits were shown");
    let is_dragged = ui.input(|input| input.pointer.any_down());
    let stays = is_dragged && ui.data(|data| data.get_temp(was_shown)).unwrap_or(false);
    let is_shown = is_limited(settings) || stays;
    ui.data_mut(|data| data.insert_temp(was_shown, is_shown));
    if !is_shown {
        return Edit::default();
    }
    let hint = "Divergence from the base that the tokens of a response may add up to, in nats. \
                Where guidance would exceed it, its strength is lowered. Color the tokens by \
                divergence to see where.";
    let scale = scale(MIN_KL_BUDGET, MAX_KL_BUDGET);
    let mut edit = limit(ui, "KL budget", hint, scale, &mut settings.kl_budget_nats);
    let hint = "Guidance may only choose tokens whose probability under the base is at most this \
                many nats below that of the likeliest token.";
    let (_, widest) = limits_of(&limits::MASK);
    edit |= limit(
        ui,
        "Plausibility mask",
        hint,
        self::scale(MIN_MASK, widest),
        &mut settings.mask_nats,
    );
    edit
}

fn scale(min: f64, max: f64) -> Scale {
    Scale::Decades { min, max, has_zero: true, has_infinity: true, is_integer: false }
}

fn limit(ui: &mut Ui, name: &str, hint: &str, scale: Scale, nats: &mut f32) -> Edit {
    let mut number = f64::from(*nats);
    let setting = Setting::new(name, hint, scale, f64::INFINITY);
    let edit = setting.number_format(text, parse).origin(f64::INFINITY).show(ui, &mut number);
    if edit.changed {
        *nats = number as f32;
    }
    edit
}

fn text(nats: f64) -> String {
    if nats.is_finite() { format!("{} nats", plain(nats)) } else { "off".to_owned() }
}

fn parse(text: &str) -> Option<f64> {
    let text = text.trim().trim_end_matches("nats").trim();
    match text.to_lowercase().as_str() {
        "off" | "inf" | "∞" => Some(f64::INFINITY),
        number => parse_number(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_they_are_written() {
        for nats in [0.0, 0.5, 7.0, f64::INFINITY] {
            assert_eq!(parse(&text(nats)), Some(nats));
        }
        assert_eq!(parse("5"), Some(5.0));
        assert_eq!(parse("much"), None);
    }
}
