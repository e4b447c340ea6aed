//! Reads QR codes, by a decoder that is independent of the encoder.

use std::io::Cursor;

/// The text of the only QR code in a PNG.
#[must_use]
pub fn read_png(bytes: &[u8]) -> String {
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().expect("the bytes are a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("the picture fits into memory")];
    let frame = reader.next_frame(&mut pixels).expect("the PNG is complete");
    assert_eq!((frame.color_type, frame.bit_depth), (png::ColorType::Grayscale, png::BitDepth::Eight));
    let (width, height) = (frame.width as usize, frame.height as usize);
    decode(width, height, |x, y| pixels[y * frame.line_size + x])
}

/// The text of the only QR code in an SVG of black rectangles on white. Text around the SVG is ignored.
#[must_use]
pub fn read_svg(text: &str) -> String {
    let (_, svg) = text.split_once("<svg").expect("the text contains an `<svg`");
    let (svg, _) = svg.split_once("</svg>").expect("the `<svg` has its end tag");
    let number = |name: &str| {
        let (_, rest) = svg.split_once(&format!(" {name}=\"")).expect("the SVG has a width and a height");
        rest.split('"').next().and_then(|number| number.parse::<usize>().ok()).expect("the SVG's size is a number")
    };
    let (width, height) = (number("width"), number("height"));
    let (_, path) = svg.split_once(" d=\"").expect("the SVG has a path");
    let path = path.split('"').next().unwrap_or_default();
    let mut pixels = vec![255_u8; width * height];
    // Each rectangle is `M{x} {y}h{width}v{height}H{x}V{y}`.
    for rectangle in path.split('M').filter(|part| !part.is_empty()) {
        let parts: Vec<usize> = rectangle
            .split(|c: char| !c.is_ascii_digit())
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().expect("a coordinate is a number"))
            .collect();
        let [x, y, w, h, ..] = parts[..] else { panic!("the path segment {rectangle} is not a rectangle") };
        for row in y..y + h {
            pixels[row * width + x..][..w].fill(0);
        }
    }
    decode(width, height, |x, y| pixels[y * width + x])
}

fn decode(width: usize, height: usize, at: impl FnMut(usize, usize) -> u8) -> String {
    let mut picture = rqrr::PreparedImage::prepare_from_greyscale(width, height, at);
    let codes = picture.detect_grids();
    assert_eq!(codes.len(), 1, "number of QR codes in the picture");
    let (_, text) = codes[0].decode().expect("the QR code is readable");
    text
}
