//! Images from registries: names, registries.conf, credentials and the client of the OCI
//! distribution specification 1.1.1 (its pull side).
//!
//! This is the one organ that speaks over the network, and the one below the doors that has an
//! asynchronous runtime; nobody sees it, the calls block. It knows no store and no disk but its
//! configuration files: what it fetches it hands over as bytes.

mod address;
mod blob;
mod challenge;
mod client;
mod config;
mod credentials;
mod fetcher;
mod keeper;
#[cfg(test)]
mod mutations;
mod names;
mod reference;
mod refusal;
mod registries;
mod session;
mod tls;
mod transport;

pub use blob::BlobReader;
pub use client::{Client, Manifest, Repository, Resolved};
pub use config::{Config, Patience, Proxies, TlsVerify};
pub use credentials::{Credentials, Secret};
pub use reference::Reference;
pub use registries::{Endpoint, Registries};
