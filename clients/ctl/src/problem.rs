//! What a problem of the box means for whoever runs the program: how it ends, and what a person can do about it.

use authenteon_box::Problem;

use crate::exit::Exit;

/// A refusal by the box, on the command line.
pub(crate) trait Told {
    /// How the program ends.
    fn exit(&self) -> Exit;

    /// What a person can do about it.
    fn advice(&self) -> Option<&'static str>;
}

impl Told for Problem {
    fn exit(&self) -> Exit {
        match (self.status, self.slug()) {
            (_, "locked" | "unprovisioned") => Exit::Locked,
            (_, "audit-broken") => Exit::Tampered,
            // The box can be reached, and does not do its work.
            (_, "failed" | "hangs") => Exit::Failure,
            // The box can be reached; it is its reader that cannot.
            (_, "sensor-absent" | "sensor-removed" | "sensor-failed") => Exit::Failure,
            // The same of its directory.
            (_, slug) if slug.starts_with("directory-") => Exit::Failure,
            (401 | 403, _) => Exit::NotPermitted,
            (502..=504, _) => Exit::Unreachable,
            _ => Exit::Failure,
        }
    }

    fn advice(&self) -> Option<&'static str> {
        match (self.status, self.slug()) {
            (_, "locked") => Some("An administrator gives it with: authenteonctl unlock."),
            (_, "unprovisioned") => Some("The box has not been claimed yet; claim it first."),
            (_, "failed") => Some("Look at all of it with: authenteonctl diagnose."),
            (_, "audit-broken") => Some("See where, with: authenteonctl audit verify."),
            (_, "hangs") => Some("Where a watchdog is armed, it restarts the box by itself."),
            (_, "sensor-absent" | "sensor-removed") => {
                Some("Plug the reader in; the box finds it by itself within seconds.")
            }
            (_, "sensor-not-adopted") => {
                Some("An administrator looks at it and adopts it with: authenteonctl sensor adopt READER.")
            }
            (_, "sensor-moved") => Some(
                "An administrator looks at it and adopts it as it is now: authenteonctl sensor adopt READER.",
            ),
            (_, "sensor-suspended") => {
                Some("An administrator looks at it and resumes it with: authenteonctl sensor resume READER.")
            }
            (_, "sensor-changed" | "sensor-not-suspended") => {
                Some("Look at what is there with: authenteonctl sensor list.")
            }
            (_, "case-open") => Some("Close it; the box notices within a second."),
            (_, "unknown-directory") => Some("Look what there is with: authenteonctl directory status."),
            (_, "not-waiting") => Some("Look what waits with: authenteonctl directory status NAME."),
            (_, "followed") => Some("Look which it is with: authenteonctl subject show ID."),
            (_, "on-trial") => Some("Wait until the update is kept: authenteonctl update status."),
            (_, "sensor-busy") => Some("Somebody else uses this reader; try again in a moment."),
            (_, "sensor-timeout") => Some("Lay a finger down sooner, or wait longer with --wait SECONDS."),
            (_, "sensor-failed") => Some("Test it with: authenteonctl sensor test READER."),
            (_, "unknown-sensor") => Some("Look at what is there with: authenteonctl sensor list."),
            (_, "claimed") => Some(
                "Its administrator can register you. If your own claim was not answered, repeat it with \
                 the same code and --out.",
            ),
            (_, "wrong-code") => Some(
                "Read the code again; a box that is not claimed shows it on its console, and may show another by now.",
            ),
            (_, "claim-locked") => Some("Wait; a restart of the box lets you try again at once."),
            (_, "too-many-attempts") => Some("Wait."),
            (_, "not-signed-in") => Some(
                "Account, password or code is not right; a code is good once, so wait for the next one. An administrator \
                 takes password and codes away with: authenteonctl account reset.",
            ),
            (_, "code-used") => Some("Look who came with it: authenteonctl station list."),
            (_, "not-a-csr") => Some("Remove administrator.key, or give another --out."),
            (_, "no-updates") => Some("Its configuration needs an [update] section."),
            (_, "store-damaged") => Some(
                "On the box, with the daemon stopped: authenteond store repair --config FILE. It gives up what is \
                 behind the place; a backup gives up less.",
            ),
            (_, "upkeep-running") => Some("Ask how far it is with: authenteonctl db stats."),
            (_, "no-upkeep") => Some("Wait until the update is kept: authenteonctl update status."),
            (_, "store-full") => Some("health says how much is free; remove subjects who are gone."),
            (_, "wrong-passphrase") => {
                Some("Each wrong one after the third makes the next attempt wait longer.")
            }
            (_, "passphrase-missing") => Some("Give the present one with --current-file FILE."),
            (_, "passphrase-too-short") => {
                Some("Four or five words that have nothing to do with each other are long enough.")
            }
            (_, "not-encrypted") => Some("Wait until the update is kept: authenteonctl update status."),
            (_, "no-tpm") => Some("Its configuration names the TPM: [store] tpm. A passphrase needs none."),
            (_, "not-locked") => Some("Nothing was to be done."),
            (_, "wrong-backup-passphrase") => {
                Some("It is the backup's own, not the one that unlocks the box.")
            }
            (_, "not-a-backup" | "backup-damaged" | "no-backup" | "not-erasures" | "bad-expiry") => {
                Some("The box is as it was.")
            }
            (_, "backup-newer") => Some("Update the box first: authenteonctl update apply."),
            (_, "backup-expired") => Some("With --even-expired, if you know who was erased since."),
            (_, "other-erasures") => Some("The list says in `stores` which boxes it is of, and up to where."),
            (_, "erasures-needed") => Some("With --erasures FILE, or --without-erasures."),
            (_, "not-empty") => Some("Try what the backup holds with --dry-run."),
            (_, "restore-busy") => Some("Wait until it is done."),
            (_, "update-state" | "no-room") => Some("Look at it with: authenteonctl update status."),
            (401, _) => Some(
                "Give a client certificate that this box has registered: --cert and --key \
                 (on the box: authenteond client add).",
            ),
            (403, _) => Some(
                "This certificate has another role. Officers manage subjects and fingers, \
                 stations verify and identify.",
            ),
            (404, _) => Some("Look it up with: authenteonctl subject list."),
            (409, _) => Some("Look at what is there with: authenteonctl subject show ID."),
            (413, _) => Some("Send smaller images; 500 dpi in grey is what the matcher uses."),
            (400 | 415, _) => Some("Client and box may differ in version; compare them with health."),
            (422, _) => Some("Take the print again, or give the right --dpi."),
            (429 | 503, _) => Some("Try again in a moment."),
            (500.., _) => Some("Look at the box's log for the id of this request."),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_unknown_is_a_failure() {
        let body = br#"{"type":"urn:authenteon:problem:unknown-subject","title":"Unknown subject",
            "status":404,"detail":"no such subject","instance":"urn:authenteon:request:7"}"#;
        let problem = Problem::parse(404, body);
        assert_eq!(problem.exit(), Exit::Failure);
    }

    #[test]
    fn a_box_behind_which_nobody_answers_is_not_reached() {
        let problem = Problem::parse(502, b"<html>");
        assert_eq!(problem.exit(), Exit::Unreachable);
    }

    #[test]
    fn the_status_line_wins_over_the_body() {
        assert_eq!(Problem::parse(403, br#"{"status":200}"#).exit(), Exit::NotPermitted);
    }

    #[test]
    fn an_audit_that_does_not_hold_is_tampering_whoever_finds_it() {
        let body = br#"{"type":"urn:authenteon:problem:audit-broken","title":"x","status":500}"#;
        assert_eq!(Problem::parse(500, body).exit(), Exit::Tampered);
    }

    #[test]
    fn a_locked_box_has_its_own_exit_code_whatever_the_status() {
        for slug in ["locked", "unprovisioned"] {
            let body = format!(r#"{{"type":"urn:authenteon:problem:{slug}","title":"x","status":503}}"#);
            assert_eq!(Problem::parse(503, body.as_bytes()).exit(), Exit::Locked);
        }
    }
}
