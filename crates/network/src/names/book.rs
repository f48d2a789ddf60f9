//! Who is in a network, found by name and by address: what the lines of a names file come to.

use super::{Entry, News, parse};
use std::{collections::HashMap, net::IpAddr};

/// So many letters of an id are a name too. All of them are more than a label may have.
const SHORT_ID: usize = 12;

/// Everybody in a network.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: Vec<Option<Entry>>,
    // Places in `entries`, those who came earlier first.
    containers: HashMap<String, usize>,
    names: HashMap<String, Vec<usize>>,
    addresses: HashMap<IpAddr, Vec<usize>>,
}

impl Book {
    /// Takes in whole lines, and returns how many bytes those were: what follows the last end of a
    /// line is still being written.
    pub(crate) fn learn(&mut self, bytes: &[u8]) -> usize {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in bytes[..whole].split(|byte| *byte == b'\n') {
            match std::str::from_utf8(line).ok().and_then(parse) {
                Some(News::Joined(entry)) => self.join(entry),
                Some(News::Left(container)) => self.leave(&container),
                None => {}
            }
        }
        self.close_gaps();
        whole
    }

    /// Everybody, those who came earlier first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().flatten()
    }

    /// Those who have this name, which is in small letters.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = &Entry> {
        self.at(self.names.get(name))
    }

    /// Those who have this address.
    pub(crate) fn having(&self, address: IpAddr) -> impl Iterator<Item = &Entry> {
        self.at(self.addresses.get(&address))
    }

    fn at<'a>(&'a self, places: Option<&'a Vec<usize>>) -> impl Iterator<Item = &'a Entry> {
        places.into_iter().flatten().filter_map(|place| self.entries[*place].as_ref())
    }

    fn join(&mut self, entry: Entry) {
        self.leave(&entry.container);
        let place = self.entries.len();
        for name in words_of(&entry) {
            self.names.entry(name).or_default().push(place);
        }
        for address in &entry.addresses {
            self.addresses.entry(*address).or_default().push(place);
        }
        self.containers.insert(entry.container.clone(), place);
        self.entries.push(Some(entry));
    }

    fn leave(&mut self, container: &str) {
        let place = self.containers.remove(container);
        let Some((place, entry)) = place.and_then(|at| Some((at, self.entries[at].take()?))) else {
            return;
        };
        for name in words_of(&entry) {
            forget(&mut self.names, &name, place);
        }
        for address in &entry.addresses {
            forget(&mut self.addresses, address, place);
        }
    }

    /// Makes everything anew where most places are empty, so that it costs what is there.
    fn close_gaps(&mut self) {
        if self.entries.len() > 64 && self.entries.len() > 2 * self.containers.len() {
            let entries = std::mem::take(self).entries;
            entries.into_iter().flatten().for_each(|entry| self.join(entry));
        }
    }
}

/// All words by which a container is found, each once.
fn words_of(entry: &Entry) -> Vec<String> {
    let id = &entry.container;
    let short = id.get(..SHORT_ID).unwrap_or(id);
    let all = entry.names.iter().map(String::as_str).chain([short]);
    let mut words: Vec<String> = all.map(str::to_ascii_lowercase).collect();
    words.sort_unstable();
    words.dedup();
    words
}

fn forget<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Vec<usize>>, key: &K, place: usize) {
    let Some(places) = map.get_mut(key) else { return };
    places.retain(|other| *other != place);
    if places.is_empty() {
        map.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_found_by_all_its_names_whatever_their_letters() {
        let mut book = Book::default();
        let id = "4f1c".repeat(16);

        book.learn(format!("+ {id} 10.0.0.2,fd00::2 Web www web\n").as_bytes());

        for name in ["web", "www", &id[..12]] {
            assert_eq!(book.named(name).count(), 1, "{name}");
        }
        assert_eq!((book.named("w").count(), book.named(&id).count()), (0, 0));
        assert_eq!(book.having("fd00::2".parse().unwrap()).count(), 1);
    }

    #[test]
    fn a_name_of_several_is_theirs_in_the_order_in_which_they_came() {
        let mut book = Book::default();
        book.learn(b"+ a 10.0.0.1 x\n+ b 10.0.0.2 x\n+ c 10.0.0.3 x\n- b\n");
        book.learn(b"+ a 10.0.0.9 x\n");

        let found: Vec<_> = book.named("x").map(|entry| entry.container.as_str()).collect();

        assert_eq!(found, ["c", "a"]);
    }

    #[test]
    fn the_last_line_counts_when_it_has_an_end() {
        let mut book = Book::default();
        let text = b"+ a 10.0.0.1 x\n+ b 10.0.0.15 y";

        let used = book.learn(text);

        assert_eq!((used, book.named("y").count()), (15, 0));
    }

    #[test]
    fn the_gone_take_no_place() {
        let mut book = Book::default();
        for number in 0..10_000 {
            book.learn(format!("+ c{number} 10.0.0.1 x\n- c{number}\n").as_bytes());
        }

        assert!(book.entries.len() < 100, "{}", book.entries.len());
        assert!(book.names.is_empty() && book.addresses.is_empty());
    }
}
