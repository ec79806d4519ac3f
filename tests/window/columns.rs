//! Adding, changing, pinning, removing and comparing columns.

use eframe::egui::{Role, Vec2};
use egui_kittest::kittest::Queryable;
use ivg_playground::app::state::preferences::Preferences;
use ivg_playground::guidance::settings::{Arm, Column, Settings};
use ivg_playground::guidance::trace::StopReason;
use ivg_playground::worker::protocol::{Event, PackInfo};

use crate::engine::{pack, trace};
use crate::harness::{Bench, options};

fn columns(bench: &Bench) -> &[Column] {
    &bench.window.state().preferences().columns
}

fn arms(columns: &[Column]) -> Vec<Arm> {
    columns.iter().map(|c| c.arm).collect()
}

/// Chooses an entry in the menu of a column.
fn choose(bench: &mut Bench, column: &str, entry: &str) {
    bench.click(column);
    bench.click(entry);
}

/// Opens a window with four finished columns.
fn four() -> Bench {
    let mut bench = Bench::ready();
    bench.add_column("Token only");
    bench.add_column("Chunk only");
    bench.finish(&[" a", " b", " c", " d"]);
    bench
}

#[test]
fn up_to_four_columns_can_be_added_and_all_of_them_run() {
    let mut bench = Bench::ready();
    bench.add_column("Token only");
    assert!(bench.shows("Column 3: Token only"), "an arm that is not shown yet");
    bench.add_column("Chunk only");
    assert!(bench.shows("Column 4: Chunk only"));
    assert!(bench.is_disabled(Role::Button, "Add column"));
    let at = bench.window.get_by_label("Add column").rect().center();
    bench.hover(at);
    assert!(bench.shows("At most four columns."));
    let request = bench.finish(&[" a", " b", " c", " d"]);
    assert_eq!(arms(&request.columns), [Arm::Base, Arm::Ivg, Arm::Token, Arm::Chunk]);
    for words in ["This movie was a", "This movie was b", "This movie was c", "This movie was d"] {
        assert!(bench.shows(words), "{words}");
    }
}

#[test]
fn the_menu_of_a_column_changes_and_explains_its_arm() {
    let mut bench = Bench::ready();
    bench.click("Column 1: Unguided");
    let at = bench.window.get_by_label("Best of 16").rect().center();
    bench.hover(at);
    assert!(bench.reads("responses of the base model"));
    bench.click("Best of 16");
    assert!(bench.shows("Column 1: Best of 16") && !bench.shows("Column 1: Unguided"));
    let request = bench.finish(&[" a", " b"]);
    assert_eq!(arms(&request.columns), [Arm::BestOfN, Arm::Ivg]);
    choose(&mut bench, "Column 1: Best of 16", "Guided");
    assert!(bench.shows("Column 1: Guided") && bench.shows("Column 2: Guided 2"));
}

#[test]
fn a_pinned_column_keeps_its_settings_except_seed_and_length() {
    let mut bench = Bench::ready();
    choose(&mut bench, "Column 2: Guided", "Pin these settings");
    bench.enter("Token guidance β", "-1");
    bench.enter("Seed", "77");
    bench.enter("Length", "20");
    bench.add_column("Token only");
    assert!(bench.shows("pinned · β 1 · λ ∞ · W 4 · K 4 · L 5"));
    let request = bench.finish(&[" a", " b", " c"]);
    let standard = Settings::default();
    assert_eq!(request.columns[1].pinned, Some(standard.clone()));
    let common = Settings { seed: 77, max_tokens: 20, ..standard };
    assert_eq!(request.columns[1].applied(&request.settings), common);
    let token = request.columns[2].applied(&request.settings);
    assert_eq!((token.beta, token.seed, token.max_tokens), (-1.0, 77, 20));
    choose(&mut bench, "Column 2: Guided", "Follow the sliders");
    assert_eq!(columns(&bench)[1].pinned, None);
    assert!(!bench.reads("pinned · "));
    assert!(bench.reads("β −1 · λ ∞"));
}

