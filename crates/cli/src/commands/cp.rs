//! `cp`: files between containers, the host and tar streams.

use crate::{
    exit::SUCCESS,
    flags::{Surroundings, refuse},
    invocation::Invocation,
    manners::Manners,
    tree::Act,
};
use dhow_base::{Error, Kind, Result};
use dhow_engine::{CpEnd, CpOptions, Engine, Owners};
use std::io::{self, IsTerminal};

/// Copy files between a container and the host, or between containers
///
/// In a directory that is there the copy has its own name; else it gets the name that is given. Of
/// `DIR/.` only what is in it is copied. `-` is a tar stream: standard output, or standard input. A
/// container need not run. Copies are root's in a container and yours on the host, unless `--archive`
/// is given.
#[derive(clap::Args, Debug)]
pub(crate) struct Cp {
    /// What is copied
    #[arg(value_name = "[CONTAINER:]PATH|-")]
    from: String,

    /// Where it goes
    #[arg(value_name = "[CONTAINER:]PATH|-")]
    to: String,

    /// Keep owner and group, by their numbers
    #[arg(short, long, value_name = "BOOL", default_value = "false")]
    archive: bool,

    /// Copy what a link leads to, where the path itself is a link
    #[arg(short = 'L', long)]
    follow_link: bool,

    /// Let a directory give way to a file, and a file to a directory
    #[arg(long)]
    overwrite: bool,

    /// Accepted for docker's sake: nothing is printed anyway
    #[arg(short, long, hide = true)]
    quiet: bool,
}

/// An end as it is written.
#[derive(Clone, Debug, Eq, PartialEq)]
enum End {
    Stream,
    Host(String),
    Container(String, String),
}

impl Act for Cp {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let (from, to) = (End::parse(&self.from)?, End::parse(&self.to)?);
        let options = CpOptions {
            owners: self.owners(&from, &to, invocation.manners),
            follow: self.follow_link,
            overwrite: self.overwrite,
        };
        let world = invocation.surroundings();
        match (from, to) {
            (End::Stream, to @ End::Container(..)) => {
                if io::stdin().is_terminal() {
                    return Err(Error::new(
                        Kind::Invalid,
                        "refusing to read a tar stream from a terminal",
                    ));
                }
                let mut engine = invocation.engine()?;
                let to = to.resolved(&world, &mut engine)?;
                engine.cp_in(&mut io::stdin(), &to, options)?;
            }
            (from @ End::Container(..), End::Stream) => {
                if io::stdout().is_terminal() {
                    return Err(Error::new(
                        Kind::Invalid,
                        "refusing to write a tar stream to a terminal",
                    )
                    .hint("send standard output somewhere else"));
                }
                let mut engine = invocation.engine()?;
                let from = from.resolved(&world, &mut engine)?;
                engine.cp_out(&from, options, &mut io::stdout().lock())?;
            }
            (from @ End::Container(..), to @ (End::Host(_) | End::Container(..)))
            | (from @ End::Host(_), to @ End::Container(..)) => {
                let mut engine = invocation.engine()?;
                let from = from.resolved(&world, &mut engine)?;
                let to = to.resolved(&world, &mut engine)?;
                engine.cp(&from, &to, options)?;
            }
            (End::Stream | End::Host(_), End::Stream | End::Host(_)) => {
                let what = format!("copy {} to {}: neither is in a container", self.from, self.to);
                return Err(Error::new(Kind::Invalid, what)
                    .hint("write CONTAINER:PATH; ./a:b is a path with a colon in it"));
            }
        }
        Ok(SUCCESS)
    }
}

impl Cp {
    /// Whose the copies are: docker keeps numbers on the way in, whatever its manual says, and podman
    /// on the way out.
    fn owners(&self, from: &End, to: &End, manners: Manners) -> Owners {
        let goes_in = matches!(from, End::Host(_)) && matches!(to, End::Container(..));
        let goes_out = matches!(from, End::Container(..)) && matches!(to, End::Host(_));
        let keeps = match manners {
            Manners::Docker => goes_in,
            Manners::Podman => goes_out,
            Manners::Dhow | Manners::Skopeo => false,
        };
        if self.archive || keeps { Owners::Kept } else { Owners::OfDestination }
    }
}

impl End {
    /// What is before a colon is a container, unless it is a path.
    fn parse(text: &str) -> Result<Self> {
        if text == "-" {
            return Ok(Self::Stream);
        }
        let is_path = text.starts_with(['/', '.']);
        match text.split_once(':') {
            Some((container, path)) if !is_path && !container.contains('/') => {
                if container.is_empty() || path.is_empty() {
                    return Err(refuse("PATH", text, "a container and a path belong together")
                        .hint("write CONTAINER:PATH"));
                }
                Ok(Self::Container(container.to_owned(), path.to_owned()))
            }
            _ if text.is_empty() => Err(refuse("PATH", text, "it is empty")),
            _ => Ok(Self::Host(text.to_owned())),
        }
    }

    /// How a path ends says what is meant, so only its beginning changes. A container's begins at its root
    /// for docker, and in its working directory for podman.
    fn resolved(self, world: &Surroundings<'_>, engine: &mut Engine) -> Result<CpEnd> {
        Ok(match self {
            Self::Container(container, path)
                if world.manners == Manners::Podman && !path.starts_with('/') =>
            {
                let directory = engine.working_directory(&container)?;
                CpEnd::Container { container, path: format!("{directory}/{path}") }
            }
            Self::Container(container, path) => CpEnd::Container { container, path },
            Self::Host(path) if path.starts_with('/') => CpEnd::Host(path),
            Self::Host(path) => CpEnd::Host(format!("{}/{path}", world.directory.display())),
            Self::Stream => CpEnd::Host("-".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart_as_docker_does() {
        let container = |name: &str, path: &str| End::Container(name.to_owned(), path.to_owned());
        let cases = [
            ("-", Some(End::Stream)),
            ("web:/etc", Some(container("web", "/etc"))),
            ("web:a:b", Some(container("web", "a:b"))),
            ("./web:/etc", Some(End::Host("./web:/etc".into()))),
            ("/web:/etc", Some(End::Host("/web:/etc".into()))),
            ("dir/web:x", Some(End::Host("dir/web:x".into()))),
            ("file", Some(End::Host("file".into()))),
            (":/etc", None),
            ("web:", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(End::parse(text).ok(), expected, "{text:?}");
        }
    }
}
