//! Changes that happen together: messages between a beginning and an end.

use super::{
    ACKNOWLEDGED, APPEND, BEGIN, CREATE, DELETE_ELEMENT, DELETE_RULE, DELETE_TABLE, END, Element,
    INET, NEW_CHAIN, NEW_ELEMENT, NEW_RULE, NEW_SET, NEW_TABLE, Rule, SUBSYSTEM, Set, number, set,
    text,
};
use dhow_sys::netlink::Request;

/// So many elements fit into one message, whose attributes have 64 KB, with room to spare.
const ELEMENTS: usize = 200;

/// Where a chain meets packets (`netfilter.h`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

impl Hook {
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }
}

/// The places in the order of the chains at one hook, by nft's names for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Priority(pub(crate) i32);

impl Priority {
    pub(crate) const RAW: Self = Self(-300);
    pub(crate) const DESTINATION_NAT: Self = Self(-100);
    pub(crate) const FILTER: Self = Self(0);
    pub(crate) const SOURCE_NAT: Self = Self(100);
    /// Behind everybody's chains. A connection is only remembered behind that (`i32::MAX`), so one
    /// that is dropped here never was.
    pub(crate) const LAST: Self = Self(i32::MAX - 1);
}

/// Changes of one table.
#[derive(Debug)]
pub(crate) struct Batch {
    family: u8,
    table: String,
    messages: Vec<Request>,
    /// What each message is about, for the error that names it.
    names: Vec<String>,
    sets: u32,
    generation: Option<u32>,
}

impl Batch {
    /// Of a table of ours, for packets of both versions.
    pub(crate) fn of(table: &str) -> Self {
        Self::of_family(INET, table)
    }

    /// Of a table of any family.
    pub(crate) fn of_family(family: u8, table: &str) -> Self {
        let table = table.to_owned();
        Self { family, table, messages: Vec::new(), names: Vec::new(), sets: 0, generation: None }
    }

    /// Has it carried out only while the ruleset is of this generation, and refused with `ERESTART`
    /// after any change.
    pub(crate) fn only_at(&mut self, generation: u32) {
        self.generation = Some(generation);
    }

    /// Adds the table, where it is missing; the note is kept with it.
    pub(crate) fn table(&mut self, note: &[u8]) {
        let mut request = self.change(NEW_TABLE, CREATE);
        text(&mut request, 1, &self.table);
        request.attribute(6, note);
        self.push("add the table".to_owned(), request);
    }

    /// Takes the table away, with all that is in it.
    pub(crate) fn delete_table(&mut self) {
        let mut request = self.change(DELETE_TABLE, 0);
        text(&mut request, 1, &self.table);
        self.push("delete the table".to_owned(), request);
    }

    /// Takes all rules of the table away, and leaves its chains.
    pub(crate) fn delete_rules(&mut self) {
        let mut request = self.change(DELETE_RULE, 0);
        text(&mut request, 1, &self.table);
        self.push("delete the table's rules".to_owned(), request);
    }

    /// Adds a chain that packets meet at a hook, where it is missing. What it says nothing about goes
    /// on.
    pub(crate) fn base_chain(&mut self, name: &str, kind: &str, hook: Hook, priority: Priority) {
        let mut request = self.change(NEW_CHAIN, CREATE);
        text(&mut request, 1, &self.table);
        text(&mut request, 3, name);
        request.nest(4, |request| {
            number(request, 1, hook.number());
            request.attribute(2, &priority.0.to_be_bytes());
        });
        // The policy: accept (`NF_ACCEPT`).
        number(&mut request, 5, 1);
        text(&mut request, 7, kind);
        self.push(format!("add chain {name}"), request);
    }

    /// Adds a chain that rules lead to, where it is missing.
    pub(crate) fn chain(&mut self, name: &str) {
        let mut request = self.change(NEW_CHAIN, CREATE);
        text(&mut request, 1, &self.table);
        text(&mut request, 3, name);
        self.push(format!("add chain {name}"), request);
    }

