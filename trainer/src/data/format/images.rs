//! A folder of pictures, `.png`, a folder a class.

use zune_png::PngDecoder;
use zune_png::zune_core::bytestream::ZCursor;
use zune_png::zune_core::options::DecoderOptions;

use super::labelled::labelled;
use super::{Format, Item, Sink, Source, named};
use crate::data::Part;
use crate::data::files::Files;
use crate::{Error, Result};

/// Larger pictures than any network here reads.
const MAX_SIDE: usize = 4096;

/// One picture a sample.
#[derive(Debug)]
pub(super) struct Images;

impl Format for Images {
    fn name(&self) -> &'static str {
        "images"
    }

    fn about(&self) -> &'static str {
        "a .png picture a sample, all of one size: grey or colour, without alpha"
    }

    fn read(&self, files: &Files, part: Part, source: &Source, sink: &mut Sink<'_>) -> Result<()> {
        for (name, class) in labelled(files, part, source, &[".png"])? {
            let (shape, pixels) = named(files, &name, parse(&files.read(&name)?))?;
            named(files, &name, sink(Item::Picture(shape, &pixels), class))?;
        }
        Ok(())
    }
}

/// Shape and pixels of a picture.
pub(super) fn parse(bytes: &[u8]) -> Result<([usize; 3], Vec<u8>)> {
    let wrong = |error: &dyn std::fmt::Debug| Error::usage(format!("not a sound PNG: {error:?}"));
    let options = DecoderOptions::default()
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .png_set_strip_to_8bit(true)
        .png_set_confirm_crc(true)
        .set_strict_mode(true);
    let mut decoder = PngDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| wrong(&error))?;
    let (width, height) = decoder
        .dimensions()
        .ok_or_else(|| wrong(&"it has no size"))?;
    let pixels = decoder.decode().map_err(|error| wrong(&error))?;
    let pixels = pixels
        .u8()
        .ok_or_else(|| wrong(&"its samples have no 8 bits"))?;
    let points = width * height;
    if points == 0 || !pixels.len().is_multiple_of(points) {
        return Err(wrong(&"its pixels do not fill its size"));
    }
    let channels = pixels.len() / points;
    if channels != 1 && channels != 3 {
        return Err(Error::usage(format!(
            "it has {channels} channels; grey (1) and colour (3) are read, transparency is not"
        )));
    }
    Ok(([height, width, channels], pixels))
}
