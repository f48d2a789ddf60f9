//! How often, and after which pause, a request is tried again.

use super::refuse;
use dhow_base::{Result, duration};
use dhow_image::Patience;

/// Flags for new tries.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct RetryFlags {
    /// How often a request is tried again
    #[arg(long, value_name = "TIMES")]
    retry: Option<u32>,

    /// The pause before the first new try, such as 2s, which doubles from try to try
    #[arg(long, value_name = "DURATION")]
    retry_delay: Option<String>,
}

impl RetryFlags {
    /// Lays them over what is usual.
    pub(crate) fn lay_over(&self, patience: &mut Patience) -> Result<()> {
        if let Some(times) = self.retry {
            patience.retries = times;
        }
        if let Some(text) = &self.retry_delay {
            let pause = duration::parse(text).filter(|pause| *pause <= patience.longest_pause);
            patience.first_pause = pause.ok_or_else(|| {
                refuse("--retry-delay", text, "no pause of up to a minute")
                    .hint("write it as 500ms, 2s or 1m")
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_pause_is_kept_where_it_is_one() {
        let laid = |delay: &str| {
            let mut patience = Patience::default();
            let flags = RetryFlags { retry: Some(1), retry_delay: Some(delay.to_owned()) };
            flags.lay_over(&mut patience).map(|()| (patience.retries, patience.first_pause))
        };

        assert_eq!(laid("1500ms").unwrap(), (1, Duration::from_millis(1500)));
        assert_eq!(laid("1m").unwrap(), (1, Duration::from_secs(60)));
        for bad in ["2", "61s", "soon", "-1s"] {
            assert!(laid(bad).is_err(), "{bad}");
        }
    }
}
