//! `pod create`: make a pod.

use crate::{
    containers_conf::Engine,
    exit::SUCCESS,
    flags::{network_defaults, pod::PodFlags, refuse},
    invocation::Invocation,
    outfile,
    tree::Act,
};
use dhow_base::{Error, Kind, Result, id::Name};
use dhow_engine::{
    options::Sharing,
    pods::{ExitPolicy, InfraOptions, PodOptions, Shared},
};

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

    /// Do this when the last container has ended: continue (the usual) or stop
    #[arg(long, value_name = "POLICY")]
    exit_policy: Option<String>,

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
        create.exit_policy = create.exit_policy.or_else(|| conf.engine.pod_exit_policy.clone());
        let options = with_usual_infra(create.options(invocation)?, &conf.engine);
        let progress = invocation.progress(true);
        let mut engine = invocation.engine()?;
        network_defaults::apply(&conf, &mut engine)?;
        let id = engine.create_pod(&options, &progress)?;
        if let Some(path) = &create.pod_id_file {
            let path = invocation.surroundings().absolute(path);
            outfile::write(&path, id.as_str())?;
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
            exit_policy: match self.exit_policy.as_deref() {
                None | Some("" | "continue") => ExitPolicy::Continue,
                Some("stop") => ExitPolicy::Stop,
                Some(other) => {
                    return Err(refuse("--exit-policy", other, "neither continue nor stop"));
                }
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

/// A pod with what `containers.conf` says of the container of its own, where it has one.
fn with_usual_infra(mut pod: PodOptions, said: &Engine) -> PodOptions {
    let said_of = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let shares_own = pod.shared.contains(&Shared::Pid) && pod.members.pid == Sharing::Unsaid;
    if pod.infra.is_some() || shares_own {
        let infra = pod.infra.get_or_insert_default();
        infra.image = infra.image.take().or_else(|| said_of(&said.infra_image));
        if infra.command.is_empty()
            && let Some(command) = said_of(&said.infra_command)
        {
            infra.command = command.split_whitespace().map(str::to_owned).collect();
        }
    }
    pod
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
    fn the_file_says_of_what_the_pods_own_container_is_made_where_there_is_one() {
        let said = Engine {
            infra_image: Some("pause".to_owned()),
            infra_command: Some("/pause -v".to_owned()),
            ..Engine::default()
        };
        let with = |infra: Option<InfraOptions>| PodOptions { infra, ..PodOptions::default() };
        let own = InfraOptions { image: Some("mine".to_owned()), ..InfraOptions::default() };

        assert!(with_usual_infra(with(None), &said).infra.is_none());
        let usual = with_usual_infra(with(Some(InfraOptions::default())), &said).infra.unwrap();
        assert_eq!(
            (usual.image.as_deref(), &usual.command[..]),
            (Some("pause"), &["/pause".to_owned(), "-v".to_owned()][..])
        );
        let mine = with_usual_infra(with(Some(own)), &said).infra.unwrap();
        assert_eq!(mine.image.as_deref(), Some("mine"));
    }

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
