//! Images from registries: names, registries.conf, credentials and the client of the OCI
//! distribution specification 1.1.1, which pulls and pushes.
//!
//! This is the one organ that speaks over the network, and the one below the doors that has an
//! asynchronous runtime; nobody sees it, the calls block. It knows no store and no disk but its
//! configuration files: what it fetches it hands over as bytes, and what it sends it is given so.

mod address;
mod aliases;
mod balance;
mod blob;
mod challenge;
mod client;
mod config;
mod content;
mod credentials;
mod destination;
mod download;
mod fetcher;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod keeper;
mod listing;
pub mod login;
#[cfg(test)]
mod mutations;
mod names;
mod peek;
pub mod policy;
mod reference;
mod refusal;
mod registries;
mod scope;
mod session;
mod tls;
mod transport;
mod upload;

pub use balance::Parts;
pub use blob::BlobReader;
pub use client::{Client, Manifest, Repository, Resolved};
pub use config::{Config, Patience, PolicyFile, Proxies, TlsVerify};
pub use content::Content;
pub use credentials::{Credentials, Secret};
pub use download::{Address, Download};
pub use reference::Reference;
pub use registries::{Candidates, Choice, Endpoint, Registries};
pub use upload::Arrival;
