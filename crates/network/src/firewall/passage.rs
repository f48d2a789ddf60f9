//! Passage: rules of ours in others' FORWARD chains, for networks that were made with
//! `forward_policy=ignore`.
//!
//! What a chain drops is dropped, whatever a table of ours says. Docker sets the policy of its chain to DROP on
//! a host that forwarded nothing before, and ufw does so always: then nothing passes but what rules there
//! name. So such a network has two rules at the end of each chain whose policy drops, as docker's own
//! networks have. They stand behind what is there: what somebody's rules drop stays dropped, and the policy alone
//! is not asked. What comes to the bridge through them is what dhow's own chain lets through.
//!
//! They are known by their comments, and go with the network.

use crate::{
    HostPolicy, Network,
    nft::{Batch, Chain, Hook, Nft, Rule, Side, Verdict, comment},
};
use dhow_base::Result;
use std::collections::BTreeSet;

/// The families of tables that packets of the internet protocol meet: `inet`, `ip`, `ip6`.
const FAMILIES: [u8; 3] = [1, 2, 10];

/// The two ways of a packet.
const WAYS: [Side; 2] = [Side::Input, Side::Output];

/// So many tries are made at a moment when nobody else changes anything.
const ALONE: usize = 6;

/// Makes the rules of a network that has any, where they are missing.
pub(super) fn open(nft: &Nft, network: &Network) -> Result<()> {
    if network.forward_policy == HostPolicy::Obey {
        return Ok(());
    }
    change(nft, network, |chain, missing, batch| {
        for side in WAYS.into_iter().filter(|side| missing.contains(side)) {
            batch.rule(&chain.name, &rule(side, &network.device));
        }
    })
}

/// Takes them away.
pub(super) fn close(nft: &Nft, network: &Network) -> Result<()> {
    if network.forward_policy == HostPolicy::Obey {
        return Ok(());
    }
    let ours = WAYS.map(|side| note(side, &network.device));
    change(nft, network, |chain, _, batch| {
        for rule in chain.rules.iter().filter(|rule| ours.contains(&rule.note)) {
            batch.delete_rule(&chain.name, rule.handle);
        }
    })
}

fn rule(side: Side, device: &str) -> Rule {
    Rule::new()
        .named_device(side, device)
        .counter()
        .verdict(Verdict::Accept)
        .comment(&words(side, device))
}

fn words(side: Side, device: &str) -> String {
    match side {
        Side::Input => format!("dhow: from {device}"),
        Side::Output => format!("dhow: to {device}"),
    }
}

fn note(side: Side, device: &str) -> Vec<u8> {
    comment(&words(side, device))
}

/// Changes the chains of others at the hook; each is told which ways have no rule in it although its policy
/// drops.
fn change(nft: &Nft, network: &Network, each: impl Fn(&Chain, &[Side], &mut Batch)) -> Result<()> {
    let doing = format!("change what others' firewalls forward for network {}", network.name);
    for place in forwarding(nft)?.iter().map(place_of) {
        let mut tries = 0;
        nft.retry(&doing, |_| {
            // Several may do the same at once; one rule too many is better than none.
            let generation = (tries < ALONE).then(|| nft.generation()).transpose()?;
            tries += 1;
            let chains = forwarding(nft)?;
            let Some(chain) = chains.iter().find(|chain| place_of(chain) == place) else {
                return Ok(Ok(()));
            };
            let mut batch = Batch::of_family(chain.family, &chain.table);
            each(chain, &missing(chain, &network.device), &mut batch);
            if let Some(generation) = generation {
                batch.only_at(generation);
            }
            nft.commit(batch)
        })?;
    }
    Ok(())
}

fn missing(chain: &Chain, device: &str) -> Vec<Side> {
    let drops = chain.base.as_ref().is_some_and(|base| base.drops);
    let has = |side: &Side| chain.rules.iter().any(|rule| rule.note == note(*side, device));
    WAYS.into_iter().filter(|side| drops && !has(side)).collect()
}

fn place_of(chain: &Chain) -> (u8, String, String) {
    (chain.family, chain.table.clone(), chain.name.clone())
}

/// The chains of others that meet what is forwarded, with their rules.
fn forwarding(nft: &Nft) -> Result<Vec<Chain>> {
    let mut chains = nft.chains()?;
    chains.retain(|chain| {
        let is_there = chain.base.as_ref().is_some_and(|base| base.hook == Hook::Forward.number());
        let is_ours = chain.family == 1 && chain.table == super::TABLE;
        is_there && !is_ours && FAMILIES.contains(&chain.family)
    });
    let tables: BTreeSet<(u8, String)> =
        chains.iter().map(|chain| (chain.family, chain.table.clone())).collect();
    for (family, table) in tables {
        nft.add_rules(&mut chains, family, &table)?;
    }
    Ok(chains)
}
