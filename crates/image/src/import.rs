//! An image of one layer from the tar file of a file system: what `docker import` does.

use crate::{Image, Images, LocalImage, place::target::pour};
use dhow_archive::Decoder;
use dhow_base::{Doing, Error, Kind, Result, clock::Moment, duration};
use dhow_distribution::Address;
use dhow_spec::image::{ExecutionConfig, History, ImageConfig, Platform, RootFs};
use dhow_state::State;
use serde_json::{Map, Value, json};
use std::io::Read;

/// What the image is to be.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Its name.
    pub name: Option<String>,
    /// Changes to its configuration, as lines of a Dockerfile.
    pub changes: Vec<String>,
    /// Why it was made.
    pub message: Option<String>,
    /// For which platform it is, if not this one.
    pub platform: Option<Platform>,
    /// Where the file came from, for its history.
    pub source: String,
}

impl Images {
    /// Makes an image of a tar stream, which may be compressed.
    pub fn import(
        &self,
        state: &mut State,
        stream: &mut (dyn Read + Send),
        options: &ImportOptions,
    ) -> Result<Image> {
        let config = config(options)?;
        let local = LocalImage { name: options.name.clone(), config };
        let mut stream = Some(stream);
        self.create(state, &local, &mut |sink| {
            let stream = stream
                .take()
                .ok_or_else(|| Error::new(Kind::Internal, "the stream can be read only once"))?;
            let mut plain = Decoder::detect(stream, self.bounds.decoding.clone())?;
            pour(&mut plain, sink).map(drop)
        })
        .map_err(|error| match error.kind() {
            Kind::Corrupt => error.hint(
                "a tar file of a file system is wanted, compressed or not; `dhow load` takes what \
                 `dhow save` and `docker save` write",
            ),
            _ => error,
        })
        .doing(|| format!("import {}", options.source))
    }
}

impl Images {
    /// As [`Images::import`], of what is at an address.
    pub fn import_from(
        &self,
        state: &mut State,
        address: &Address,
        options: &ImportOptions,
    ) -> Result<Image> {
        let download = self.client()?.download(address, self.bounds.download_bytes);
        let mut stream = download.doing(|| format!("import {address}"))?;
        let source = address.to_string();
        self.import(state, &mut stream, &ImportOptions { source, ..options.clone() })
    }
}

fn config(options: &ImportOptions) -> Result<ImageConfig> {
    let mut config = ExecutionConfig::default();
    for change in &options.changes {
        apply(&mut config, change).doing(|| format!("--change {change:?}"))?;
    }
    let now = Moment::now().rfc3339();
    let platform = options.platform.clone().unwrap_or_else(Platform::host);
    Ok(ImageConfig {
        created: Some(now.clone()),
        author: None,
        architecture: platform.architecture,
        variant: platform.variant,
        os: platform.os,
        config,
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
        history: vec![History {
            created: Some(now),
            created_by: Some(format!("/bin/sh -c #(nop) ADD file from {}", options.source)),
            comment: Some(
                options
                    .message
                    .clone()
                    .unwrap_or_else(|| format!("Imported from {}", options.source)),
            ),
            ..History::default()
        }],
    })
}

/// Does what one line of a Dockerfile says: `CMD ["sh"]`, `ENV A=b`, also `CMD=sh`.
pub(crate) fn apply(config: &mut ExecutionConfig, change: &str) -> Result<()> {
    let change = change.trim();
    let invalid = |why: &str| Err(Error::new(Kind::Invalid, why.to_owned()));
    let end = change.find([' ', '\t', '=']).unwrap_or(change.len());
    let (word, rest) = (&change[..end], change.get(end + 1..).unwrap_or_default().trim());
    if rest.is_empty() {
        return invalid("it says nothing");
    }
    match word.to_ascii_uppercase().as_str() {
        "CMD" => config.cmd = command(rest)?,
        "ENTRYPOINT" => config.entrypoint = command(rest)?,
        "USER" => rest.clone_into(&mut config.user),
        "WORKDIR" => rest.clone_into(&mut config.working_dir),
        "STOPSIGNAL" => config.stop_signal = Some(rest.to_owned()),
        "ENV" => {
            for (name, value) in pairs(rest)? {
                config.env.retain(|old| old.split('=').next() != Some(&name));
                config.env.push(format!("{name}={value}"));
            }
        }
        "LABEL" => config.labels.extend(pairs(rest)?),
        "EXPOSE" => {
            for port in rest.split_whitespace() {
                let port = if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") };
                let number = port.split(['/', '-']).next().unwrap_or_default();
                if number.parse::<u16>().is_err() {
                    return invalid("it names no port");
                }
                config.exposed_ports.insert(port, json!({}));
            }
        }
        "VOLUME" => {
            let paths = match rest.starts_with('[') {
                true => command(rest)?,
                false => rest.split_whitespace().map(str::to_owned).collect(),
            };
            config.volumes.extend(paths.into_iter().map(|path| (path, json!({}))));
        }
        _ => {
            return invalid(
                "only CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR can be changed",
            );
        }
    }
    Ok(())
}

/// As [`apply`], for a configuration of which more is known than how to run it: `rest` has the fields
/// by their names in the document.
pub(crate) fn apply_all(
    config: &mut ExecutionConfig,
    rest: &mut Map<String, Value>,
    change: &str,
) -> Result<()> {
    let change = change.trim();
    let (word, text) = change.split_once([' ', '\t', '=']).unwrap_or((change, ""));
    let text = text.trim();
    match word.to_ascii_uppercase().as_str() {
        "ONBUILD" if !text.is_empty() => {
            match rest.entry("OnBuild").or_insert_with(|| json!([])).as_array_mut() {
                Some(triggers) => triggers.push(json!(text)),
                None => drop(rest.insert("OnBuild".to_owned(), json!([text]))),
            }
        }
        "SHELL" if text.starts_with('[') => {
            rest.insert("Shell".to_owned(), json!(command(text)?));
        }
        "HEALTHCHECK" if !text.is_empty() => {
            rest.insert("Healthcheck".to_owned(), health_check(text)?);
        }
        _ => return apply(config, change),
    }
    Ok(())
}

