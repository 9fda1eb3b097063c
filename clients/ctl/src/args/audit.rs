//! What `audit` takes.

use std::path::PathBuf;

use clap::Subcommand;
use uuid::Uuid;

/// Commands of the audit.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Show the newest records
    Tail {
        /// How many of the newest to look at
        #[arg(short = 'n', long, value_name = "N", default_value = "20")]
        last: u64,
        /// Go on with what is written from now on, until it is interrupted
        #[arg(short, long)]
        follow: bool,
        #[command(flatten)]
        filter: AuditFilter,
    },
    /// Find out whether the audit was changed or cut short; exit code 6 when it was
    Verify(AuditVerify),
    /// Write records to a file, a line each, that can be verified without the box
    Export {
        /// Where to write it
        file: PathBuf,
        /// Not before this moment, such as 2026-11-23 or 2026-11-23T08:30:00Z
        #[arg(long, value_name = "MOMENT", value_parser = moment)]
        from: Option<String>,
        /// Before this moment
        #[arg(long, value_name = "MOMENT", value_parser = moment)]
        to: Option<String>,
        /// Replace FILE when it is there
        #[arg(long)]
        force: bool,
    },
    /// Print the signed head of the audit as it is now: keep it elsewhere, and give it to verify later
    Anchor,
    /// Print the public key that the box signs its audit with
    Key,
    /// Say how far each destination of the configuration has the audit; exit code 1 when one fails
    Forwarding,
}

/// Which records are shown.
#[derive(Debug, clap::Args)]
pub(crate) struct AuditFilter {
    /// Only this kind of event, such as verified
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub(crate) event: Option<String>,
    /// Only what is about this person
    #[arg(long, value_name = "ID")]
    pub(crate) subject: Option<Uuid>,
    /// Not before this moment, such as 2026-11-23 or 2026-11-23T08:30:00Z
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    pub(crate) since: Option<String>,
    /// Before this moment
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    pub(crate) until: Option<String>,
}

/// What is verified, and against what.
#[derive(Debug, clap::Args)]
pub(crate) struct AuditVerify {
    /// A signed head that was kept elsewhere, from: authenteonctl audit anchor
    #[arg(long, value_name = "FILE")]
    pub(crate) anchor: Option<PathBuf>,
    /// Verify this export instead of what the box has; no box is asked
    #[arg(long, value_name = "EXPORT")]
    pub(crate) file: Option<PathBuf>,
    /// Verify this proof of an erasure; no box is asked, and an anchor says whose key it has to be of
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub(crate) proof: Option<PathBuf>,
}

/// A moment as the API has it: a day is its beginning in UTC.
fn moment(text: &str) -> Result<String, String> {
    let form = |text: &str, form: &str| {
        text.len() == form.len()
            && text
                .bytes()
                .zip(form.bytes())
                .all(|(c, f)| if f == b'0' { c.is_ascii_digit() } else { c == f })
    };
    let fraction = text.strip_suffix('Z').and_then(|text| text.split_once('.'));
    let whole = fraction.map(|(whole, _)| format!("{whole}Z"));
    let digits =
        fraction.is_none_or(|(_, rest)| !rest.is_empty() && rest.bytes().all(|c| c.is_ascii_digit()));
    if form(text, "0000-00-00") {
        Ok(format!("{text}T00:00:00Z"))
    } else if digits && form(whole.as_deref().unwrap_or(text), "0000-00-00T00:00:00Z") {
        Ok(text.to_owned())
    } else {
        Err("a day or a moment in UTC, such as 2026-11-23 or 2026-11-23T08:30:00Z".to_owned())
    }
}

/// It becomes part of a path.
fn kind(text: &str) -> Result<String, String> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    if plain { Ok(text.to_owned()) } else { Err("a kind of event, such as subject-created".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_day_or_a_time_in_utc_and_nothing_that_would_change_the_question() {
        assert_eq!(moment("2026-11-23").unwrap(), "2026-11-23T00:00:00Z");
        for good in ["2026-11-23T08:30:00Z", "2026-11-23T08:30:00.123Z"] {
            assert_eq!(moment(good).unwrap(), good);
        }
        for bad in [
            "",
            "yesterday",
            "2026-11-23T08:30:00",
            "2026-11-23T08:30:00.Z",
            "2026-11-23&limit=1",
            "2026-1-2",
        ] {
            assert!(moment(bad).is_err(), "{bad}");
        }
        assert!(kind("subject-created").is_ok() && kind("a&b").is_err());
    }
}
