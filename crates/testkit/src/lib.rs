//! What tests stand on: registries, root filesystems, images, terminals, and the built `dhow`.
//!
//! Nothing here is in the product. The packers and comparers are written apart from the product's
//! own (no `dhow-spec`, no `dhow-archive`), so that a shared mistake cannot make both sides agree.
//!
//! # What a test looks like
//!
//! ```no_run
//! use dhow_testkit::{Dhow, image::{Compression, Image, Layout}, needs_root, rootfs};
//!
//! fn a_container_prints_its_hostname() {
//!     needs_root!();
//!     let dhow = Dhow::new();
//!     let root = rootfs::busybox().unwrap();
//!     let layout = Layout::new(&dhow.directory().join("layout")).unwrap();
//!     let layer = layout.layer_of(root.path(), Compression::Gzip).unwrap();
//!     layout.tag_image(&Image::new([layer]), "box").unwrap();
//!
//!     dhow.run(&["pull", &layout.reference("box")]).ok();
//!     let outcome = dhow.run(&["run", "--rm", "--hostname", "here", "box", "hostname"]).ok();
//!
//!     assert_eq!(outcome.stdout, "here\n");
//! } // `dhow` drops: containers are removed, and what they leave behind fails the test
//! ```
//!
//! A test says what it needs with [`needs_root!`] and [`needs_tool!`] and skips aloud without it.
//! Set-up functions return a [`dhow_base::Result`] for the test to unwrap; what a test asserts
//! panics with everything that a reader needs.

pub mod canary;
pub mod certificate;
pub mod dhow;
pub mod disk;
pub mod dying_files;
pub mod host_network;
pub mod image;
pub mod mutation;
pub mod need;
pub mod ordinary_user;
pub mod outcome;
pub mod process;
pub mod registry;
pub mod rootfs;
pub mod systemd;
pub mod tarball;
pub mod terminal;
mod token;
pub mod tree;
pub mod user_namespace;

pub use canary::Canary;
pub use dhow::Dhow;
pub use disk::Disk;
pub use dying_files::DyingFiles;
pub use host_network::HostNetwork;
pub use ordinary_user::{Ids, OrdinaryUser};
pub use outcome::Outcome;
pub use registry::{Access, Registry, Transport};
pub use terminal::Terminal;
pub use tree::Tree;
