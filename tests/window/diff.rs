//! Marking the words that differ from the first column.

use eframe::egui::epaint::{Galley, TextShape};
use eframe::egui::text::{CCursor, LayoutSection};
use eframe::egui::{Pos2, vec2};
use ivg_playground::app::state::coloring::Coloring;

use crate::harness::Bench;

const BOTH: &str = "This movie was a dull bright film.";

fn compared() -> Bench {
    let mut bench = Bench::ready();
    bench.finish(&[" a dull film.", " a bright film."]);
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
fn removed_words_are_struck_through_and_added_words_are_bold() {
    let mut bench = compared();
    assert!(bench.shows("This movie was a dull film."), "the first column is unchanged");
    assert!(bench.shows(BOTH));
    let page = page(&bench, BOTH);
    let (common, struck, new) =
        (format(&page, "film"), format(&page, "dull"), format(&page, "bright"));
    assert!(struck.strikethrough.width > 0.0);
    assert!(common.strikethrough.width == 0.0 && new.strikethrough.width == 0.0);
    assert_ne!(new.font_id, common.font_id, "bold");
    assert_ne!(new.background, common.background, "tinted");
    bench.click("Colour tokens by: Plain");
    assert!(bench.shows("This movie was a bright film.") && !bench.shows(BOTH));
}

#[test]
fn tooltips_name_the_right_token_next_to_removed_words() {
    let mut bench = compared();
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
