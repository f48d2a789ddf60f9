//! A root of its own for each test, and a layout to pull from.

use dhow_base::{Error, Result};
use dhow_image::{Depth, Image, Images, PullOptions, Registries, Silent};
use dhow_snapshot::Driver;
use dhow_state::State;
use dhow_testkit::{
    image::{self, Compression, Layer, Layout},
    tarball::{Entry, Tarball, What},
};
use std::path::{Path, PathBuf};

pub(crate) struct Room {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) state: State,
    pub(crate) images: Images,
    pub(crate) layout: Layout,
}

impl Room {
    /// A root with the driver that the file system allows.
    pub(crate) fn new() -> Self {
        Self::below(tempfile::tempdir().unwrap())
    }

    /// A root with this driver.
    pub(crate) fn with(driver: Driver) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let snapshots = directory.path().join("root/snapshots");
        std::fs::create_dir_all(&snapshots).unwrap();
        std::fs::write(snapshots.join("driver"), driver.word()).unwrap();
        Self::below(directory)
    }

    fn below(directory: tempfile::TempDir) -> Self {
        let layout = Layout::new(&directory.path().join("layout")).unwrap();
        let (state, images) = open(directory.path());
        Self { directory, state, images, layout }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    pub(crate) fn runroot(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    pub(crate) fn pull(&mut self, source: &str) -> Result<Image> {
        self.images.pull(&mut self.state, source, &PullOptions::default(), &Silent)
    }

    /// Makes an image of layers in the layout, and pulls it.
    pub(crate) fn pull_of(&mut self, layers: Vec<Layer>, tag: &str) -> Result<Image> {
        self.layout.tag_image(&image::Image::new(layers), tag).unwrap();
        self.pull(&self.layout.reference(tag))
    }

    pub(crate) fn layer(&self, files: &[(&str, &str)]) -> Layer {
        self.layer_in(files, Compression::Gzip)
    }

    pub(crate) fn layer_in(&self, files: &[(&str, &str)], compression: Compression) -> Layer {
        self.layout.layer_of_tar(&tar(files), compression).unwrap()
    }

    /// Fails the test unless rows and disk agree.
    pub(crate) fn assert_healthy(&self) {
        let findings = self.images.doctor(&self.state, Depth::Content).unwrap();
        assert!(findings.is_empty(), "{findings:#?}");
    }

    /// Fails the test unless nothing at all is stored.
    pub(crate) fn assert_empty(&self) {
        self.assert_healthy();
        assert_eq!(self.images.store().list().unwrap(), []);
        assert_eq!(self.snapshots(), 0);
        assert!(dhow_state::images::unfinished(self.state.read()).unwrap().is_empty());
    }

    pub(crate) fn snapshots(&self) -> usize {
        dhow_snapshot::list(&self.root().join("snapshots")).unwrap().len()
    }

    pub(crate) fn blobs(&self) -> usize {
        self.images.store().list().unwrap().len()
    }

    /// What the snapshots of the image hold, united as simply as can be: the uppermost wins.
    pub(crate) fn content(&self, image: &Image, path: &str) -> Option<String> {
        directories(image)
            .iter()
            .find_map(|directory| std::fs::read_to_string(directory.join(path)).ok())
    }
}

/// The directories of an image's view, the uppermost first.
pub(crate) fn directories(image: &Image) -> Vec<PathBuf> {
    match image.view().unwrap() {
        dhow_spec::Mount::Bind { source, .. } | dhow_spec::Mount::Attached { at: source } => {
            vec![source]
        }
        dhow_spec::Mount::Overlay { lower, .. } => lower,
    }
}

/// The root below this directory, as one process has it.
pub(crate) fn open(directory: &Path) -> (State, Images) {
    let root = directory.join("root");
    let images = Images::open(&root, &directory.join("run"), Registries::default()).unwrap();
    (State::open(&root).unwrap(), images)
}

/// An archive with its root listed, so that it fits into any chain.
pub(crate) fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tarball = Tarball::in_memory();
    tarball.put(&Entry::new("./", What::Directory), b"").unwrap();
    for (name, content) in files {
        tarball.file(name, content.as_bytes()).unwrap();
    }
    tarball.finish().unwrap()
}

/// The whole chain of an error, for those who look for words in it.
pub(crate) fn told(error: &Error) -> String {
    error.one_line()
}
