//! Writes one text unguided and guided, with the bundled pack:
//!
//! ```console
//! cargo run --release --example guide_text -- "This film"
//! ```

use ivg_playground::guidance::settings::Arm;
use ivg_playground::guidance::{Prefilled, Search};
use ivg_playground::packs::{DeviceChoice, Pack, PackSource, PromptOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prompt = std::env::args().nth(1).unwrap_or_else(|| "This film".to_owned());
    let pack = Pack::load(&PackSource::default(), DeviceChoice::Auto, &mut |_, _| {})?;
    // Every model reads the prompt once; all searches share that work.
    let prompts = pack.prompts(&prompt, PromptOptions::default())?;
    let prefilled = Prefilled::new(&pack.models, &prompts)?;
    for arm in [Arm::Base, Arm::Ivg] {
        let mut search = Search::new(&pack.models, &prefilled, arm, &pack.defaults())?;
        while !search.is_done() {
            // A step draws one token for every row, and selects beams at the end of a chunk.
            search.step()?;
        }
        let trace = search.finish()?;
        println!("{arm}: {prompt}{}", trace.text);
        println!("    value {:?}, KL {:.2} nats\n", trace.value, trace.kl_nats());
    }
    Ok(())
}
