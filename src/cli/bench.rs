//! `ivg-playground bench`: measures speeds and prints a table or JSON.

use std::path::PathBuf;

use ivg_playground::format::counted;
use ivg_playground::lab::bench::{BenchReport, bench};
use ivg_playground::packs::Pack;

#[derive(clap::Args)]
pub struct Args {
    /// Repetitions of each measurement, whose median is reported
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    repetitions: u16,
    /// Also write the results as JSON to this file; `-` prints the JSON instead of the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub fn run(args: &Args, pack: &Pack) -> anyhow::Result<()> {
    super::output::check_writable(args.json.as_deref())?;
    let report = bench(pack, args.repetitions.into())?;
    let json = serde_json::to_string_pretty(&report)?;
    super::output::write_result(&json, args.json.as_deref(), || print(&report))?;
    Ok(())
}

fn print(r: &BenchReport) {
    let runs = counted(r.repetitions, "run");
    outln!("pack {}, {}, medians of {runs}\n", r.pack, r.device);
    outln!("{:<28}{:>12}", "", "tokens/s");
    outln!("{:<28}{:>12.0}", "prefill, 128 tokens", r.prefill_tokens_per_second);
    for d in &r.decode {
        let rows = format!("decode, {}", counted(d.rows, "row"));
        outln!("{rows:<28}{:>12.0}", d.tokens_per_second);
    }
    let ivg = format!("IVG, {}, {} tokens", counted(r.ivg.rows, "row"), r.ivg.max_tokens);
    outln!("{ivg:<28}{:>12.0}   {:.2} s a run", r.ivg.tokens_per_second, r.ivg.seconds);
    outln!("\n16 rows: {:.1} times the tokens/s of 1 row", r.batch_gain);
}
