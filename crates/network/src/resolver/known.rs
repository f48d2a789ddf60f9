//! The names that are ours to answer for: those of the networks' containers.
//!
//! A name that somebody has is answered here whatever is asked of it. That it has no address of the
//! version that was asked for is an answer without records: were it "no such name", a program that
//! asks for both versions might take that for the end, and were it forwarded, the name of a container
//! could be one of the world's.

use super::message::{A, AAAA, ANY, Answer, Code, INTERNET, PTR, Question, reversed_address};
use crate::{
    NamedNetwork,
    names::{Entry, Names},
};
use dhow_base::Result;
use std::net::IpAddr;

/// What podman's resolver puts behind the names of all networks.
const PODMAN: &str = ".dns.podman";

/// The networks that a container is connected to.
#[derive(Debug, Default)]
pub(super) struct Known {
    networks: Vec<(String, Names)>,
    // Where several have one name, each is the first one in its turn.
    turn: usize,
}

impl Known {
    pub(super) fn new(networks: &[NamedNetwork]) -> Self {
        let named = |network: &NamedNetwork| {
            (network.name.to_ascii_lowercase(), Names::new(&network.directory))
        };
        Self { networks: networks.iter().map(named).collect(), turn: 0 }
    }

    /// The answer to a question, in as many bytes; `None` where it is for others to answer.
    pub(super) fn answer(
        &mut self,
        message: &[u8],
        question: &Question,
        limit_bytes: usize,
    ) -> Result<Option<Vec<u8>>> {
        let Some(name) = question.name.as_deref().filter(|_| question.class == INTERNET) else {
            return Ok(None);
        };
        for (_, names) in &mut self.networks {
            names.refresh()?;
        }
        let answer = |code| Answer::to(message, question, code, limit_bytes);
        if question.kind == PTR
            && let Some(address) = reversed_address(name)
        {
            let names = self.names_of(address);
            let mut answer = answer(Code::Good);
            names.iter().for_each(|name| answer.pointer(name));
            return Ok((!names.is_empty()).then(|| answer.finish()));
        }
        let Some(found) = self.addresses_of(name) else {
            // Nobody else knows of that zone.
            let is_podmans = name.ends_with(PODMAN);
            return Ok(is_podmans.then(|| answer(Code::NoSuchName).finish()));
        };
        let mut answer = answer(Code::Good);
        let fits = |address: &&IpAddr| match question.kind {
            A => address.is_ipv4(),
            AAAA => address.is_ipv6(),
            kind => kind == ANY,
        };
        let mut found: Vec<IpAddr> = found.iter().filter(fits).copied().collect();
        if !found.is_empty() {
            self.turn = self.turn.wrapping_add(1);
            let first = self.turn % found.len();
            found.rotate_left(first);
        }
        found.into_iter().for_each(|address| answer.address(address));
        Ok(Some(answer.finish()))
    }

    /// All addresses of those who have this name in the first network where somebody has it; `None`
    /// where nobody does.
    fn addresses_of(&self, name: &str) -> Option<Vec<IpAddr>> {
        let everywhere = name.strip_suffix(PODMAN);
        self.networks.iter().find_map(|(network, names)| {
            let of_network =
                name.strip_suffix(network.as_str()).and_then(|name| name.strip_suffix('.'));
            let spellings = [Some(name), of_network, everywhere];
            let mut found =
                spellings.into_iter().flatten().map(|name| names.named(name).peekable());
            let mut found = found.find_map(|mut found| found.peek().is_some().then_some(found))?;
            let addresses = |entry: &Entry| entry.addresses.clone();
            Some(found.by_ref().flat_map(addresses).collect())
        })
    }

    /// The best name of each who has this address, with its network behind it as docker has it.
    fn names_of(&self, address: IpAddr) -> Vec<String> {
        let of_network = |(network, names): &(String, Names)| {
            let found = names.having(address).filter_map(|entry| entry.names.first());
            found.map(|name| format!("{name}.{network}")).collect::<Vec<_>>()
        };
        self.networks.iter().flat_map(of_network).collect()
    }

