//! A container in podman's lists: other names of fields, and values that are no text.

use super::ports;
use crate::{commands::network::shown_name, manners::Manners, render::list::Podmans};
use dhow_base::{Digest, Result, clock::Moment};
use dhow_engine::{Engine, Summary};
use dhow_state::containers::Phase;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// What rows have in common, looked up once.
#[derive(Debug)]
pub(super) struct Rows {
    /// The ids of images, by the digests of their manifests.
    images: HashMap<Digest, String>,
}

impl Rows {
    pub(super) fn of(engine: &mut Engine) -> Result<Self> {
        let (images, state) = engine.images();
        let ids = images.outlines(state)?.into_iter();
        Ok(Self { images: ids.map(|image| (image.manifest, image.id.hex().to_owned())).collect() })
    }

    pub(super) fn row(&self, container: &Summary) -> Podmans {
        let image = container.image.as_ref().and_then(|manifest| self.images.get(manifest));
        let labels: Map<String, Value> =
            container.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let fields = json!({
            "Created": seconds(Some(container.created)),
            "Exited": container.phase == Phase::Exited,
            "ExitedAt": seconds(container.finished),
            "ImageID": image.map_or("", String::as_str),
            "Labels": labels,
            "StartedAt": seconds(container.started),
        });
        let networks: Vec<&str> =
            container.networks.iter().map(|name| shown_name(name, Manners::Podman)).collect();
        let (pod, pod_name) = container.pod();
        // podman's own `Status` is the health alone.
        let status = container.health.as_deref().unwrap_or_default();
        let mut document = json!({
            "Command": container.words,
            "CreatedAt": container.created.as_go_prints(),
            "ExitCode": container.exit_code.unwrap_or(0),
            "Id": container.id.as_str(),
            "Image": container.image_name,
            "Mounts": container.mounts,
            "Names": [container.name],
            "Networks": networks,
            "Pid": container.pid.unwrap_or(0),
            "Pod": pod,
            "PodName": pod_name,
            "Ports": ports::podmans(&container.ports),
            "State": container.status(),
            "Status": status,
        });
        let Value::Object(fields) = fields else { return Podmans::default() };
        if let Value::Object(document) = &mut document {
            document.extend(fields.clone());
        }
        Podmans { document, fields }
    }
}

/// Seconds since 1970; where there is no time, as many as Go has before its first.
fn seconds(moment: Option<Moment>) -> i64 {
    const NEVER: i64 = -62_135_596_800;
    moment.map_or(NEVER, |moment| moment.unix_nanoseconds().div_euclid(1_000_000_000))
}
