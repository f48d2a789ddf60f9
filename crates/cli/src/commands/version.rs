//! `version`: what this program is, in docker's shape: the client and the server are one binary.

use super::look::pretty;
use crate::{exit::SUCCESS, invocation::Invocation, render::template::Format, tree::Act};
use dhow_base::Result;
use serde_json::{Value, json};

/// Show the version
///
/// As text, as json, or by a template such as '{{.Server.Version}}'.
#[derive(clap::Args, Debug)]
pub(crate) struct Version {
    /// Print as json or by a template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Act for Version {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let document = document();
        let text = match self.format.as_deref() {
            None | Some("") => text(&document).into_bytes(),
            Some("json") => pretty(&document)?,
            Some(text) => {
                format!("{}\n", Format::parse(text)?.fill(&with_foreign(document))?).into_bytes()
            }
        };
        invocation.console.print(text)?;
        Ok(SUCCESS)
    }
}

/// The version of this program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

fn document() -> Value {
    let platform = dhow_spec::image::Platform::host();
    let uname = rustix::system::uname();
    let kernel = uname.release().to_string_lossy();
    let (os, arch) = (&platform.os, &platform.architecture);
    json!({
        "Client": {
            "Platform": { "Name": "dhow" },
            "Version": VERSION,
            "Os": os,
            "Arch": arch,
            "OsArch": format!("{os}/{arch}"),
        },
        "Server": {
            "Platform": { "Name": "dhow" },
            "Components": [
                {
                    "Name": "Engine",
                    "Version": VERSION,
                    "Details": { "Os": os, "Arch": arch, "KernelVersion": kernel },
                },
                { "Name": "runtime", "Version": VERSION, "Details": { "Spec": dhow_spec::runtime::OCI_VERSION } },
            ],
            "Version": VERSION,
            "Os": os,
            "Arch": arch,
            "KernelVersion": kernel,
        },
    })
}

/// What docker's and podman's templates may name besides, and nothing here has: there is no API, no Go,
/// and the version is all that is known of when it was made.
fn with_foreign(mut document: Value) -> Value {
    const FOREIGN: [&str; 7] = [
        "APIVersion",
        "MinAPIVersion",
        "GoVersion",
        "GitCommit",
        "BuildTime",
        "BuiltTime",
        "Context",
    ];
    for side in ["Client", "Server"] {
        for field in FOREIGN {
            document[side][field] = json!("");
        }
        document[side]["Built"] = json!(0);
    }
    document["Server"]["OsArch"] = document["Client"]["OsArch"].clone();
    document
}

fn text(document: &Value) -> String {
    let word =
        |side: &str, field: &str| document[side][field].as_str().unwrap_or_default().to_owned();
    let both = |side: &str| {
        format!(
            " Version:    {}\n OS/Arch:    {}/{}\n",
            word(side, "Version"),
            word(side, "Os"),
            word(side, "Arch")
        )
    };
    format!(
        "Client: dhow\n{}\nServer: dhow, in the same program\n{} Kernel:     {}\n",
        both("Client"),
        both("Server"),
        word("Server", "KernelVersion")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_of_docker_and_podman_are_filled() {
        let with = |text: &str| Format::parse(text).unwrap().fill(&with_foreign(document()));

        assert_eq!(with("{{.Client.Version}}{{.Client.APIVersion}}").unwrap(), VERSION);
        assert_eq!(with("{{.Server.MinAPIVersion}}{{.Client.Built}}").unwrap(), "0");
        assert_eq!(with("{{.Server.OsArch}}").unwrap(), with("{{.Client.OsArch}}").unwrap());
        assert!(with("{{.Client.Bogus}}").is_err());
    }
}
