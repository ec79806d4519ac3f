//! A sweep curve as a figure.

use emath::{Pos2, Rect, pos2, vec2};
use maud::html;

use super::kind::{FigureError, FigureSize};
use super::sheet::{Frame, Key, Sheet, TEXT, ink, number, pair, text_width};
use crate::format::{counted, plain};
use crate::guidance::labels::settings_line;
use crate::guidance::settings::Arm;
use crate::lab::sweep::{Curve, SweepAxis, SweepResults};
use crate::records::report::captions::caption_rect;
use crate::records::report::sweep_plot::{
    CurvePoint, DISTANCE, DISTANCE_MEANING, bounds, curve_points, measure_name,
};

/// Radius of a mean and of a single seed, as multiples of the font size.
const RADII: [f64; 2] = [0.34, 0.19];

/// Draws the measured reward of each value of a setting over the distance from the base.
pub(super) fn draw(
    results: &SweepResults,
    axis: SweepAxis,
    size: FigureSize,
) -> Result<String, FigureError> {
    let plan = &results.plan;
    let curve = results.curve(axis).ok_or(FigureError::NoPoints)?;
    let points = curve_points(curve, plan.measure);
    if points.is_empty() {
        return Err(FigureError::NoPoints);
    }
    let title = format!("Effect of {}", axis.name());
    let mut sheet = Sheet::new(size, &title);
    sheet.legend(&keys(&points, axis, plan.repeats, sheet.em));
    let (x, y) = bounds(&points);
    let [name, unit] = measure_name(plan.measure, &plan.settings);
    let names = [DISTANCE, &format!("{name} ({unit})")];
    let frame = sheet.axes([*x.start(), *x.end()], [*y.start(), *y.end()], names);
    marks(&mut sheet, &frame, &points);
    captions(&mut sheet, &frame, &points, curve);
    let description = format!(
        "Prompt: {} Settings: {}. {} per value. {DISTANCE_MEANING}",
        plan.prompt,
        settings_line(Arm::Ivg, &plan.settings),
        counted(plan.repeats as usize, "seed"),
    );
    Ok(sheet.finish(&title, &description))
}

fn circle([x, y]: [f64; 2], radius: f64) -> String {
    let (r, d) = (number(radius), number(2.0 * radius));
    format!("M{}a{r},{r} 0 1 0 {d},0a{r},{r} 0 1 0 -{d},0z", pair([x - radius, y]))
}

/// Returns the legend: the means, the single seeds and the error bars, as far as they are drawn.
fn keys(points: &[CurvePoint], axis: SweepAxis, repeats: u64, em: f64) -> Vec<Key> {
    let colour = ink(0);
    let [mean, seed] = RADII.map(|radius| circle([em, 0.0], radius * em));
    let line = format!("M0,0H{}", number(2.0 * em));
    let name = match repeats {
        1 => format!("one response at each {}", axis.symbol()),
        seeds => format!("mean of {seeds} seeds at each {}", axis.symbol()),
    };
    let mut keys = vec![(
        html! {
            path d=(line) stroke=(colour) stroke-opacity="0.55" stroke-width=(number(0.12 * em)) {}
            path d=(mean) fill=(colour) {}
        },
        name,
    )];
    if points.iter().any(|p| !p.seeds.is_empty()) {
        keys.push((
            html! { path d=(seed) fill=(colour) fill-opacity="0.35" {} },
            "one seed".into(),
        ));
    }
    if points.iter().any(|p| p.error > 0.0) {
        let bar = format!("M{},{}V{}", number(em), number(-0.6 * em), number(0.6 * em));
        let picture = html! { path d=(bar) stroke=(colour) stroke-width=(number(0.1 * em)) {} };
        keys.push((picture, "standard error".into()));
    }
    keys
}

fn marks(sheet: &mut Sheet, frame: &Frame, points: &[CurvePoint]) {
    let (em, colour) = (sheet.em, ink(0));
    let at = |p: &CurvePoint| frame.at(p.at);
    let line = points.iter().map(|p| pair(at(p))).collect::<Vec<_>>().join(" ");
    let [radius, seed_radius] = RADII.map(|radius| radius * em);
    let seeds = points.iter().flat_map(|p| &p.seeds);
    let seeds: String = seeds.map(|seed| circle(frame.at(*seed), seed_radius)).collect();
    let means: String = points.iter().map(|p| circle(at(p), radius)).collect();
    let bars: String = points
        .iter()
        .filter(|p| p.error > 0.0)
        .map(|p| {
            let end = |error: f64| pair(frame.at([p.at[0], p.at[1] + error]));
            format!("M{}L{}", end(-p.error), end(p.error))
        })
        .collect();
    sheet.add(&html! {
        @if !seeds.is_empty() { path d=(seeds) fill=(colour) fill-opacity="0.35" {} }
        polyline points=(line) fill="none" stroke=(colour) stroke-opacity="0.55"
            stroke-width=(number(0.12 * em)) {}
        @if !bars.is_empty() {
            path d=(bars) fill="none" stroke=(colour) stroke-width=(number(0.1 * em)) {}
        }
        path d=(means) fill=(colour) {}
    });
}

/// Writes the value of the setting beside each mean.
fn captions(sheet: &mut Sheet, frame: &Frame, points: &[CurvePoint], curve: &Curve) {
    let em = sheet.em as f32;
    let place = |at: [f64; 2]| {
        let [x, y] = frame.at(at);
        pos2(x as f32, y as f32)
    };
    let positions: Vec<Pos2> = points.iter().map(|p| place(p.at)).collect();
    let mut taken: Vec<Rect> =
        positions.iter().map(|at| Rect::from_center_size(*at, vec2(0.8 * em, 0.8 * em))).collect();
    let mut lines: Vec<[Pos2; 2]> = positions.windows(2).map(|w| [w[0], w[1]]).collect();
    lines.extend(points.iter().filter(|p| p.error > 0.0).map(|p| {
        let end = |error: f64| place([p.at[0], p.at[1] + error]);
        [end(-p.error), end(p.error)]
    }));
    let [left, right, top, bottom] =
        [frame.left, frame.right, frame.top, frame.bottom].map(|v| v as f32);
    let area = Rect::from_min_max(pos2(left, top), pos2(right, bottom));
    for (point, at) in points.iter().zip(&positions) {
        let words = plain(curve.points[point.index].setting.into());
        let size = vec2(text_width(&words, sheet.em) as f32, 0.9 * em);
        let clearance = (RADII[0] * sheet.em) as f32 + 0.25 * em;
        let rect = caption_rect(*at, size, clearance, (&taken, &lines), area);
        let middle = [f64::from(rect.center().x), f64::from(rect.center().y + 0.36 * em)];
        sheet.text(middle, "middle", TEXT, &words);
        taken.push(rect);
    }
}
