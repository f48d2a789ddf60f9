//! `secret inspect`: all that is known of secrets, but what is secret.

use super::super::documents::Documents;
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::{Engine, Secret};
use serde_json::{Value, json};

/// Show all that is known of secrets, but what is secret
#[derive(clap::Args, Debug)]
pub(crate) struct Inspect {
    /// The secrets, by name or id
    #[arg(required = true, value_name = "SECRET")]
    secrets: Vec<String>,

    /// Print as json or by a template such as '{{.Spec.Name}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,

    /// Print for people
    #[arg(long, conflicts_with = "format")]
    pretty: bool,

    /// Show what is secret too
    #[arg(long)]
    showsecret: bool,
}

impl Act for Inspect {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut documents = Documents::new(self.format.as_deref())?;
        let mut engine = invocation.engine()?;
        for name in &self.secrets {
            documents.take(self.shown(&mut engine, name, invocation), invocation);
        }
        if self.pretty {
            return Ok(documents.code());
        }
        documents.print(invocation)
    }
}

impl Inspect {
    fn shown(&self, engine: &mut Engine, name: &str, invocation: &Invocation) -> Result<Value> {
        let secret = engine.secret(name)?;
        let mut document = document(&secret);
        if self.showsecret {
            let content = engine.secret_content(name)?;
            document["SecretData"] = String::from_utf8_lossy(&content).into();
        }
        if self.pretty {
            invocation.console.line(&for_people(&secret))?;
        }
        Ok(document)
    }
}

/// Podman's document.
fn document(secret: &Secret) -> Value {
    json!({
        "ID": secret.id,
        "CreatedAt": secret.created.rfc3339(),
        "UpdatedAt": secret.updated.rfc3339(),
        "Spec": {
            "Name": secret.name.as_str(),
            "Driver": { "Name": "file", "Options": {} },
            "Labels": secret.labels,
        },
    })
}

fn for_people(secret: &Secret) -> String {
    let labels: Vec<String> =
        secret.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!(
        "ID: {}\nName: {}\nLabels: {}\nDriver: file\nCreated at: {}\nUpdated at: {}",
        secret.id,
        secret.name,
        labels.join(","),
        secret.created.rfc3339(),
        secret.updated.rfc3339()
    )
}
