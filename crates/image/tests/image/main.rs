//! Images as their users have them: sources, shared layers, removal, failure, attack and death.

#![expect(clippy::unwrap_used, reason = "what cannot be set up has failed the test")]

mod attack;
mod crash;
mod debris;
mod discard;
mod lifecycle;
mod push;
mod refusal;
mod registry;
mod room;
mod sources;
