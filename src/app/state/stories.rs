//! The stops of a demo: the steps of the pack's stories, or its example prompts if it has none.
//!
//! A story is one prompt and one seed, told in three steps: without guidance, towards the pack's
//! aim, and away from it.

use super::preferences::Preferences;
use super::presets::reversed;
use crate::guidance::aim::Steering;
use crate::guidance::settings::{Arm, Column, Settings};
use crate::worker::protocol::{PackInfo, Story};

/// One stop of a demo.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stop {
    /// A step of a story.
    Step {
        story: Story,
        /// Position of the story, starting at 0, and the number of stories.
        position: (usize, usize),
        step: Step,
    },
    /// An example prompt, at the current settings.
    Example {
        prompt: String,
        /// Position of the prompt, starting at 0, and the number of prompts.
        position: (usize, usize),
    },
}

/// A step of a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Without guidance: both columns write the same text.
    Unguided,
    /// With the pack's default settings.
    Towards,
    /// With reversed guidance.
    Away,
}

impl Step {
    const ALL: [Step; 3] = [Step::Unguided, Step::Towards, Step::Away];

    /// Returns the settings of this step.
    fn settings(self, pack: &PackInfo, seed: u64) -> Settings {
        let defaults = Settings { seed, ..pack.defaults.clone() };
        match self {
            Step::Unguided => Settings { beta: 0.0, beams: 1, successors: 1, ..defaults },
            Step::Towards => defaults,
            Step::Away => reversed(&defaults),
        }
    }

    fn is_possible(self, pack: &PackInfo) -> bool {
        let steering = Steering::of(&self.settings(pack, 0), pack.has_pair, pack.has_value);
        let expected = match self {
            Step::Unguided => Steering::Off,
            Step::Towards => Steering::Towards,
            Step::Away => Steering::Away,
        };
        let settings = self.settings(pack, 0);
        steering == expected
            && Arm::Ivg.missing_guide(&settings, pack.has_pair, pack.has_value).is_none()
    }
}

/// Returns the stops of a pack, in order. Steps that need a missing guide are left out; without
/// any guided step, the stops are the example prompts.
pub(crate) fn stops(pack: &PackInfo) -> Vec<Stop> {
    let steps = Step::ALL.into_iter().filter(|step| step.is_possible(pack));
    let is_guided = steps.clone().any(|step| step != Step::Unguided);
    if is_guided && !pack.stories.is_empty() {
        let stories = pack.stories.iter().enumerate();
        let stops = stories.flat_map(|(i, story)| {
            let position = (i, pack.stories.len());
            steps.clone().map(move |step| Stop::Step { story: story.clone(), position, step })
        });
        return stops.collect();
    }
    let examples = pack.examples.iter().enumerate();
    let position = |i| (i, pack.examples.len());
    examples
        .map(|(i, prompt)| Stop::Example { prompt: prompt.clone(), position: position(i) })
        .collect()
}

/// Returns why the stories of this pack cannot be told, or `None` if they can.
pub(crate) fn stories_disabled_reason(pack: &PackInfo) -> Option<&'static str> {
    let has_steps = stops(pack).iter().any(|stop| matches!(stop, Stop::Step { .. }));
    (!pack.stories.is_empty() && !has_steps)
        .then_some("The stories of this pack need guides that it lacks. These are its examples.")
}

impl Stop {
    /// Makes this stop the next run.
    pub(crate) fn apply(&self, preferences: &mut Preferences, pack: &PackInfo) {
        match self {
            Stop::Step { story, step, .. } => {
                preferences.prompt.clone_from(&story.prompt);
                preferences.settings = step.settings(pack, story.seed);
                preferences.columns = vec![Arm::Base.into(), Arm::Ivg.into()];
            }
            Stop::Example { prompt, .. } => preferences.prompt.clone_from(prompt),
        }
    }

    /// Returns whether the preferences are those of this stop.
    fn is_current(&self, preferences: &Preferences, pack: &PackInfo) -> bool {
        match self {
            Stop::Step { story, step, .. } => {
                let columns: [Column; 2] = [Arm::Base.into(), Arm::Ivg.into()];
                preferences.prompt == story.prompt
                    && preferences.settings == step.settings(pack, story.seed)
                    && preferences.columns == columns
            }
            Stop::Example { prompt, .. } => preferences.prompt == *prompt,
        }
    }

    /// Returns a caption such as "Story 1 of 3 · towards praise".
    pub(crate) fn caption(&self, pack: &PackInfo) -> String {
        match self {
            Stop::Example { position: (i, count), .. } => format!("Prompt {} of {count}", i + 1),
            Stop::Step { position: (i, count), step, .. } => {
                let aim = pack.aim.as_ref();
                let step = match step {
                    Step::Unguided => "unguided".to_owned(),
                    Step::Towards => {
                        aim.map_or("guided".to_owned(), |aim| format!("towards {}", aim.towards))
                    }
                    Step::Away => match aim.and_then(|aim| aim.away.as_ref()) {
                        Some(away) => format!("towards {away}"),
                        None => "reversed".to_owned(),
                    },
                };
                format!("Story {} of {count} · {step}", i + 1)
            }
        }
    }
}

/// Returns the stop that the preferences are at.
pub(crate) fn current(preferences: &Preferences, pack: &PackInfo) -> Option<Stop> {
    stops(pack).into_iter().find(|stop| stop.is_current(preferences, pack))
}