#[test]
fn all_columns_but_the_last_can_be_removed() {
    let mut bench = four();
    choose(&mut bench, "Column 2: Guided", "Remove this column");
    assert_eq!(arms(columns(&bench)), [Arm::Base, Arm::Token, Arm::Chunk]);
    assert!(!bench.shows("This movie was b"), "its text is removed");
    assert!(bench.shows("This movie was c") && bench.shows("This movie was d"), "the others stay");
    choose(&mut bench, "Column 1: Unguided", "Remove this column");
    choose(&mut bench, "Column 1: Token only", "Remove this column");
    bench.click("Column 1: Chunk only");
    assert!(bench.is_disabled(Role::Button, "Remove this column"));
    let at = bench.window.get_by_label("Remove this column").rect().center();
    bench.hover(at);
    assert!(bench.shows("The last column cannot be removed."));
    assert!(bench.shows("Done. Press Generate to apply your changes"));
}

/// Opens a window with a changed pack.
fn with_changed_pack(change: impl FnOnce(&mut PackInfo)) -> Bench {
    let mut pack = pack();
    change(&mut pack);
    let stored = Preferences { prompt: "This movie was".into(), ..Preferences::default() };
    Bench::open(options(), stored, pack)
}

#[test]
fn arms_that_the_pack_cannot_run_are_disabled_with_the_reason() {
    for (mut bench, arm, other, reason) in [
        (
            with_changed_pack(|p| p.has_pair = false),
            "Token only",
            "Chunk only",
            "This pack has no tuned/untuned pair, so tokens cannot be guided.",
        ),
        (
            with_changed_pack(|p| p.has_value = false),
            "Chunk only",
            "Token only",
            "λ needs a value model, and this pack has none. Rank chunks by implicit values instead.",
        ),
    ] {
        // The guided column is hidden, and the other columns can run.
        assert!(!bench.shows("Column 2: Guided"));
        assert!(!bench.is_disabled(Role::Button, "Generate"));
        bench.click("Column 1: Unguided");
        assert!(bench.is_disabled(Role::Button, arm), "{arm}");
        let at = bench.window.get_by_label(arm).rect().center();
        bench.hover(at);
        assert!(bench.shows(reason), "{reason}");
        bench.click(other);
        assert!(!bench.is_disabled(Role::Button, "Generate"));
    }
}

#[test]
fn hidden_columns_return_with_a_pack_that_can_run_them() {
    let mut bench = with_changed_pack(|p| (p.has_pair, p.has_value) = (false, false));
    assert!(bench.shows("Column 1: Unguided") && !bench.shows("Column 2: Guided"));
    bench.engine.send(Event::Loaded(Box::new(pack())));
    bench.window.run();
    assert!(bench.shows("Column 1: Unguided") && bench.shows("Column 2: Guided"));
}

#[test]
fn only_arms_that_the_pack_can_run_are_added() {
    let mut bench = with_changed_pack(|p| (p.has_pair, p.has_value) = (false, false));
    bench.click("Add column");
    assert!(!bench.is_disabled(Role::Button, "Add column: Unguided"));
    for title in ["Guided", "Token only", "Chunk only", "Best of 16"] {
        assert!(bench.is_disabled(Role::Button, &format!("Add column: {title}")), "{title}");
    }
    let at = bench.window.get_by_label("Add column: Chunk only").rect().center();
    bench.hover(at);
    assert!(bench.reads("This pack has no value model and no tuned/untuned pair"));
    let mut bench = with_changed_pack(|p| p.has_pair = false);
    bench.add_column("Chunk only");
    assert!(bench.shows("Column 2: Chunk only"));
    bench.add_column("Best of 16");
    assert!(bench.shows("Column 3: Best of 16"));
    assert!(!bench.is_disabled(Role::Button, "Generate"));
}

#[test]
fn a_narrow_window_hides_the_colour_scale_but_not_the_button() {
    let mut bench = Bench::ready();
    bench.click("Colour tokens by: Advantage");
    let scale = "Colours: advantage, −1 to +1 nat";
    assert!(bench.shows(scale), "shown in a wide window");
    bench.window.set_size(Vec2::new(1024.0, 640.0));
    bench.window.run();
    assert!(!bench.shows(scale) && bench.shows("Add column"));
}

