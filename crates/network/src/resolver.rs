//! The resolver of a container: answers what it asks for names, from inside its own network
//! namespace.
//!
//! ```text
//!   container                                   the host's namespace
//!   ─────────                                   ────────────────────
//!   127.0.0.11:53 ──▶ two sockets ──▶ known? ──▶ names files of its networks
//!                          ▲            │ no
//!                          └────────── forward ──▶ the networks' servers, or the host's
//! ```
//!
//! It is a part of the process that keeps the container, and is no thread and no process of its own:
//! one fd to wait for, and one moment. While nobody asks it keeps three fds and hardly a byte.
//!
//! Not known are the containers' rows: whoever starts and ends them writes [`crate::names`].

mod client;
mod forward;
mod known;
mod listen;
mod message;
mod redirect;
mod streams;

use crate::{ResolverPlan, poller::Poller};
use client::Client;
use dhow_base::{Doing, Result};
use forward::{Done, Forward};
use known::Known;
use listen::Doors;
use message::{Answer, Code, Question};
use rustix::{
    event::epoll::EventFlags,
    net::{RecvFlags, SendFlags},
};
use std::{os::fd::BorrowedFd, time::Instant};
use streams::Streams;

/// What a message on a stream may have.
const STREAM_BYTES: usize = u16::MAX as usize;

/// What is received at once.
const BUFFER_BYTES: usize = 64 << 10;

/// How many packets are taken before others of the process have their turn.
const MOST_PACKETS: usize = 64;

// Numbers of sockets; questions and connections have those that follow.
const PACKETS: u64 = 0;
const STREAMS: u64 = 1;
const FIRST_NUMBER: u64 = 2;

/// Answers the questions of one network namespace.
#[derive(Debug)]
pub struct Resolver {
    poller: Poller,
    doors: Doors,
    known: Known,
    forward: Forward,
    streams: Streams,
    next_number: u64,
    buffer: Vec<u8>,
}

impl Resolver {
    /// Listens in a network namespace. The calling thread visits it and comes back.
    pub fn open(plan: &ResolverPlan, namespace: BorrowedFd<'_>) -> Result<Self> {
        let doors = Doors::open(namespace)?;
        let poller = Poller::new()?;
        let doing = || "watch a resolver's sockets";
        poller.add(&doors.packets, PACKETS, EventFlags::IN).doing(doing)?;
        poller.add(&doors.streams, STREAMS, EventFlags::IN).doing(doing)?;
        Ok(Self {
            poller,
            doors,
            known: Known::new(&plan.networks),
            forward: Forward::new(&plan.servers),
            streams: Streams::default(),
            next_number: FIRST_NUMBER,
            buffer: Vec::new(),
        })
    }

    /// Knows other networks from now on.
    pub fn change(&mut self, plan: &ResolverPlan) {
        self.known = Known::new(&plan.networks);
        self.forward.change(&plan.servers);
    }

