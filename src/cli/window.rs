//! `ivg-playground` without a subcommand: opens the window.

use std::path::PathBuf;

use clap::ValueEnum;
use ivg_playground::app;
use ivg_playground::app::Options;
use ivg_playground::app::state::preferences;
use ivg_playground::packs::hub::Hub;
use ivg_playground::packs::{DeviceChoice, PackSource};
use ivg_playground::worker;

#[derive(clap::Args)]
pub struct Args {
    /// Prompt to start with
    #[arg(long)]
    prompt: Option<String>,
    /// Generate as soon as the models are loaded
    #[arg(long)]
    generate: bool,
    /// Save a screenshot after the run, or after loading without --generate, and close the window
    #[arg(long, value_name = "FILE")]
    screenshot: Option<PathBuf>,
    /// Start in presentation mode (F11): only the texts and the plot, enlarged
    #[arg(long)]
    present: bool,
    /// Theme of the window [default: the last choice]
    #[arg(long, value_enum)]
    theme: Option<Theme>,
    /// Content of the panel below the texts [default: the last choice]
    #[arg(long, value_enum)]
    lower: Option<Lower>,
    /// Size of the window in points, such as 1280x720
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<[f32; 2]>,
    /// Graphics interface that draws the window
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
    /// The value of each chunk
    Values,
    /// The search as a tree
    Tree,
    /// One setting at several values: reward against KL
    #[value(alias = "strength")]
    Sweep,
}

#[cfg(feature = "wgpu")]
#[derive(Clone, Copy, ValueEnum)]
enum Renderer {
    /// OpenGL
    Glow,
    /// Vulkan, Metal, Direct3D or OpenGL, whichever is available
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

/// Opens the window and returns when it is closed.
pub fn run(args: Args, pack: PackSource, device: Option<DeviceChoice>) -> anyhow::Result<()> {
    // The list of packs is stored, so a relative path would break in another working directory.
    let pack = match pack {
        PackSource::Folder(folder) => PackSource::Folder(std::path::absolute(folder)?),
        bundled => bundled,
    };
    let is_screenshot = args.screenshot.is_some();
    let is_bundled = pack == PackSource::default();
    let hub = Hub::from_env();
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
            Lower::Values => preferences::LowerTab::Values,
            Lower::Tree => preferences::LowerTab::Tree,
            Lower::Sweep => preferences::LowerTab::Sweep,
        }),
        size: args.size,
        settings: None,
        device,
        hub: hub.clone(),
        // A screenshot must not wait for the user to confirm a download.
        look_first: !is_bundled && !is_screenshot,
        large_download_bytes: app::LARGE_DOWNLOAD_BYTES,
        // A screenshot shows only the requested content and is not added to the history.
        folder: if is_screenshot { None } else { app::history_folder() },
        example: is_bundled && !is_screenshot,
        pick_path: app::native_file_dialog,
        pack,
    };
    Ok(app::run(options, |wake| worker::spawn(hub, wake))?)
}