#[test]
fn a_very_small_window_hides_the_lower_panel() {
    let mut bench = Bench::searched(4);
    assert!(bench.shows("Lower panel: Values"));
    bench.window.set_size(eframe::egui::vec2(640.0, 360.0));
    bench.window.run();
    bench.window.run();
    assert!(!bench.shows("Lower panel: Values"), "the responses take the space");
    assert!(bench.shows("Column 1: Unguided") && bench.shows("Column 2: Guided"));
    bench.window.set_size(eframe::egui::vec2(1280.0, 1000.0));
    bench.window.run();
    bench.window.run();
    assert!(bench.shows("Lower panel: Values"));
}

#[test]
fn every_column_shows_its_difference_from_the_first() {
    let (mut bench, run, request) = Bench::running();
    let mut trace = trace(&request, &[" fine.", " great, truly."], StopReason::MaxTokens);
    trace.arms[1].gold_reward = Some(4.0);
    trace.arms[1].value = Some(-1.0);
    trace.arms[1].elapsed_ms = 3500.0;
    bench.engine.send(Event::Done { run, trace: Box::new(trace) });
    bench.window.run();
    assert!(bench.shows("Unguided Judge: praise: +2.50, rather praise"), "without a difference");
    let judge = "Guided Judge: praise: +4.00, +1.5 from the first column, clearly praise";
    assert!(bench.shows(judge));
    assert!(!bench.reads("Guided Value: "), "the other metrics are details");
    bench.click("Details");
    assert!(bench.shows("Guided Value: −1.00, −2.2 from the first column"));
    assert!(bench.shows("Guided Seconds: 3.50, +1.5 from the first column"));
    // In a narrow column the difference is only in the tooltip.
    for width in [1280.0, 1100.0] {
        bench.window.set_size(Vec2::new(width, 720.0));
        bench.window.run();
        let at = bench.window.get_by_label(judge).rect().center();
        bench.hover(at);
        assert!(bench.shows("+1.5 from the first column"), "{width}");
    }
    choose(&mut bench, "Column 1: Unguided", "Remove this column");
    assert!(
        bench.shows("Guided Judge: praise: +4.00, clearly praise"),
        "now it is the first column"
    );
}

#[test]
fn four_narrow_columns_show_every_metric_within_their_width() {
    let mut bench = four();
    bench.window.set_size(Vec2::new(1800.0, 900.0));
    bench.window.run();
    bench.click("Details");
    let mut before = 0.0;
    for title in ["Unguided", "Guided", "Token only", "Chunk only"] {
        let mut right: f32 = 0.0;
        for metric in
            ["Judge: praise: +2.50", "Value: +1.25", "KL, nats: ", "Perplexity: ", "cost: 2 of "]
        {
            let name = format!("{title} {metric}");
            let mut found = bench.window.query_all_by_label_contains(&name);
            let found = found.find(|node| node.rect().left() >= before).expect(&name).rect();
            assert!(found.bottom() <= 900.0 && found.right() <= 1800.0, "{name} {found}");
            assert!(found.width() > 100.0, "{name}");
            right = right.max(found.right());
        }
        before = right;
    }
}

#[test]
fn live_runs_after_a_column_is_added_or_changed_but_not_removed() {
    let mut bench = Bench::ready();
    bench.finish(&[" a", " b"]);
    bench.click("Live");
    bench.add_column("Token only");
    let (run, request) = bench.engine.generate();
    assert_eq!(arms(&request.columns), [Arm::Token], "only the new column runs");
    bench.engine.done(run, &request, &[" c"], StopReason::MaxTokens);
    bench.window.run();
    choose(&mut bench, "Column 3: Token only", "Remove this column");
    bench.expect_silence();
    choose(&mut bench, "Column 2: Guided", "Chunk only");
    assert_eq!(arms(&bench.engine.generate().1.columns), [Arm::Chunk]);
}

#[test]
fn columns_are_restored_at_start() {
    let own = Settings { beta: -0.5, ..Settings::default() };
    let columns = vec![Arm::Token.into(), Column::pinned(Arm::Ivg, own), Arm::BestOfN.into()];
    let stored = Preferences { columns, ..Preferences::default() };
    let bench = Bench::open(options(), stored, pack());
    assert!(bench.shows("Column 1: Token only") && bench.shows("Column 3: Best of 16"));
    assert!(bench.reads("pinned · β −0.5"));
}
