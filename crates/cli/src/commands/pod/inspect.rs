//! `pod inspect`: all that is known of pods.

use super::super::documents::Documents;
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::pods::Pod;
use serde_json::{Value, json};

/// Show all that is known of pods
///
/// One pod is one JSON object, several are an array, as in podman.
#[derive(clap::Args, Debug)]
pub(crate) struct Inspect {
    /// The pods, by name or id
    #[arg(required_unless_present = "latest", value_name = "POD")]
    pods: Vec<String>,

    /// The newest pod
    #[arg(short, long, conflicts_with = "pods")]
    latest: bool,

    /// Print as json or by a template such as '{{.State}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Act for Inspect {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut documents = Documents::new(self.format.as_deref())?;
        let mut engine = invocation.engine()?;
        if self.latest {
            documents.found.extend(engine.pods()?.first().map(document));
        }
        for name in &self.pods {
            documents.take(engine.pod(name).map(|pod| document(&pod)), invocation);
        }
        match &documents.found[..] {
            [one] => {
                let one = one.clone();
                documents.print_as(&one, invocation)
            }
            _ => documents.print(invocation),
        }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(parent, _)| parent)
}

/// Podman's document.
fn document(pod: &Pod) -> Value {
    let shared: Vec<&str> = pod.shared.iter().map(|what| what.word()).collect();
    let members: Vec<Value> = pod
        .members
        .iter()
        .map(|one| json!({ "Id": one.id.as_str(), "Name": one.name, "State": one.phase.word() }))
        .collect();
    json!({
        "Id": pod.id.as_str(),
        "Name": pod.name.as_str(),
        "Created": pod.created.rfc3339(),
        "ExitPolicy": pod.exit_policy.word(),
        "State": pod.status(),
        "Hostname": pod.hostname,
        "Labels": pod.labels,
        "CreateCgroup": pod.cgroup.is_some(),
        "CgroupParent": pod.cgroup.as_deref().map_or("/dhow", parent),
        "CgroupPath": pod.cgroup,
        "CreateInfra": pod.infra.is_some(),
        "InfraContainerID": pod.infra.as_ref().map_or("", |id| id.as_str()),
        "SharedNamespaces": shared,
        "NumContainers": pod.members.len(),
        "Containers": members,
    })
}
