//! Flags of skopeo's for what dhow does not do: signatures, encryption, Docker's daemon.
//!
//! Each is known, so that its value is not taken for something else, and none is swallowed: what
//! somebody would rely on is refused by name, what only changes the pace is said not to be kept.

use crate::console::Console;
use dhow_base::{Error, Kind, Result};

const NO_DAEMON: &str = "Docker's daemon is no place of images here";

/// Flags for signatures of what is copied.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct SigningFlags {
    /// Refused: nothing is signed yet
    #[arg(long, value_name = "KEY", hide = true)]
    sign_by: Option<String>,

    /// Refused: nothing is signed yet
    #[arg(long, value_name = "FINGERPRINT", hide = true)]
    sign_by_sq_fingerprint: Option<String>,

    /// Refused: nothing is signed yet
    #[arg(long, value_name = "FILE", hide = true)]
    sign_by_sigstore: Option<String>,

    /// Refused: nothing is signed yet
    #[arg(long, value_name = "FILE", hide = true)]
    sign_by_sigstore_private_key: Option<String>,

    /// Refused: nothing is signed yet
    #[arg(long, value_name = "NAME", hide = true)]
    sign_identity: Option<String>,

    /// Refused: nothing is signed yet
    #[arg(long, value_name = "FILE", hide = true)]
    sign_passphrase_file: Option<String>,
}

/// The flag for Docker's daemon as the place that is looked at.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct DaemonFlags {
    /// Refused: Docker's daemon is no place of images here
    #[arg(long, value_name = "HOST", hide = true)]
    daemon_host: Option<String>,
}

impl DaemonFlags {
    /// Refuses what is said there.
    pub(crate) fn check(&self) -> Result<()> {
        refuse_any([("--daemon-host", self.daemon_host.is_some())], NO_DAEMON)
    }
}

/// Flags for encrypted layers and for Docker's daemon as a place.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct CopyingFlags {
    /// Refused: no layer is decrypted
    #[arg(long, value_name = "KEY", hide = true)]
    decryption_key: Vec<String>,

    /// Refused: no layer is encrypted
    #[arg(long, value_name = "NUMBER", hide = true, allow_hyphen_values = true)]
    encrypt_layer: Vec<String>,

    /// Refused: no layer is encrypted
    #[arg(long, value_name = "KEY", hide = true)]
    encryption_key: Vec<String>,

    /// Refused: Docker's daemon is no place to copy from
    #[arg(long, value_name = "HOST", hide = true)]
    src_daemon_host: Option<String>,

    /// Refused: Docker's daemon is no place to copy to
    #[arg(long, value_name = "HOST", hide = true)]
    dest_daemon_host: Option<String>,

    /// Not kept: dhow sends as many layers at once as suits it
    #[arg(long, value_name = "NUMBER", hide = true)]
    image_parallel_copies: Option<u32>,
}

/// Flags for the pace of new tries.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct PaceFlags {
    /// Not kept: the registry says when to try again, or the pauses double
    #[arg(long, value_name = "DURATION", hide = true)]
    retry_delay: Option<String>,
}

impl SigningFlags {
    /// Refuses to copy without the signature that somebody wants.
    pub(crate) fn check(&self) -> Result<()> {
        let all = [
            ("--sign-by", &self.sign_by),
            ("--sign-by-sq-fingerprint", &self.sign_by_sq_fingerprint),
            ("--sign-by-sigstore", &self.sign_by_sigstore),
            ("--sign-by-sigstore-private-key", &self.sign_by_sigstore_private_key),
            ("--sign-identity", &self.sign_identity),
            ("--sign-passphrase-file", &self.sign_passphrase_file),
        ];
        refuse_any(all.map(|(flag, value)| (flag, value.is_some())), "nothing is signed yet")
    }
}

impl CopyingFlags {
    /// Refuses what would make another copy than the one that somebody wants.
    pub(crate) fn check(&self, console: Console) -> Result<()> {
        let ciphers = [
            ("--decryption-key", !self.decryption_key.is_empty()),
            ("--encrypt-layer", !self.encrypt_layer.is_empty()),
            ("--encryption-key", !self.encryption_key.is_empty()),
        ];
        refuse_any(ciphers, "layers are neither encrypted nor decrypted")?;
        let daemons = [
            ("--src-daemon-host", self.src_daemon_host.is_some()),
            ("--dest-daemon-host", self.dest_daemon_host.is_some()),
        ];
        refuse_any(daemons, NO_DAEMON)?;
        if self.image_parallel_copies.is_some() {
            console.warning(
                "--image-parallel-copies: as many layers go at once as suits dhow; this number is not kept",
            );
        }
        Ok(())
    }
}

impl PaceFlags {
    /// Says what is not kept.
    pub(crate) fn check(&self, console: Console) {
        if self.retry_delay.is_some() {
            console.warning(
                "--retry-delay: a registry says when to try again, or the pauses double; this one is not kept",
            );
        }
    }
}

/// Refuses the first of these flags that was given.
pub(crate) fn refuse_any<const N: usize>(flags: [(&str, bool); N], why: &str) -> Result<()> {
    match flags.iter().find(|(_, is_said)| *is_said) {
        Some((flag, _)) => Err(Error::new(Kind::Unsupported, format!("{flag}: {why}"))),
        None => Ok(()),
    }
}
