//! Addresses that a server on the link gives: DHCP for IPv4 (RFC 2131), from the device's side.
//!
//! ```text
//!            discover ──▶        request ──▶
//!   seeking ───────────▶ offered ───────────▶ bound ──half of the time──▶ renewing (asks its server)
//!      ▲                    │ refused            ▲                            │ seven eighths
//!      │◀───────────────────┘                    └──────── granted ───────────┤
//!      │◀──────────── refused, or the time is over: the address goes ──── rebinding (asks anybody)
//! ```
//!
//! A [`Tenant`] is a part of the process that keeps the container: one socket, one moment, no thread.
//! The socket is one for packets of the device, since there is no address to talk from in the
//! beginning; a filter in the kernel keeps all else away from it. The lease is given back at the end.
//!
//! What a server says is a stranger's: it is parsed within limits ([`message`]), and believed only in
//! answer to our own question.

mod lease;
pub(crate) mod message;
mod packet;
mod tenant;

pub use lease::Leased;
pub use tenant::Tenant;
