//! `secret inspect`: all that is known of secrets, but what is secret.

use super::super::look::pretty;
use crate::{
    exit::{FAILURE, SUCCESS},
    invocation::Invocation,
    render::template::Format,
    tree::Act,
};
use dhow_base::Result;
use dhow_engine::Secret;
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
        let format = match self.format.as_deref() {
            None | Some("" | "json") => None,
            Some(text) => Some(Format::parse(text)?),
        };
        let mut engine = invocation.engine()?;
        let mut documents = Vec::new();
        let mut code = SUCCESS;
        for name in &self.secrets {
            let shown = engine.secret(name).and_then(|secret| {
                let mut document = document(&secret);
                if self.showsecret {
                    let content = engine.secret_content(name)?;
                    document["SecretData"] = String::from_utf8_lossy(&content).into();
                }
                if self.pretty {
                    invocation.console.line(&for_people(&secret))?;
                }
                Ok(document)
            });
            match shown {
                Ok(document) => documents.push(document),
                Err(error) => {
                    invocation.console.error(&error);
                    code = FAILURE;
                }
            }
        }
        if self.pretty {
            return Ok(code);
        }
        let text = match format {
            Some(format) => {
                let line = |document| Ok(format!("{}\n", format.fill(document)?));
                documents.iter().map(line).collect::<Result<String>>()?.into_bytes()
            }
            None => pretty(&documents)?,
        };
        invocation.console.print(text)?;
        Ok(code)
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
