//! How much a normalizer may make of a text.

use serde_json::Value;

/// Bytes that one byte of a text may become: SentencePiece's normalizers write three for a space.
const MOST: f64 = 64.0;

/// Refuses a normalizer that could make gigabytes of a page.
///
/// # Errors
/// What it would do, in words.
pub(super) fn check(normalizer: &Value) -> Result<(), String> {
    let grown = growth(normalizer)?;
    if grown <= MOST {
        return Ok(());
    }
    Err(format!("its normalizer could make {grown:.0} bytes of each byte of a text"))
}

/// Bytes that one byte may become in the normalizer, and in those that it is made of.
fn growth(normalizer: &Value) -> Result<f64, String> {
    let length = |value: &Value| value.as_str().map_or(0, str::len) as f64;
    match normalizer["type"].as_str() {
        Some("Sequence") => {
            let parts = normalizer["normalizers"].as_array().map(Vec::as_slice).unwrap_or_default();
            parts.iter().try_fold(1.0, |grown, part| Ok(grown * growth(part)?))
        }
        // A text of one byte is the one that grows most.
        Some("Prepend") => Ok(1.0 + length(&normalizer["prepend"])),
        Some("Replace") => {
            let content = length(&normalizer["content"]);
            match &normalizer["pattern"] {
                pattern if pattern["String"] == "" || pattern["Regex"] == "" => {
                    Err("its normalizer replaces a text that is empty".into())
                }
                pattern if pattern["String"].is_string() => {
                    Ok((content / length(&pattern["String"])).max(1.0))
                }
                // It may match between any two bytes.
                _ => Ok(1.0 + content),
            }
        }
        // A table of texts as long as the file.
        Some("Precompiled") => {
            Err("its normalizer is a compiled table, which is not supported".into())
        }
        _ => Ok(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn replace(pattern: &str, content: &str) -> Value {
        json!({"type": "Replace", "pattern": {"String": pattern}, "content": content})
    }

    #[test]
    fn real_normalizers_grow_a_little() {
        let sentencepiece = json!({"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁"), {"type": "NFKC"},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ]});
        for fine in [json!(null), json!({"type": "NFC"}), replace(" ", "▁"), sentencepiece] {
            assert_eq!(check(&fine), Ok(()), "{fine}");
        }
    }

    #[test]
    fn one_that_makes_gigabytes_is_refused() {
        let tenfold = vec![replace("a", "aaaaaaaaaa"); 10];
        for bad in [
            json!({"type": "Sequence", "normalizers": tenfold}),
            json!({"type": "Prepend", "prepend": "x".repeat(5_000_000)}),
            json!({"type": "Replace", "pattern": {"Regex": "(?=.)"}, "content": "x".repeat(100)}),
            replace("", "a"),
            json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        ] {
            assert!(check(&bad).is_err_and(|problem| problem.contains("normalizer")), "{bad}");
        }
    }
}