/// Returns the stop after the current one, or with `backward` the one before it. Beyond the ends,
/// and if there is no current stop, it is the first stop of that direction.
pub(crate) fn next(preferences: &Preferences, pack: &PackInfo, backward: bool) -> Option<Stop> {
    let mut stops = stops(pack);
    if backward {
        stops.reverse();
    }
    let at = stops.iter().position(|stop| stop.is_current(preferences, pack));
    let next = at.map_or(0, |at| (at + 1) % stops.len());
    (!stops.is_empty()).then(|| stops.swap_remove(next))
}

#[cfg(test)]
mod tests {
    use super::super::availability::tests::pack;
    use super::*;
    use crate::guidance::aim::Aim;
    use crate::guidance::{Prefilled, Search};
    use crate::packs::{DeviceChoice, Pack, PackSource, PromptOptions};

    fn with_stories(has_pair: bool, has_value: bool) -> PackInfo {
        let story = |prompt: &str, seed| Story { prompt: prompt.into(), seed };
        PackInfo {
            stories: vec![story("This film", 2), story("The plot", 5)],
            examples: vec!["One".into(), "Two".into()],
            aim: Some(Aim { towards: "praise".into(), away: Some("criticism".into()) }),
            ..pack(has_pair, has_value)
        }
    }

    fn walk(pack: &PackInfo, backward: bool, count: usize) -> Vec<String> {
        let mut preferences = Preferences::default();
        let mut step = || {
            let stop = next(&preferences, pack, backward).expect("a stop");
            stop.apply(&mut preferences, pack);
            assert_eq!(current(&preferences, pack).as_ref(), Some(&stop));
            stop.caption(pack)
        };
        (0..count).map(|_| step()).collect()
    }

    #[test]
    fn stories_are_told_in_three_steps_each_and_start_again_at_the_end() {
        let pack = with_stories(true, true);
        let told = walk(&pack, false, 7);
        let expected = [
            "Story 1 of 2 · unguided",
            "Story 1 of 2 · towards praise",
            "Story 1 of 2 · towards criticism",
            "Story 2 of 2 · unguided",
            "Story 2 of 2 · towards praise",
            "Story 2 of 2 · towards criticism",
            "Story 1 of 2 · unguided",
        ];
        assert_eq!(told, expected);
        assert_eq!(
            walk(&pack, true, 2),
            ["Story 2 of 2 · towards criticism", "Story 2 of 2 · towards praise"]
        );
    }

    #[test]
    fn the_first_step_writes_the_same_text_in_both_columns() {
        let pack = with_stories(true, true);
        let settings = Step::Unguided.settings(&pack, 2);
        assert_eq!(Arm::Ivg.apply(&settings), Arm::Base.apply(&settings));
    }

    #[test]
    fn a_pack_that_lost_its_guides_shows_its_examples_and_says_why() {
        let bare = with_stories(false, false);
        assert_eq!(walk(&bare, false, 3), ["Prompt 1 of 2", "Prompt 2 of 2", "Prompt 1 of 2"]);
        assert!(stories_disabled_reason(&bare).is_some_and(|reason| reason.contains("guides")));
        assert_eq!(stories_disabled_reason(&with_stories(true, true)), None);
        let value_only = walk(&with_stories(false, true), false, 3);
        assert!(value_only.iter().all(|caption| !caption.contains("criticism")), "{value_only:?}");
    }

    #[test]
    fn without_stories_and_examples_there_is_no_stop() {
        assert_eq!(next(&Preferences::default(), &pack(true, true), false), None);
    }

    /// Writes the text of an arm with the bundled models. Returns it with the judge's score.
    fn written(models: &Pack, story: &Story, arm: Arm, settings: &Settings) -> (String, f32) {
        let prompts = models.prompts(&story.prompt, PromptOptions::default()).expect("a prompt");
        let prefilled = Prefilled::new(&models.models, &prompts).expect("reads the prompt");
        let mut search =
            Search::new(&models.models, &prefilled, arm, settings).expect("valid settings");
        while !search.is_done() {
            search.step().expect("a step");
        }
        let text = search.finish().expect("a trace").text;
        let score = models.gold_reward(&story.prompt, &text).expect("a judge");
        (text, score)
    }

    #[test]
    fn the_stories_of_the_bundled_models_turn_out_as_told() {
        let source = PackSource::Bundled("imdb".into());
        let models = Pack::load(&source, DeviceChoice::Cpu, &mut |_, _| {}).expect("the pack");
        let info = PackInfo {
            stories: models.manifest.stories.clone(),
            defaults: models.defaults(),
            ..pack(true, true)
        };
        let stops = stops(&info);
        assert_eq!(stops.len(), 9, "three stories of three steps");
        for stop in stops {
            let Stop::Step { story, step, .. } = stop else { panic!("not a story") };
            let settings = step.settings(&info, story.seed);
            let (base, unguided) = written(&models, &story, Arm::Base, &settings);
            let (text, guided) = written(&models, &story, Arm::Ivg, &settings);
            assert!(unguided < 1.0, "sour or mixed: {unguided} {base}");
            match step {
                Step::Unguided => assert_eq!(text, base),
                Step::Towards => assert!(guided > 8.0, "glows: {guided} {text}"),
                Step::Away => assert!(guided < -4.0, "sour: {guided} {text}"),
            }
        }
    }
}
