//! `ivg-playground bench`: a table, or JSON.

use std::path::PathBuf;

use ivg_playground::lab::bench::{BenchReport, bench};
use ivg_playground::packs::Pack;
use ivg_playground::words::counted;

/// How to measure.
#[derive(clap::Args)]
pub struct Args {
    /// Repetitions of each measurement; medians are reported
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    repetitions: u16,
    /// Write the report as JSON to this file; `-` is standard output, instead of the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Loads the pack, measures, prints.
pub fn run(args: &Args, pack: &Pack) -> anyhow::Result<()> {
    super::check_writable(args.json.as_deref())?;
    let report = bench(pack, args.repetitions.into())?;
    let json = serde_json::to_string_pretty(&report)?;
    super::deliver(&json, args.json.as_deref(), || print(&report))?;
    Ok(())
}

fn print(r: &BenchReport) {
    let runs = counted(r.repetitions, "run");
    say!("pack {}, {}, medians of {runs}\n", r.pack, r.device);
    say!("{:<28}{:>12}", "", "tokens/s");
    say!("{:<28}{:>12.0}", "prefill, 128 tokens", r.prefill_tokens_per_second);
    for d in &r.decode {
        let rows = format!("decode, {}", counted(d.rows, "row"));
        say!("{rows:<28}{:>12.0}", d.tokens_per_second);
    }
    let ivg = format!("IVG, {}, {} tokens", counted(r.ivg.rows, "row"), r.ivg.max_tokens);
    say!("{ivg:<28}{:>12.0}   {:.2} s a run", r.ivg.tokens_per_second, r.ivg.seconds);
    say!("\n16 rows give {:.1} times the tokens/s of one", r.batch_gain);
}
