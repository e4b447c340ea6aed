//! Compresses the published description, which the program carries and seldom shows.

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;

const DESCRIPTION: &str = "../infra/openapi/openapi.json";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={DESCRIPTION}");
    #[expect(clippy::disallowed_methods, reason = "cargo gives a build script its folder so")]
    let folder = PathBuf::from(env::var("OUT_DIR")?);
    let mut compressed = GzEncoder::new(File::create(folder.join("openapi.json.gz"))?, Compression::best());
    compressed.write_all(&fs::read(DESCRIPTION)?)?;
    compressed.finish()?;
    Ok(())
}
