//! How a container talks, is reached, and finds its neighbours.
//!
//! ```text
//!   Network (a row's settings) ─┐
//!   a container's wishes ───────┼─▶ Plan ──▶ links, addresses, routes   (in the container's namespace)
//!   leases, names ──────────────┘      ├───▶ firewall: one table of our own, changed in batches
//!                                      ├───▶ ports, held so that nothing else can bind them
//!                                      └───▶ a resolver, in the process that keeps the container
//! ```
//!
//! A [`Plan`] is data: whoever starts a container makes it from rows, and whoever keeps its process
//! carries it out in the moment between the birth of its network namespace and its program. Nothing
//! here is a daemon, and nothing here knows a database, an image or a container's life.

pub mod cni;
mod conntrack;
mod dhcp;
mod explain;
mod firewall;
mod forwarding;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod handle;
mod held;
mod inside;
mod link;
mod mac;
mod missing;
pub mod names;
mod network;
mod nft;
pub mod pasta;
mod plan;
mod poller;
mod port;
mod reach;
mod relay;
mod resolver;
mod setup;
mod shaping;
mod subnet;

pub use dhcp::{Leased, Tenant};
pub use explain::{Finding, Outcome, explain};
pub use firewall::{Firewall, Watch};
pub use held::Held;
pub use mac::Mac;
pub use missing::{Missing, missing};
pub use network::{Driver, HostPolicy, Isolation, Mode, Network, Range};
pub use plan::{Attachment, InterfaceAddress, NamedNetwork, Outlet, Plan, ResolverPlan, Route};
pub use port::{Protocol, Publication};
pub use reach::{HostRoute, host_routes};
pub use relay::Relay;
pub use resolver::Resolver;
pub use setup::{connect, disconnect, remove_device, setup};
pub use subnet::Subnet;
