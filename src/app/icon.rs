//! The window's icon.

use std::io::Cursor;

use eframe::egui::IconData;

const PNG: &[u8] = include_bytes!("../../assets/desktop/ivg-playground.png");

/// Decodes the icon.
///
/// # Errors
/// Fails if the image file is damaged, which a test rules out.
pub(super) fn icon() -> Result<IconData, png::DecodingError> {
    let mut reader = png::Decoder::new(Cursor::new(PNG)).read_info()?;
    let (width, height) = (reader.info().width, reader.info().height);
    // RGBA, 8 bits each.
    let mut rgba = vec![0; width as usize * height as usize * 4];
    reader.next_frame(&mut rgba)?;
    Ok(IconData { rgba, width, height })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_icon_is_a_rounded_square_with_both_lines() {
        let icon = icon().expect("an icon");
        let at = |x: u32, y: u32| &icon.rgba[((y * icon.width + x) * 4) as usize..][..4];
        assert_eq!((icon.width, icon.height), (256, 256));
        assert_eq!(at(0, 0)[3], 0);
        assert_eq!(at(128, 24), [0x17, 0x24, 0x4d, 255]);
        assert_eq!(at(204, 60), [0x8a, 0xae, 0xff, 255]);
        assert_eq!(at(204, 200), [0xf4, 0xa8, 0x5e, 255]);
    }
}
