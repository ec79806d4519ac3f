//! Marking the words that differ from the first column.

use eframe::egui::epaint::{Galley, TextShape};
use eframe::egui::text::{CCursor, LayoutSection};
use eframe::egui::{Pos2, vec2};
use ivg_playground::app::state::coloring::Coloring;

use crate::harness::Bench;

const SHOW_REMOVED: &str = "Show removed words";
const BOTH: &str = "This movie was a dull bright film.";

fn compared() -> Bench {
    let mut bench = Bench::ready();
    bench.finish(&[" a dull film.", " a bright film."]);
    assert!(!bench.shows(SHOW_REMOVED));
    bench.click("Colour tokens by: Changes");
    assert_eq!(bench.window.state().preferences().coloring, Coloring::Changes);
    bench
}

/// Returns a drawn text.
fn page(bench: &Bench, words: &str) -> TextShape {
    bench.drawn().into_iter().find(|text| text.galley.text() == words).expect("a text")
}

/// Returns the position of the first letter of `word`.
fn letter(page: &TextShape, word: &str) -> Pos2 {
    let galley: &Galley = &page.galley;
    let byte = galley.text().find(word).expect("the word");
    let before = galley.text()[..byte].chars().count();
    let at = galley.pos_from_cursor(CCursor::new(before));
    page.pos + at.left_center().to_vec2() + vec2(3.0, 0.0)
}

/// Returns the format of a word.
fn format<'a>(page: &'a TextShape, word: &str) -> &'a eframe::egui::TextFormat {
    let job = &page.galley.job;
    let byte = job.text.find(word).expect("the word");
    let ends_behind = |s: &&LayoutSection| s.byte_range.end.0 > byte;
    &job.sections.iter().find(ends_behind).expect("a format").format
}

#[test]
fn the_fork_is_underlined_and_new_words_are_tinted() {
    let mut bench = Bench::ready();
    let new = "This movie was a bright and good film.";
    bench.finish(&[" a dull film.", " a bright and good film."]);
    bench.click("Colour tokens by: Changes");
    let page = page(&bench, new);
    let (common, fork, added) =
        (format(&page, "film"), format(&page, "bright"), format(&page, "good"));
    assert!(fork.underline.width > 0.0, "the fork is visible without its colour");
    assert!(common.underline.width == 0.0 && added.underline.width == 0.0);
    assert_ne!(added.background, common.background, "tinted");
    assert_ne!(fork.background, added.background, "a stronger tint");
    assert_eq!(added.font_id, common.font_id);
}

#[test]
fn texts_with_few_common_words_only_have_a_fork() {
    let mut bench = Bench::ready();
    bench.finish(&[" a b c d e f", " a u v w x y"]);
    bench.click("Colour tokens by: Changes");
    bench.click(SHOW_REMOVED);
    let page = page(&bench, "This movie was a u v w x y");
    let (fork, plain) = (format(&page, "u v"), format(&page, "w x"));
    assert!(fork.underline.width > 0.0 && plain.underline.width == 0.0);
    assert_eq!(plain.background, eframe::egui::Color32::TRANSPARENT);
}

#[test]
fn removed_words_are_struck_through_on_request() {
    let mut bench = compared();
    assert!(bench.shows("This movie was a bright film.") && !bench.shows(BOTH));
    bench.click(SHOW_REMOVED);
    assert!(bench.window.state().preferences().show_removed_words, "the choice is stored");
    assert!(bench.shows("This movie was a dull film."), "the first column is unchanged");
    assert!(bench.shows(BOTH));
    let page = page(&bench, BOTH);
    let (common, struck, new) =
        (format(&page, "film"), format(&page, "dull"), format(&page, "bright"));
    assert!(struck.strikethrough.width > 0.0);
    assert!(common.strikethrough.width == 0.0 && new.strikethrough.width == 0.0);
    // In the narrowest window the choice is on a line of its own.
    bench.window.set_size(vec2(1024.0, 640.0));
    bench.window.run();
    bench.click(SHOW_REMOVED);
    assert!(!bench.shows(BOTH));
    bench.click("Colour tokens by: Plain");
    assert!(bench.shows("This movie was a bright film.") && !bench.shows(BOTH));
}

#[test]
fn tooltips_name_the_right_token_next_to_removed_words() {
    let mut bench = compared();
    bench.click(SHOW_REMOVED);
    let page = page(&bench, BOTH);
    bench.hover(letter(&page, "film"));
    assert!(bench.shows("token 3"), "a word of the response after a removed word");
    bench.hover(letter(&page, "bright"));
    assert!(bench.shows("token 2"));
    bench.hover(letter(&page, "dull"));
    for id in 0..4 {
        assert!(!bench.shows(&format!("token {id}")), "the word is not in this response");
    }
}

#[test]
fn columns_are_compared_with_the_new_first_column() {
    let mut bench = compared();
    bench.click("Column 1: Unguided");
    bench.click("Remove this column");
    assert!(bench.shows("This movie was a bright film."));
}
