//! QR codes, as SVG for pages and as PNG for e-mails.

use domain::error::Error;
use qrcode::render::svg;
use qrcode::{Color, QrCode};

/// Light modules around the code, as ISO/IEC 18004 requires.
const QUIET_ZONE: usize = 4;
/// Pixels per module in a PNG.
const SCALE: usize = 8;

fn code(text: &str) -> Result<QrCode, Error> {
    QrCode::new(text).map_err(|e| Error::internal("drawing a QR code", e))
}

/// A QR code as an SVG element for embedding in a page.
pub(crate) fn svg(text: &str) -> Result<String, Error> {
    let drawn = code(text)?.render::<svg::Color<'_>>().min_dimensions(240, 240).quiet_zone(true).build();
    // Embedded SVG must not have the XML declaration.
    Ok(drawn.find("<svg").map_or(drawn.clone(), |at| drawn[at..].to_owned()))
}

/// A QR code as PNG, black on white.
pub(crate) fn png(text: &str) -> Result<Vec<u8>, Error> {
    let code = code(text)?;
    let (modules, width) = (code.to_colors(), code.width());
    let side = (width + 2 * QUIET_ZONE) * SCALE;
    let dark = |x: usize, y: usize| {
        let (x, y) = ((x / SCALE).checked_sub(QUIET_ZONE), (y / SCALE).checked_sub(QUIET_ZONE));
        matches!((x, y), (Some(x), Some(y)) if x < width && y < width && modules[y * width + x] == Color::Dark)
    };
    let pixels: Vec<u8> = (0..side * side).map(|at| if dark(at % side, at / side) { 0 } else { 255 }).collect();
    encode(&pixels, side).map_err(|e| Error::internal("writing a PNG", e))
}

fn encode(pixels: &[u8], side: usize) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let side = u32::try_from(side).unwrap_or(u32::MAX);
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}
