//! What a pull cannot do without, one after the other on one processor: `floor SCRATCH BLOB...` undoes
//! the compression of each layer, hashes it in both forms, and makes its files below SCRATCH. What a
//! pull takes on two processors is to be compared with half of the sum.

use dhow_archive::{DecodeLimits, Decoder, Limits, Unpack, Whiteouts};
use dhow_base::{Digest, Doing, Result};
use std::{
    fs,
    io::Read,
    os::fd::AsFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

#[derive(Default)]
struct Floor {
    inflate: Duration,
    hash: Duration,
    files: Duration,
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "an example says what came of it")]
fn main() -> std::process::ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let Some((scratch, blobs)) = arguments.split_first() else {
        eprintln!("usage: floor SCRATCH BLOB...");
        return 2.into();
    };
    let mut floor = Floor::default();
    for (number, blob) in blobs.iter().enumerate() {
        if let Err(error) = floor.add(&scratch.join(number.to_string()), blob) {
            eprintln!("{}", error.one_line());
            return 1.into();
        }
    }
    let Floor { inflate, hash, files } = floor;
    println!("inflate {inflate:.2?}, hash {hash:.2?}, files {files:.2?}, sum {:.2?}", {
        inflate + hash + files
    });
    0.into()
}

impl Floor {
    fn add(&mut self, target: &Path, blob: &Path) -> Result<()> {
        let doing = || format!("unpack {}", blob.display());
        let bytes = fs::read(blob).doing(doing)?;
        // Once to have it all, and once for the time, without the memory that it takes.
        let mut tar = Vec::new();
        Decoder::detect(&bytes[..], DecodeLimits::default())?.read_to_end(&mut tar).doing(doing)?;
        let begin = Instant::now();
        let mut decoder = Decoder::detect(&bytes[..], DecodeLimits::default())?;
        let mut buffer = vec![0; 128 << 10];
        while decoder.read(&mut buffer).doing(doing)? > 0 {}
        self.inflate += begin.elapsed();

        let begin = Instant::now();
        let _digests = (Digest::of(&bytes), Digest::of(&tar));
        self.hash += begin.elapsed();

        fs::create_dir_all(target).doing(doing)?;
        let directory = fs::File::open(target).doing(doing)?;
        let begin = Instant::now();
        Unpack::new(directory.as_fd(), Whiteouts::Overlay, Limits::default())
            .apply(&mut &tar[..])?;
        self.files += begin.elapsed();
        Ok(())
    }
}
