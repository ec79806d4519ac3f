//! Limits how much a normalizer may expand a text.

use serde_json::Value;

/// Maximum bytes that one byte of a text may become. SentencePiece's normalizers write three for a
/// space.
const MAX_EXPANSION: f64 = 64.0;

/// Checks that a normalizer cannot expand a page of text to gigabytes.
///
/// # Errors
/// Returns a description of the problem.
pub(super) fn check(normalizer: &Value) -> Result<(), String> {
    let expansion = max_expansion(normalizer)?;
    if expansion <= MAX_EXPANSION {
        return Ok(());
    }
    Err(format!(
        "its normalizer can expand a byte to {expansion:.0} bytes; the maximum is {MAX_EXPANSION}"
    ))
}

/// Returns the maximum bytes that one byte may become in a normalizer and its parts.
fn max_expansion(normalizer: &Value) -> Result<f64, String> {
    let length = |value: &Value| value.as_str().map_or(0, str::len) as f64;
    match normalizer["type"].as_str() {
        Some("Sequence") => {
            let parts = normalizer["normalizers"].as_array().map(Vec::as_slice).unwrap_or_default();
            parts.iter().try_fold(1.0, |product, part| Ok(product * max_expansion(part)?))
        }
        // The factor is largest for a text of one byte.
        Some("Prepend") => Ok(1.0 + length(&normalizer["prepend"])),
        Some("Replace") => {
            let content = length(&normalizer["content"]);
            match &normalizer["pattern"] {
                pattern if pattern["String"] == "" || pattern["Regex"] == "" => {
                    Err("its normalizer replaces the empty string".into())
                }
                pattern if pattern["String"].is_string() => {
                    Ok((content / length(&pattern["String"])).max(1.0))
                }
                // A regular expression may match between any two bytes.
                _ => Ok(1.0 + content),
            }
        }
        // Its table may hold texts as long as the file.
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
    fn accepts_normalizers_of_real_tokenizers() {
        let sentencepiece = json!({"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁"), {"type": "NFKC"},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ]});
        for valid in [json!(null), json!({"type": "NFC"}), replace(" ", "▁"), sentencepiece] {
            assert_eq!(check(&valid), Ok(()), "{valid}");
        }
    }

    #[test]
    fn rejects_normalizers_that_could_create_gigabytes() {
        let tenfold = vec![replace("a", "aaaaaaaaaa"); 10];
        for invalid in [
            json!({"type": "Sequence", "normalizers": tenfold}),
            json!({"type": "Prepend", "prepend": "x".repeat(5_000_000)}),
            json!({"type": "Replace", "pattern": {"Regex": "(?=.)"}, "content": "x".repeat(100)}),
            replace("", "a"),
            json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        ] {
            let problem = check(&invalid);
            assert!(problem.is_err_and(|p| p.contains("normalizer")), "{invalid}");
        }
    }
}