/// `NONE`, or `[--interval=1s …] CMD …`, as docker's document has it.
fn health_check(text: &str) -> Result<Value> {
    let invalid = |why: &str| Error::new(Kind::Invalid, why.to_owned());
    if text.eq_ignore_ascii_case("none") {
        return Ok(json!({ "Test": ["NONE"] }));
    }
    let mut check = Map::new();
    let mut rest = text;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        let (name, value) = flag.split_once('=').ok_or_else(|| invalid("a flag has no value"))?;
        let field = match name {
            "interval" => "Interval",
            "timeout" => "Timeout",
            "start-period" => "StartPeriod",
            "start-interval" => "StartInterval",
            "retries" => "Retries",
            _ => return Err(invalid("there is no such flag of HEALTHCHECK")),
        };
        let value = match field {
            "Retries" => value.parse().ok().map(|number: u32| json!(number)),
            _ => duration::parse(value)
                .and_then(|time| u64::try_from(time.as_nanos()).ok())
                .map(|time| json!(time)),
        };
        check.insert(field.to_owned(), value.ok_or_else(|| invalid("a flag makes no sense"))?);
        rest = after.trim_start();
    }
    let (word, words) = rest.split_once([' ', '\t', '[']).unwrap_or((rest, ""));
    if !word.eq_ignore_ascii_case("cmd") || words.is_empty() {
        return Err(invalid("HEALTHCHECK is NONE, or CMD and a command"));
    }
    let words = rest[word.len()..].trim();
    let mut test = if words.starts_with('[') {
        let mut test = vec!["CMD".to_owned()];
        test.extend(command(words)?);
        test
    } else {
        vec!["CMD-SHELL".to_owned(), words.to_owned()]
    };
    test.retain(|word| !word.is_empty());
    check.insert("Test".to_owned(), json!(test));
    Ok(Value::Object(check))
}

/// A command in JSON, or for a shell.
fn command(text: &str) -> Result<Vec<String>> {
    if text.starts_with('[') {
        return serde_json::from_str(text)
            .map_err(|error| Error::new(Kind::Invalid, format!("read a list: {error}")));
    }
    Ok(vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()])
}

/// `A=b C="d e"`, or `A b c` as Dockerfiles once had it.
fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    let words = words(text)?;
    let first_is_pair = words.first().is_some_and(|word| word.contains('='));
    if !first_is_pair {
        let (name, value) = text
            .split_once(char::is_whitespace)
            .ok_or_else(|| Error::new(Kind::Invalid, "a name needs a value: NAME=VALUE"))?;
        return Ok(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    words
        .into_iter()
        .map(|word| match word.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(Error::new(Kind::Invalid, "a name needs a value: NAME=VALUE")),
        })
        .collect()
}

/// Words as a shell splits them: quotes keep blanks, a backslash keeps the next letter.
pub fn words(text: &str) -> Result<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(letters.next()),
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (letter, Some(open)) if letter == open => quote = None,
            (letter, None) if letter.is_whitespace() => words.extend(word.take()),
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(Error::new(Kind::Invalid, "a quote is not closed"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_may_change_more() {
        let (mut config, mut rest) = (ExecutionConfig::default(), Map::new());
        for change in [
            "HEALTHCHECK --interval=5s --retries=2 CMD test -f /ok",
            "ONBUILD RUN x",
            "SHELL [\"/bin/ash\", \"-c\"]",
            "USER me",
        ] {
            apply_all(&mut config, &mut rest, change).unwrap();
        }

        assert_eq!(
            Value::Object(rest),
            json!({
                "Healthcheck": {
                    "Interval": 5_000_000_000_u64,
                    "Retries": 2,
                    "Test": ["CMD-SHELL", "test -f /ok"],
                },
                "OnBuild": ["RUN x"],
                "Shell": ["/bin/ash", "-c"],
            })
        );
        assert_eq!(config.user, "me");
        for wrong in ["HEALTHCHECK", "HEALTHCHECK CMD", "HEALTHCHECK --x=1 CMD a", "ONBUILD"] {
            assert!(apply_all(&mut config, &mut Map::new(), wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn changes_are_read_as_dockerfiles_have_them() {
        let mut config = ExecutionConfig::default();
        for change in [
            r#"CMD ["a", "b"]"#,
            "entrypoint run it",
            "ENV A=1 B=\"two words\"",
            "ENV=A=3",
            "ENV C one two",
            "LABEL x=y",
            "EXPOSE 80 53/udp",
            "VOLUME /data",
            "USER me",
            "WORKDIR /w",
            "STOPSIGNAL SIGINT",
        ] {
            apply(&mut config, change).unwrap();
        }

        assert_eq!(config.cmd, ["a", "b"]);
        assert_eq!(config.entrypoint, ["/bin/sh", "-c", "run it"]);
        assert_eq!(config.env, ["B=two words", "A=3", "C=one two"]);
        assert_eq!(config.labels["x"], "y");
        assert_eq!(config.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
        assert!(config.volumes.contains_key("/data"));
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("me", "/w"));
        for wrong in ["", "CMD", "RUN x", "ENV A", "LABEL a=b c", "EXPOSE x", "CMD [1", "ENV A='"] {
            let error = apply(&mut ExecutionConfig::default(), wrong).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{wrong}");
        }
    }
}