    /// Forgets what can be read again.
    pub(super) fn rest(&mut self) {
        self.networks.iter_mut().for_each(|(_, names)| names.rest());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        names::join,
        resolver::message::tests::{count_and_code, question},
    };
    use std::path::Path;

    fn add(directory: &Path, id: &str, names: &[&str], addresses: &[&str]) {
        let entry = Entry {
            container: id.to_owned(),
            names: names.iter().map(|&name| name.to_owned()).collect(),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        };
        join(directory, &entry).unwrap();
    }

    fn known(directory: &Path) -> Known {
        let network =
            |name: &str| NamedNetwork { name: name.to_owned(), directory: directory.join(name) };
        add(&directory.join("front"), "c1", &["web", "www"], &["10.89.0.2", "fd00:89::2"]);
        add(&directory.join("front"), "c2", &["api", "svc"], &["10.89.0.3"]);
        add(&directory.join("back"), "c3", &["db", "svc"], &["10.90.0.3"]);
        add(&directory.join("back"), "c4", &["db2", "db"], &["10.90.0.4"]);
        Known::new(&[network("front"), network("back")])
    }

    fn ask(known: &mut Known, name: &str, kind: u16) -> Option<Vec<u8>> {
        let message = question(1, name, kind);
        let question = Question::parse(&message).unwrap();
        known.answer(&message, &question, 512).unwrap()
    }

    #[test]
    fn names_are_answered_in_all_their_spellings_and_others_are_not_ours() {
        let directory = tempfile::tempdir().unwrap();
        let mut known = known(directory.path());

        for (name, kind, expected) in [
            ("web", A, Some((1, 0))),
            ("WWW", AAAA, Some((1, 0))),
            ("web", ANY, Some((2, 0))),
            ("c1", A, Some((1, 0))),
            ("web.front", A, Some((1, 0))),
            ("web.back", A, None),
            ("web.dns.podman", A, Some((1, 0))),
            ("nobody.dns.podman", A, Some((0, 3))),
            ("api", AAAA, Some((0, 0))),
            ("api", 15, Some((0, 0))),
            ("db", A, Some((2, 0))),
            ("svc", A, Some((1, 0))),
            ("svc.back", A, Some((1, 0))),
            ("front", A, None),
            ("example.org", A, None),
            ("3.0.90.10.in-addr.arpa", PTR, Some((1, 0))),
            ("9.0.90.10.in-addr.arpa", PTR, None),
        ] {
            let found = ask(&mut known, name, kind).as_deref().map(count_and_code);
            assert_eq!(found, expected, "{name}, {kind}");
        }
    }

    #[test]
    fn each_address_of_a_name_is_the_first_one_in_its_turn() {
        let directory = tempfile::tempdir().unwrap();
        let mut known = known(directory.path());

        let mut first = || {
            let answer = ask(&mut known, "db", A).unwrap();
            // The first record's last byte: head, question (1 + 2 + 1 + 4), 12 of the record, 4.
            answer[12 + 8 + 12 + 3]
        };

        let firsts = [first(), first(), first()];
        assert!(firsts[0] != firsts[1] && firsts[0] == firsts[2], "{firsts:?}");
    }

    #[test]
    fn an_address_has_a_name_with_its_network() {
        let directory = tempfile::tempdir().unwrap();
        let mut known = known(directory.path());

        let answer = ask(&mut known, "2.0.89.10.in-addr.arpa", PTR).unwrap();

        assert!(answer.ends_with(b"\x03web\x05front\x00"), "{answer:?}");
    }

    #[test]
    fn what_is_new_is_known_at_the_next_question() {
        let directory = tempfile::tempdir().unwrap();
        let mut known = known(directory.path());
        assert_eq!(ask(&mut known, "new", A), None);

        add(&directory.path().join("back"), "c9", &["new"], &["10.90.0.9"]);
        assert!(ask(&mut known, "new", A).is_some());
        crate::names::leave(&directory.path().join("back"), "c9").unwrap();

        assert_eq!(ask(&mut known, "new", A), None);
        known.rest();
        assert!(ask(&mut known, "web", A).is_some(), "after a rest");
    }
}
