//! The responses of a sweep as a table for spreadsheets.

use std::fmt::Write;

use super::{Sample, SweepAxis, SweepResults};

const HEADER: &str = "setting,value,seed,gold_reward,value_v,kl_tokens_nats,\
                      kl_selection_bound_nats,kl_upper_bound_nats,tokens,base_perplexity,\
                      elapsed_ms,text";

impl SweepResults {
    /// Returns all responses as CSV: a header, then one row per response, in the order of the
    /// curves. A missing number is an empty field, infinity is `inf`.
    pub fn to_csv(&self) -> String {
        let mut table = format!("{HEADER}\n");
        let points = self.curves.iter().flat_map(|curve| &curve.points);
        for sample in points.flat_map(|point| &point.samples) {
            table.push_str(&row(sample));
        }
        table
    }
}

fn row(sample: &Sample) -> String {
    let setting = match sample.axis {
        SweepAxis::Beta => "beta",
        SweepAxis::Lambda => "lambda",
        SweepAxis::ChunkTokens => "chunk_tokens",
    };
    let optional = |number: Option<f32>| number.map_or(String::new(), |v| v.to_string());
    let Sample { seed, kl_nats, kl_selection_bound_nats, tokens, elapsed_ms, .. } = sample;
    let mut row = format!("{setting},{},{seed},", sample.setting);
    let [gold, value] = [sample.gold_reward, sample.value].map(optional);
    let bound = sample.kl_bound_nats();
    let perplexity = optional(sample.base_perplexity);
    let text = sample.text.replace('"', "\"\"");
    // Writing to a string cannot fail.
    let _ = writeln!(
        row,
        "{gold},{value},{kl_nats},{kl_selection_bound_nats},{bound},{tokens},{perplexity},\
         {elapsed_ms},\"{text}\""
    );
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::settings::Settings;
    use crate::lab::sweep::{PackCapabilities, Plan};

    #[test]
    fn every_response_is_a_row_that_can_be_read_back() {
        let can = PackCapabilities { pair: true, value: true, judge: true };
        let plan = Plan::new(can, "A", &Settings::default(), 2).expect("a plan");
        let mut sweep = SweepResults::new(plan);
        let sample = Sample {
            axis: SweepAxis::Lambda,
            setting: f32::INFINITY,
            seed: 7,
            text: " a \"b\",\nc".into(),
            gold_reward: Some(-1.5),
            value: None,
            kl_nats: 0.5,
            kl_selection_bound_nats: 2.0,
            tokens: 3,
            base_perplexity: Some(9.25),
            elapsed_ms: 12.5,
        };
        sweep.add(sample.clone());
        sweep.add(Sample { axis: SweepAxis::Beta, setting: -0.5, ..sample });
        let table = sweep.to_csv();
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let header = reader.headers().expect("a header").clone();
        let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.expect("a row")).collect();
        let field = |row: usize, name: &str| {
            let at = header.iter().position(|h| h == name).expect("a column");
            rows[row][at].to_owned()
        };
        assert_eq!(rows.len(), 2);
        assert_eq!([field(0, "setting"), field(0, "value")], ["beta", "-0.5"]);
        assert_eq!([field(1, "setting"), field(1, "value")], ["lambda", "inf"]);
        assert_eq!([field(1, "gold_reward"), field(1, "value_v")], ["-1.5", ""]);
        assert_eq!(field(1, "kl_upper_bound_nats"), "2.5");
        assert_eq!(field(1, "text"), " a \"b\",\nc");
    }
}
