//! What a server refuses, as what an administrator can do about it.
//!
//! Nothing of the server's own text is passed on: it may hold names. Codes are.

use ldap3::LdapResult;

use crate::directory::DirectoryError;

/// Result codes (RFC 4511 appendix A).
pub(in crate::directory) mod code {
    pub(in crate::directory) const SUCCESS: u32 = 0;
    pub(in crate::directory) const TIME_LIMIT: u32 = 3;
    pub(in crate::directory) const SIZE_LIMIT: u32 = 4;
    pub(in crate::directory) const STRONGER_AUTH: u32 = 8;
    pub(in crate::directory) const REFERRAL: u32 = 10;
    pub(in crate::directory) const ADMIN_LIMIT: u32 = 11;
    pub(in crate::directory) const CONFIDENTIALITY: u32 = 13;
    pub(in crate::directory) const NO_SUCH_OBJECT: u32 = 32;
    pub(in crate::directory) const INVALID_DN: u32 = 34;
    pub(in crate::directory) const INAPPROPRIATE_AUTH: u32 = 48;
    pub(in crate::directory) const INVALID_CREDENTIALS: u32 = 49;
    pub(in crate::directory) const INSUFFICIENT_ACCESS: u32 = 50;
    pub(in crate::directory) const BUSY: u32 = 51;
    pub(in crate::directory) const UNAVAILABLE: u32 = 52;
    pub(in crate::directory) const UNWILLING: u32 = 53;
}

/// Whether a refusal is of the moment or of the account, and not of the cookie that came with the question.
pub(in crate::directory) fn is_passing(rc: u32) -> bool {
    matches!(
        rc,
        code::TIME_LIMIT
            | code::SIZE_LIMIT
            | code::REFERRAL
            | code::ADMIN_LIMIT
            | code::INSUFFICIENT_ACCESS
            | code::BUSY
            | code::UNAVAILABLE
    )
}

/// Why a bind was refused.
pub(super) fn of_bind(answer: &LdapResult) -> DirectoryError {
    match answer.rc {
        code::INVALID_CREDENTIALS => credentials(&answer.text),
        code::INAPPROPRIATE_AUTH | code::INVALID_DN | code::NO_SUCH_OBJECT => DirectoryError::Credentials,
        // eDirectory says so of an account that is disabled or locked.
        code::UNWILLING if answer.text.contains("-220") || answer.text.contains("-197") => {
            credentials(&answer.text)
        }
        code::STRONGER_AUTH | code::CONFIDENTIALITY => {
            DirectoryError::Protocol("the server wants another way to log in than a password over TLS".into())
        }
        _ => of_search(answer, "log in", ""),
    }
}

/// What Active Directory ("… data 533, v4563") and eDirectory ("NDS error: log account expired (-220)") say besides.
fn credentials(text: &str) -> DirectoryError {
    let data = text.split("data ").nth(1).map(|rest| rest.split([',', ' ', '\0']).next().unwrap_or_default());
    let account = |why: &str| DirectoryError::Account(why.into());
    match data {
        Some("530" | "531") => account("it may not log in at this time or from this machine"),
        Some("532") => account("its password is over: set a new one that does not expire"),
        Some("533") => account("it is disabled"),
        Some("568") => account("it is in too many groups"),
        Some("701") => account("it has expired"),
        Some("773") => account("it has to change its password first"),
        Some("775") => account("it is locked out"),
        _ if text.contains("(-197)") => account("it is locked out"),
        _ if text.contains("(-220)") => account("it is disabled or has expired"),
        _ if text.contains("(-222)") || text.contains("(-223)") => {
            account("its password is over: set a new one that does not expire")
        }
        _ => DirectoryError::Credentials,
    }
}

/// Why a search was refused. `doing` completes "the account may not …"; `base` is what was searched.
pub(in crate::directory) fn of_search(answer: &LdapResult, doing: &str, base: &str) -> DirectoryError {
    let partial = |why: &str| DirectoryError::Partial(why.into());
    match answer.rc {
        code::SIZE_LIMIT => partial(
            "its size limit was reached: raise the limit for this account, which reads in pages of 1000 and fewer",
        ),
        code::TIME_LIMIT => partial("its time limit was reached"),
        code::ADMIN_LIMIT => partial("its administrative limit was reached"),
        code::REFERRAL => DirectoryError::Referral(hosts(&answer.refs)),
        code::NO_SUCH_OBJECT | code::INVALID_DN => DirectoryError::Missing(base.into()),
        code::INSUFFICIENT_ACCESS => DirectoryError::Right(doing.into()),
        code::BUSY | code::UNAVAILABLE => DirectoryError::Unreachable("it says that it is busy".into()),
        rc => DirectoryError::Protocol(format!("result code {rc}{}", windows_code(&answer.text))),
    }
}

/// The servers that a referral names, without what it says of the tree.
pub(in crate::directory) fn hosts(references: &[String]) -> String {
    let host = |url: &String| {
        let rest = url.split("://").nth(1).unwrap_or_default();
        rest.split(['/', '?']).next().unwrap_or_default().to_owned()
    };
    let mut hosts: Vec<String> = references.iter().map(host).filter(|host| !host.is_empty()).collect();
    hosts.sort();
    hosts.dedup();
    hosts.truncate(4);
    if hosts.is_empty() { "it does not say which".into() } else { hosts.join(", ") }
}

/// What Active Directory begins its texts with, such as `000020F7`.
fn windows_code(text: &str) -> String {
    match text.split_once(':') {
        Some((code, _)) if code.len() == 8 && code.bytes().all(|b| b.is_ascii_hexdigit()) => {
            format!(", Windows code {code}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rc: u32, text: &str) -> LdapResult {
        LdapResult { rc, matched: String::new(), text: text.into(), refs: Vec::new(), ctrls: Vec::new() }
    }

    #[test]
    fn what_the_server_says_of_an_account_is_told_apart() {
        let said = |data: &str| {
            let text = format!(
                "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data {data}, v4563"
            );
            of_bind(&answer(code::INVALID_CREDENTIALS, &text))
        };
        assert_eq!(said("52e"), DirectoryError::Credentials);
        for (data, word) in [
            ("533", "disabled"),
            ("532", "password"),
            ("775", "locked"),
            ("773", "change"),
            ("701", "expired"),
        ] {
            let DirectoryError::Account(why) = said(data) else { panic!("{data}") };
            assert!(why.contains(word), "{why}");
        }
        let text = "NDS error: log account expired (-220)";
        assert!(matches!(of_bind(&answer(code::INVALID_CREDENTIALS, text)), DirectoryError::Account(_)));
        let text = "NDS error: failed authentication (-669)";
        assert_eq!(of_bind(&answer(code::INVALID_CREDENTIALS, text)), DirectoryError::Credentials);
    }

    #[test]
    fn no_text_of_the_server_is_passed_on() {
        for rc in 1..130 {
            let mut answer = answer(rc, "000020F7: cn=Ann Example,dc=corp, data 1, hunter2");
            answer.refs = vec!["ldap://other.example/cn=Ann Example??base".into()];
            for error in [of_bind(&answer), of_search(&answer, "read people", "the base")] {
                let said = error.to_string();
                assert!(!said.contains("Ann") && !said.contains("hunter2"), "{rc}: {said}");
            }
        }
        assert_eq!(
            of_search(&answer(1, "000020F7: Ann"), "", ""),
            DirectoryError::Protocol("result code 1, Windows code 000020F7".into())
        );
    }
}