    /// What to wait for: when it can be read, there is something for [`Resolver::work`].
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.poller.fd()
    }

    /// When there is something for [`Resolver::work`] in any case.
    pub fn deadline(&self) -> Option<Instant> {
        self.forward.deadline().into_iter().chain(self.streams.deadline()).min()
    }

    /// Does what there is to do, and a limited amount of it: what is left is there to be waited for.
    pub fn work(&mut self, now: Instant) {
        self.buffer.resize(BUFFER_BYTES, 0);
        for number in self.poller.ready() {
            match number {
                PACKETS => self.take_packets(now),
                STREAMS => self.welcome(now),
                number if self.streams.has(number) => self.serve(number, now),
                number => {
                    let done = self.forward.read(&self.poller, number, &mut self.buffer, now);
                    done.into_iter().for_each(|done| self.finish(&done, now));
                }
            }
        }
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.streams.tick(now);
            let done = self.forward.tick(&self.poller, now);
            done.into_iter().for_each(|done| self.finish(&done, now));
        }
    }

    /// Keeps nothing that can be had again.
    pub fn rest(&mut self) {
        self.buffer = Vec::new();
        self.known.rest();
        self.forward.rest();
        self.streams.rest();
    }

    fn take_packets(&mut self, now: Instant) {
        for _ in 0..MOST_PACKETS {
            let received =
                rustix::net::recvfrom(&self.doors.packets, &mut self.buffer, RecvFlags::empty());
            match received {
                Ok((count, _, Some(from))) => {
                    let message = self.buffer[..count].to_vec();
                    self.consider(Client::Packet(from), &message, now);
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    fn welcome(&mut self, now: Instant) {
        for _ in 0..MOST_PACKETS {
            let number = self.new_number();
            if self.streams.accept(&self.doors.streams, &self.poller, number, now).is_err() {
                return;
            }
        }
    }

    fn serve(&mut self, number: u64, now: Instant) {
        self.streams.read(number, &mut self.buffer, now);
        while let Some(message) = self.streams.next_question(number) {
            self.consider(Client::Stream(number), &message, now);
        }
        self.streams.settle(&self.poller, number, now);
    }

    /// Answers a message, or asks those who can.
    fn consider(&mut self, client: Client, message: &[u8], now: Instant) {
        let question = match Question::parse(message) {
            Ok(question) => question,
            Err(answer) => return self.refuse(&client, answer.as_deref()),
        };
        let limit_bytes = match client {
            Client::Packet(_) => question.packet_bytes(),
            Client::Stream(_) => STREAM_BYTES,
        };
        let answer = |code| Answer::to(message, &question, code, limit_bytes).finish();
        if question.is_of_the_future() {
            return self.reply(&client, &answer(Code::Good));
        }
        match self.known.answer(message, &question, limit_bytes) {
            Ok(Some(answer)) => self.reply(&client, &answer),
            Ok(None) => {
                let number = self.new_number();
                let asked = (client, message, &question);
                let done = self.forward.ask(&self.poller, number, asked, now);
                // On a stream, whoever calls goes on with what else was asked.
                done.into_iter().for_each(|done| self.deliver(&done));
            }
            // No name may be somebody else's because ours cannot be read.
            Err(_) => self.reply(&client, &answer(Code::Failed)),
        }
    }

    /// Hands over what came of a question that was asked elsewhere, and goes on with its stream.
    fn finish(&mut self, done: &Done, now: Instant) {
        self.deliver(done);
        if let Client::Stream(number) = done.client {
            self.serve(number, now);
        }
    }

    fn deliver(&mut self, done: &Done) {
        let failure = || {
            let question = Question::parse(&done.message).ok()?;
            Some(Answer::to(&done.message, &question, Code::Failed, STREAM_BYTES).finish())
        };
        if let Some(answer) = done.answer.clone().or_else(failure) {
            self.reply(&done.client, &answer);
        }
    }

    fn refuse(&mut self, client: &Client, answer: Option<&[u8]>) {
        match (client, answer) {
            (_, Some(answer)) => self.reply(client, answer),
            (Client::Packet(_), None) => {}
            // Whatever is spoken on this connection, it is not this.
            (Client::Stream(number), None) => self.streams.close(*number),
        }
    }

    fn reply(&mut self, client: &Client, answer: &[u8]) {
        match client {
            // What the other side has no room for is lost as on any way, and asked for again.
            Client::Packet(to) => {
                let _sent =
                    rustix::net::sendto(&self.doors.packets, answer, SendFlags::empty(), to);
            }
            Client::Stream(number) => self.streams.answer(*number, answer),
        }
    }

    fn new_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }
}

/// Whether the bytes are a question or an answer; for `fuzz/`.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn is_understood(bytes: &[u8]) -> bool {
    let _short = bytes.len().ge(&message::HEAD_BYTES).then(|| message::cut_short(bytes));
    let _is_answer = message::is_answer_to(bytes, bytes, message::id_of(bytes));
    let mut known = Known::default();
    Question::parse(bytes).is_ok_and(|question| {
        let answer = Answer::to(bytes, &question, Code::Good, question.packet_bytes()).finish();
        assert!(
            answer.len() <= question.packet_bytes(),
            "an answer is never larger than it may be"
        );
        known.answer(bytes, &question, question.packet_bytes()).is_ok()
    })
}
