//! Time as the platform writes it: RFC 3339 in UTC with nanoseconds, and as a number in rows.

use crate::{Error, Kind, Result};
use jiff::{Timestamp, tz::TimeZone};
use std::time::Duration;

/// A moment, with nanoseconds.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Moment(Timestamp);

impl Moment {
    /// The present, by the system's clock.
    pub fn now() -> Self {
        Self(Timestamp::now())
    }

    /// Nanoseconds since 1970, as rows keep it. The range ends in the year 2262.
    pub fn unix_nanoseconds(self) -> i64 {
        i64::try_from(self.0.as_nanosecond()).unwrap_or(i64::MAX)
    }

    /// The moment that a row keeps.
    pub fn from_unix_nanoseconds(nanoseconds: i64) -> Self {
        // Every i64 of nanoseconds lies within jiff's range of years -9999 to 9999.
        Self(Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// Reads RFC 3339, as image configurations carry it.
    pub fn parse(text: &str) -> Result<Self> {
        text.parse::<Timestamp>().map(Self).map_err(|error| {
            Error::new(Kind::Invalid, format!("parse time {text:?}")).because(error)
        })
    }

    /// `2026-11-22T03:19:00.123456789Z`, always with nine digits, so that texts sort as times do.
    pub fn rfc3339(self) -> String {
        format!("{:.9}", self.0)
    }

    /// In the machine's time zone, as Go prints a time: `2026-11-22 03:19:00 +0000 UTC`. It is what
    /// docker's lists have.
    pub fn as_go_prints(self) -> String {
        self.0.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
    }

    /// In the machine's time zone and as short as `ps` writes it: `14:03` today, `Nov28` this year,
    /// ` 2025` before.
    pub fn briefly(self, now: Self) -> String {
        let zone = TimeZone::system();
        let (own, now) = (self.0.to_zoned(zone.clone()), now.0.to_zoned(zone));
        let form = match () {
            () if own.date() == now.date() => "%H:%M",
            () if own.year() == now.year() => "%b%d",
            () => " %Y",
        };
        own.strftime(form).to_string()
    }

    /// How long ago `earlier` was; nothing where it lies in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::try_from(self.0.duration_since(earlier.0)).unwrap_or_default()
    }
}

/// A duration in docker's words: `3 seconds`, `About a minute`, `2 hours`, `5 weeks`.
pub fn humanly(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_survive_rows_and_text() {
        let moment = Moment::parse("2026-11-22T03:19:00.1+01:00").unwrap();

        assert_eq!(moment.rfc3339(), "2026-11-22T02:19:00.100000000Z");
        assert_eq!(Moment::from_unix_nanoseconds(moment.unix_nanoseconds()), moment);
    }

    #[test]
    fn durations_read_as_in_docker() {
        let cases = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (61, "About a minute"),
            (3599, "59 minutes"),
            (3601, "About an hour"),
            (7200, "2 hours"),
            (86_400 * 3, "3 days"),
            (86_400 * 20, "2 weeks"),
            (86_400 * 90, "3 months"),
            (86_400 * 365 * 3, "3 years"),
        ];
        for (seconds, text) in cases {
            assert_eq!(humanly(Duration::from_secs(seconds)), text, "{seconds} seconds");
        }
    }
}
