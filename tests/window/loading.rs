//! Loading packs.

use eframe::egui::{Key, Modifiers, Role, Theme as Shade};
use ivg_playground::app::Theme;
use ivg_playground::app::state::preferences::Preferences;
use ivg_playground::guidance::settings::Settings;
use ivg_playground::guidance::trace::StopReason;
use ivg_playground::worker::protocol::{Command, Event, PackInfo, PackSource, Progress};

use crate::engine::pack;
use crate::harness::{Bench, options};

#[test]
fn the_pack_of_the_options_is_loaded_with_progress() {
    let mut bench = Bench::closed(options(), Preferences::default());
    let expected = Command::LoadPack(PackSource::Bundled("imdb-sentiment".into()));
    assert_eq!(bench.engine.command(), expected);
    assert!(bench.is_disabled(Role::Button, "Generate"));
    bench.engine.send(Event::Downloading(Progress {
        role: "base",
        file: "model.safetensors".into(),
        done_bytes: 1_200_000_000,
        total_bytes: 3_400_000_000,
        is_silent: false,
        bytes_per_s: Some(12.3e6),
        seconds_left: Some(178.0),
        pause: None,
    }));
    bench.window.run();
    assert!(bench.shows("Loading 35% · base model · 1.2 GB of 3.4 GB · 12 MB/s · 3 min left"));
    bench.engine.send(Event::Loading { what: "value model".into(), fraction: 0.4 });
    bench.window.run();
    assert!(bench.shows("Loading 40% · value model"));
    bench.engine.send(Event::Loaded(Box::new(pack())));
    bench.window.run();
    assert!(bench.shows("Ready"));
    assert!(bench.shows("CPU, 2 threads"));
    assert!(!bench.shows("Loading 40% · value model"));
}

#[test]
fn the_error_of_a_pack_that_cannot_be_loaded_can_be_dismissed() {
    let mut bench = Bench::closed(options(), Preferences::default());
    let Command::LoadPack(source) = bench.engine.command() else { panic!("no pack is loaded") };
    bench.engine.send(Event::LoadFailed {
        source,
        message: "No pack of that name; choose another.".into(),
    });
    bench.window.run();
    assert!(bench.shows("No pack of that name; choose another."));
    assert!(bench.shows("No models loaded"));
    assert!(bench.is_disabled(Role::Button, "Generate"));
    bench.click("Dismiss the error");
    assert!(!bench.shows("No pack of that name; choose another."));
}

#[test]
fn generate_on_start_waits_for_the_pack() {
    let options = ivg_playground::app::Options {
        prompt: Some("The cast".into()),
        generate: true,
        ..options()
    };
    let mut bench = Bench::closed(options, Preferences::default());
    bench.window.run();
    bench.engine.command();
    bench.expect_silence();
    bench.engine.send(Event::Loaded(Box::new(pack())));
    bench.window.run();
    assert_eq!(bench.engine.generate().1.prompt, "The cast");
}

#[test]
fn the_defaults_of_a_pack_apply_only_the_first_time() {
    let mut with_defaults = pack();
    with_defaults.defaults = Settings { beta: 0.25, max_tokens: 128, ..Settings::default() };
    let bench = Bench::with_pack(with_defaults.clone());
    assert_eq!(*bench.settings(), with_defaults.defaults);
    // Later, the stored settings of this pack are used.
    let mut stored = bench.window.state().preferences().clone();
    stored.settings.beta = -1.0;
    let bench = Bench::open(options(), stored, with_defaults.clone());
    assert_eq!(bench.settings().beta, -1.0);
    // Settings on the command line have priority.
    let given = Settings { beta: 2.0, ..Settings::default() };
    let options = ivg_playground::app::Options { settings: Some(given.clone()), ..options() };
    let bench = Bench::open(options, Preferences::default(), with_defaults);
    assert_eq!(*bench.settings(), given);
}

#[test]
fn the_theme_switch_takes_effect_immediately() {
    let mut bench = Bench::ready();
    for (name, theme, shade) in
        [("Theme: Light", Theme::Light, Shade::Light), ("Theme: Dark", Theme::Dark, Shade::Dark)]
    {
        bench.click(name);
        assert_eq!(bench.window.state().preferences().theme, theme);
        assert_eq!(bench.window.ctx.theme(), shade);
    }
}

#[test]
fn an_idle_window_requests_no_frames() {
    let mut bench = Bench::ready();
    bench.window.run();
    let delay = bench.window.output().viewport_output.values().map(|v| v.repaint_delay).min();
    assert_eq!(delay, Some(std::time::Duration::MAX));
}

/// A run that the user starts meanwhile begins after loading, with the settings of the new pack.
#[test]
fn loading_a_pack_stops_the_run_and_the_next_run_waits_for_the_pack() {
    let (mut bench, run, request) = Bench::running();
    bench.key(Modifiers::COMMAND, Key::M);
    bench.wait("the list", |b| b.shows("Load: imdb"));
    bench.click("Load: imdb");
    assert_eq!(bench.engine.command(), Command::Stop(run));
    let source = PackSource::Bundled("imdb".into());
    assert_eq!(bench.engine.command(), Command::LoadPack(source.clone()));
    bench.key(Modifiers::COMMAND, Key::Enter);
    bench.expect_silence();
    bench.engine.done(run, &request, &[" a", " b"], StopReason::Stopped);
    bench.window.run();
    bench.expect_silence();
    let defaults = Settings { beta: 0.0, ..Settings::default() };
    bench.engine.send(Event::Loaded(Box::new(PackInfo {
        source,
        name: "imdb".into(),
        has_pair: false,
        defaults,
        ..pack()
    })));
    bench.window.run();
    let (_, request) = bench.engine.generate();
    assert_eq!(request.settings.beta, 0.0);
    assert_eq!(bench.window.state().session().error, None);
}

#[test]
fn the_status_bar_says_that_the_pack_has_changed_since_the_run() {
    let mut bench = Bench::ready();
    bench.finish(&[" a", " b"]);
    assert!(bench.shows("Done"));
    let source = PackSource::Bundled("other".into());
    bench.engine.send(Event::Loaded(Box::new(PackInfo { source, name: "other".into(), ..pack() })));
    bench.window.run();
    assert!(bench.shows("Done. This run used imdb-sentiment; other is loaded now."));
}
