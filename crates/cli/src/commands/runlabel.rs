//! `container runlabel`: the command that a label of an image holds, which somebody has asked for.
//!
//! No label does anything by itself. And of the commands of the host a label may name one only: this
//! one, by its own name or by those of docker and podman, with whatever arguments it has.

use crate::{
    flags::{refuse, registry::RegistryFlags},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_image::{Policy, PullOptions};
use std::{os::unix::process::CommandExt, path::Path, process::Command};

/// Run the command that a label of an image holds
///
/// In the command IMAGE, NAME, $IMAGE, $NAME, $PWD and $OPT1 to $OPT3 stand for what they say. `--display`
/// shows it and does nothing.
#[derive(clap::Args, Debug)]
pub(crate) struct Runlabel {
    /// The label; one that is not there in small letters is looked for in capitals
    #[arg(value_name = "LABEL")]
    label: String,

    /// The image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,

    /// Arguments after those of the command
    #[arg(value_name = "ARG", num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,

    /// Show the command and do not run it
    #[arg(long)]
    display: bool,

    /// What NAME stands for; the last part of the image's name unless said
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,

    /// What $OPT1 stands for
    #[arg(long, hide = true)]
    opt1: Option<String>,

    /// What $OPT2 stands for
    #[arg(long, hide = true)]
    opt2: Option<String>,

    /// What $OPT3 stands for
    #[arg(long, hide = true)]
    opt3: Option<String>,

    /// Do not show the command
    #[arg(short, long)]
    quiet: bool,

    /// Remove a container of this name first
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    registry: RegistryFlags,
}

impl Act for Runlabel {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine_with(self.registry.registries(invocation)?)?;
        let (images, state) = engine.images();
        // One that is not here is fetched, as in podman.
        let pull = PullOptions { platform: None, policy: Policy::Missing };
        let image = match images.look_up(state, &self.image) {
            Err(error) if error.kind() == Kind::NotFound => {
                images.pull(state, &self.image, &pull, &invocation.progress(self.quiet))?
            }
            found => found?,
        };
        let labels = &image.config.config.labels;
        let text = labels.get(&self.label).or_else(|| labels.get(&self.label.to_uppercase()));
        let text = text.ok_or_else(|| {
            let what = format!("image {} has no label {}", self.image, self.label);
            Error::new(Kind::NotFound, what).hint("`dhow inspect` shows its labels")
        })?;
        let name = self.container_name();
        let words = self
            .command(text, &name, &invocation.directory)
            .doing(|| format!("read the label {} of image {}", self.label, self.image))?;
        if self.display || !self.quiet {
            let shown: Vec<String> =
                std::iter::once("dhow".to_owned()).chain(words.iter().cloned()).collect();
            let line = format!("command: {}", crate::render::text::command_line(&shown));
            if self.display {
                invocation.console.line(&line)?;
                return Ok(crate::exit::SUCCESS);
            }
            invocation.console.note(&line);
        }
        if self.replace {
            let options = dhow_engine::RemoveOptions { force: true, volumes: false };
            match engine.remove(&name, options) {
                Err(error) if error.kind() != Kind::NotFound => return Err(error),
                _ => {}
            }
        }
        drop(engine);
        let (root, runroot) = invocation.places()?;
        let mut command = Command::new("/proc/self/exe");
        command.arg("--root").arg(root).arg("--runroot").arg(runroot);
        if invocation.user.is_some() {
            command.arg("--of-user");
        }
        command.args(words);
        Err(command.exec()).doing(|| "run the command")
    }
}

impl Runlabel {
    fn container_name(&self) -> String {
        let last = self.image.rsplit('/').next().unwrap_or_default();
        let bare = last.split([':', '@']).next().unwrap_or_default();
        self.name.clone().unwrap_or_else(|| bare.to_owned())
    }

    /// The words after the name of the program, with what they stand for.
    fn command(&self, text: &str, name: &str, directory: &Path) -> Result<Vec<String>> {
        let mut words = dhow_image::words(text)?.into_iter();
        let program = words.next().unwrap_or_default();
        let own = Path::new(&program).file_name().and_then(|name| name.to_str());
        if !matches!(own, Some("dhow" | "docker" | "podman")) {
            return Err(refuse("LABEL", text, "it is no command of dhow, docker or podman")
                .hint("what an image says is not run on the host"));
        }
        let option = |option: &Option<String>| option.clone().unwrap_or_default();
        let value = |variable: &str| {
            Some(match variable {
                "IMAGE" => self.image.clone(),
                "NAME" => name.to_owned(),
                "PWD" => directory.display().to_string(),
                "OPT1" => option(&self.opt1),
                "OPT2" => option(&self.opt2),
                "OPT3" => option(&self.opt3),
                _ => return None,
            })
        };
        let mut all = Vec::new();
        for word in words {
            let word = match word.as_str() {
                "IMAGE" => self.image.clone(),
                "NAME" => name.to_owned(),
                _ => expanded(&word, &value)?,
            };
            if !word.is_empty() {
                all.push(word);
            }
        }
        all.extend(self.arguments.iter().cloned());
        Ok(all)
    }
}

/// Puts values in the place of `$NAME` and `${NAME}`; others are refused, so that nothing of the
/// host's environment gets in.
fn expanded(word: &str, value: &impl Fn(&str) -> Option<String>) -> Result<String> {
    let mut text = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, next) = match after.strip_prefix('{').and_then(|after| after.split_once('}')) {
            Some((name, next)) => (name, next),
            None => {
                let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
                after.split_at(after.find(|letter| !is_part(letter)).unwrap_or(after.len()))
            }
        };
        let found = value(name).ok_or_else(|| {
            refuse("LABEL", word, format!("nothing is known of ${name}"))
                .hint("there are $IMAGE, $NAME, $PWD and $OPT1 to $OPT3")
        })?;
        text.push_str(&found);
        rest = next;
    }
    text.push_str(rest);
    Ok(text)
}
