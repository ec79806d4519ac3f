//! Renders a figure as PNG.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use super::kind::FigureSize;

const FONT: &[u8] = include_bytes!("../../../../assets/fonts/Inter.ttf");

/// The embedded font alone, so that the picture is the same on every machine.
static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("Inter");
    Arc::new(fonts)
});

impl FigureSize {
    /// Pixels per unit of the drawing, and pixels per metre on paper.
    fn resolution(self) -> (f64, Option<u32>) {
        match self {
            // 300 dots per inch; a unit is 0.1 mm.
            FigureSize::Paper => (300.0 / 254.0, Some((300.0f64 / 0.0254).round() as u32)),
            FigureSize::Slide => (1.0, None),
        }
    }
}

/// Renders an SVG of this size.
pub(super) fn png(svg: &str, size: FigureSize) -> Result<Vec<u8>, String> {
    let options =
        Options { fontdb: FONTS.clone(), font_family: "Inter".into(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|e| e.to_string())?;
    let ([width, height, _], (scale, pixels_per_metre)) = (size.units(), size.resolution());
    let [width, height] = [width, height].map(|v| (v * scale).round() as u32);
    let mut pixels = Pixmap::new(width, height).ok_or("the picture has no pixels")?;
    let [x, y] = [(width, tree.size().width()), (height, tree.size().height())]
        .map(|(pixels, units)| pixels as f32 / units);
    resvg::render(&tree, Transform::from_scale(x, y), &mut pixels.as_mut());
    // The background is opaque, so alpha is 1 everywhere.
    let rgb: Vec<u8> = pixels.data().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    encode(&rgb, [width, height], pixels_per_metre).map_err(|e| e.to_string())
}

fn encode(
    rgb: &[u8],
    [width, height]: [u32; 2],
    pixels_per_metre: Option<u32>,
) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_pixel_dims(pixels_per_metre.map(|density| png::PixelDimensions {
        xppu: density,
        yppu: density,
        unit: png::Unit::Meter,
    }));
    encoder.write_header()?.write_image_data(rgb)?;
    Ok(file)
}
