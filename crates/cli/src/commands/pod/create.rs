//! `pod create`: make a pod.

use crate::{
    exit::SUCCESS,
    flags::{pod::PodFlags, refuse},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{
    Error, Kind, Result,
    file::{self, Durability},
    id::Name,
};
use dhow_engine::pods::{ExitPolicy, InfraOptions, PodOptions, Shared};

/// Make a pod: containers that share a network, a host name and shared memory
///
/// Prints its id, which `dhow run --pod` takes. Namespaces are made when the first container of the pod
/// starts, and go when the last has ended; no process keeps them, but for processes that are shared, and
/// where --infra asks for one.
#[derive(clap::Args, Debug)]
pub(crate) struct Create {
    /// The name
    #[arg(value_name = "NAME")]
    pod: Option<String>,

    /// Name the pod
    #[arg(short, long, value_name = "NAME", conflicts_with = "pod")]
    name: Option<String>,

    /// Share these: ipc, net, pid, uts, comma between; none for nothing; with a plus, besides the usual
    #[arg(long, value_name = "LIST", default_value = "ipc,net,uts")]
    share: String,

    /// Write the pod's id to a file
    #[arg(long, value_name = "FILE")]
    pod_id_file: Option<String>,

    /// Do this when the last container has ended: continue or stop
    #[arg(long, value_name = "POLICY", default_value = "continue")]
    exit_policy: String,

    /// Take the place of a pod of this name, whose containers are removed
    #[arg(long)]
    replace: bool,

    /// Make a container of the pod's own, which starts before the others and ends after them
    #[arg(long, value_name = "BOOL")]
    infra: Option<bool>,

    /// Put its containers into a cgroup of the pod's
    #[arg(long, value_name = "BOOL", default_value_t = true)]
    share_parent: bool,

    #[command(flatten)]
    flags: PodFlags,
}

impl Act for Create {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut create = self;
        let conf = invocation.containers_conf()?;
        create.flags.network.fill(conf.containers.netns.as_ref());
        let options = create.options(invocation)?;
        let progress = invocation.progress(true);
        let id = invocation.engine()?.create_pod(&options, &progress)?;
        if let Some(path) = &create.pod_id_file {
            let path = invocation.surroundings().absolute(path);
            file::write_atomically(&path, id.as_str().as_bytes(), 0o644, Durability::Cached)?;
        }
        invocation.console.line(id.as_str())?;
        Ok(SUCCESS)
    }
}

impl Create {
    fn options(&self, invocation: &Invocation) -> Result<PodOptions> {
        let name = self.pod.as_deref().or(self.name.as_deref()).map(parse_name).transpose()?;
        let pod = PodOptions {
            name,
            shared: shared(&self.share)?,
            own_cgroup: self.share_parent,
            exit_policy: match self.exit_policy.as_str() {
                "continue" => ExitPolicy::Continue,
                "stop" => ExitPolicy::Stop,
                other => return Err(refuse("--exit-policy", other, "neither continue nor stop")),
            },
            replace: self.replace,
            infra: self.infra.filter(|wanted| *wanted).map(|_| InfraOptions::default()),
            ..PodOptions::default()
        };
        let pod = self.flags.lay_over(pod, invocation.surroundings())?;
        if self.infra == Some(false) && (pod.infra.is_some() || pod.shared.contains(&Shared::Pid)) {
            let why = "processes that are shared, and --infra-…, take a container of the pod's own";
            return Err(refuse("--infra", "false", why));
        }
        Ok(pod)
    }
}

/// The name of a pod.
pub(super) fn parse_name(text: &str) -> Result<Name> {
    text.parse().map_err(|error: Error| {
        let hint = error.innermost_hint().unwrap_or("choose another name").to_owned();
        refuse("NAME", text, "that cannot be the name of a pod").hint(hint)
    })
}

fn shared(text: &str) -> Result<std::collections::BTreeSet<Shared>> {
    let usual = [Shared::Ipc, Shared::Net, Shared::Uts];
    let mut all = std::collections::BTreeSet::new();
    if text.starts_with('+') {
        all.extend(usual);
    }
    for word in text.split(',').filter(|word| !word.is_empty()) {
        match word.trim_start_matches('+') {
            "ipc" => drop(all.insert(Shared::Ipc)),
            "net" => drop(all.insert(Shared::Net)),
            "pid" => drop(all.insert(Shared::Pid)),
            "uts" => drop(all.insert(Shared::Uts)),
            "none" => all.clear(),
            "user" | "cgroup" => {
                let text = format!("--share {word}: the containers of a pod do not share that");
                return Err(Error::new(Kind::Unsupported, text).hint(
                    "there are ipc, net, pid and uts; what a pod shares has the host's ids",
                ));
            }
            _ => return Err(refuse("--share", text, "there are ipc, net, pid, uts and none")),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_a_list_of_words() {
        assert_eq!(shared("ipc,net,uts").unwrap().len(), 3);
        assert_eq!(shared("net").unwrap(), [Shared::Net].into());
        assert!(shared("none").unwrap().is_empty() && shared("").unwrap().is_empty());
        assert_eq!(shared("+pid").unwrap().len(), 4);
        assert_eq!(shared("pid").unwrap(), [Shared::Pid].into());
        assert_eq!(shared("user").unwrap_err().kind(), Kind::Unsupported);
        assert!(shared("bogus").is_err());
    }
}
