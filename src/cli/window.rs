//! `ivg-playground` without a subcommand: the window.

use std::path::PathBuf;

use clap::ValueEnum;
use ivg_playground::app::{self, Options, preferences};
use ivg_playground::packs::{DeviceChoice, PackSource};
use ivg_playground::worker;

/// How the window opens.
#[derive(clap::Args)]
pub struct Args {
    /// Prompt to start with
    #[arg(long)]
    prompt: Option<String>,
    /// Generate as soon as the models are loaded
    #[arg(long)]
    generate: bool,
    /// Save a picture of the window once the run is done (or the models are loaded), then close
    #[arg(long, value_name = "FILE")]
    screenshot: Option<PathBuf>,
    /// Open for an audience: the texts and the plot alone, large (F11)
    #[arg(long)]
    present: bool,
    /// Light or dark, whatever was chosen before
    #[arg(long, value_enum)]
    theme: Option<Theme>,
    /// What the panel below the texts shows
    #[arg(long, value_enum)]
    lower: Option<Lower>,
    /// Size of the window in points
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<[f32; 2]>,
    /// What draws the window
    #[cfg(feature = "wgpu")]
    #[arg(long, value_enum, default_value_t = Renderer::Glow)]
    renderer: Renderer,
}

#[derive(Clone, Copy, ValueEnum)]
enum Theme {
    Light,
    Dark,
}

#[derive(Clone, Copy, ValueEnum)]
enum Lower {
    /// The value of every chunk
    Values,
    /// The search as a tree
    Tree,
    /// What each strength buys and costs
    Strength,
}

#[cfg(feature = "wgpu")]
#[derive(Clone, Copy, ValueEnum)]
enum Renderer {
    /// OpenGL
    Glow,
    /// Vulkan, Metal, Direct3D or OpenGL, whichever there is
    Wgpu,
}

impl Args {
    #[cfg(not(feature = "wgpu"))]
    fn renderer(&self) -> app::Renderer {
        app::Renderer::default()
    }

    #[cfg(feature = "wgpu")]
    fn renderer(&self) -> app::Renderer {
        match self.renderer {
            Renderer::Glow => app::Renderer::Glow,
            Renderer::Wgpu => app::Renderer::Wgpu,
        }
    }
}

fn size(text: &str) -> Result<[f32; 2], String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some([w.parse().ok()?, h.parse().ok()?]));
    sides
        .filter(|s| s.iter().all(|v: &f32| (100.0..10_000.0).contains(v)))
        .ok_or_else(|| "write width x height in points, such as 1280x720".to_owned())
}

/// Opens the window and stays until it is closed.
pub fn run(args: Args, pack: PackSource, device: Option<DeviceChoice>) -> anyhow::Result<()> {
    // The list of packs outlives the folder that the program was started from.
    let pack = match pack {
        PackSource::Folder(folder) => PackSource::Folder(std::path::absolute(folder)?),
        bundled => bundled,
    };
    let is_picture = args.screenshot.is_some();
    let is_bundled = pack == PackSource::default();
    let options = Options {
        renderer: args.renderer(),
        prompt: args.prompt,
        generate: args.generate,
        screenshot: args.screenshot,
        present: args.present,
        theme: args.theme.map(|t| match t {
            Theme::Light => app::Theme::Light,
            Theme::Dark => app::Theme::Dark,
        }),
        lower: args.lower.map(|l| match l {
            Lower::Values => preferences::Lower::Values,
            Lower::Tree => preferences::Lower::Tree,
            Lower::Strength => preferences::Lower::Strength,
        }),
        size: args.size,
        settings: None,
        device,
        hub: None,
        // A picture waits for nobody's answer.
        look_first: !is_bundled && !is_picture,
        large_download_bytes: app::LARGE_DOWNLOAD_BYTES,
        // A picture shows what was asked for, and leaves no trace of itself.
        folder: if is_picture { None } else { app::history_folder() },
        example: is_bundled && !is_picture,
        pack,
    };
    Ok(app::run(options, worker::spawn)?)
}