    /// Adds a set or a map, where it is missing.
    pub(crate) fn set(&mut self, set: &Set) {
        let mut request = self.change(NEW_SET, CREATE);
        text(&mut request, 1, &self.table);
        text(&mut request, 2, set.name);
        self.sets += 1;
        number(&mut request, 10, self.sets);
        set.put(&mut request);
        self.push(format!("add set {}", set.name), request);
    }

    /// Adds a rule at the end of a chain.
    pub(crate) fn rule(&mut self, chain: &str, rule: &Rule) {
        let mut request = self.change(NEW_RULE, CREATE | APPEND);
        text(&mut request, 1, &self.table);
        text(&mut request, 2, chain);
        rule.put(&mut request);
        self.push(format!("add a rule to chain {chain}"), request);
    }

    /// Takes one rule from a chain, by its number.
    pub(crate) fn delete_rule(&mut self, chain: &str, handle: u64) {
        let mut request = self.change(DELETE_RULE, 0);
        text(&mut request, 1, &self.table);
        text(&mut request, 2, chain);
        request.attribute(3, &handle.to_be_bytes());
        self.push(format!("delete rule {handle} of chain {chain}"), request);
    }

    /// Adds elements to a set, where they are missing.
    pub(crate) fn add(&mut self, set: &Set, elements: &[Element]) {
        self.elements(NEW_ELEMENT, CREATE, ("add to", set), elements);
    }

    /// Takes elements from a set, all of which must be there.
    pub(crate) fn delete(&mut self, set: &Set, elements: &[Element]) {
        self.elements(DELETE_ELEMENT, 0, ("delete from", set), elements);
    }

    /// Takes elements from a set, whether they are there or not.
    pub(crate) fn clear(&mut self, set: &Set, elements: &[Element]) {
        // To delete what may be missing, it is added first.
        self.add(set, elements);
        self.delete(set, elements);
    }

    /// Takes everything from a set.
    pub(crate) fn empty(&mut self, set: &Set) {
        let mut request = self.change(DELETE_ELEMENT, 0);
        text(&mut request, 1, &self.table);
        text(&mut request, 2, set.name);
        self.push(format!("empty set {}", set.name), request);
    }

    fn elements(&mut self, kind: u16, flags: i32, on: (&str, &Set), all: &[Element]) {
        let (verb, set) = on;
        for elements in all.chunks(ELEMENTS) {
            let mut request = self.change(kind, flags);
            text(&mut request, 1, &self.table);
            text(&mut request, 2, set.name);
            set::put_elements(&mut request, elements);
            self.push(format!("{verb} set {}", set.name), request);
        }
    }

    /// A message of a batch, which is answered only where the kernel refuses it.
    fn change(&self, kind: u16, flags: i32) -> Request {
        Request::unanswered(kind, flags, &[self.family, 0, 0, 0])
    }

    fn push(&mut self, name: String, request: Request) {
        self.names.push(name);
        self.messages.push(request);
    }

    /// The bytes to send, and what each message between the beginning and the end is about. The
    /// messages are numbered from 1 on; the last one asks for an answer, which comes when all is done:
    /// older kernels (before 6.10) give none for the end.
    pub(super) fn finish(self) -> (Vec<u8>, Vec<String>) {
        let [high, low] = (SUBSYSTEM >> 8).to_be_bytes();
        let mark = |kind| Request::unanswered(kind, 0, &[0, 0, high, low]);
        let last = self.messages.len();
        let mut begin = mark(BEGIN);
        if let Some(generation) = self.generation {
            number(&mut begin, 1, generation);
        }
        let mut bytes = begin.finish();
        for (place, request) in self.messages.into_iter().enumerate() {
            let request = if place + 1 == last { request.flagged(ACKNOWLEDGED) } else { request };
            bytes.extend(request.numbered(position(place + 1)).finish());
        }
        bytes.extend(mark(END).numbered(position(last + 1)).finish());
        (bytes, self.names)
    }
}

fn position(place: usize) -> u32 {
    u32::try_from(place).expect("a batch is short")
}
