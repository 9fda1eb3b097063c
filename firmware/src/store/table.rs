//! The kinds of facts, each in its own ordered key space.

/// A kind of facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Subject by id.
    Subjects,
    /// Templates by subject and finger.
    Fingers,
    /// Audit records by number.
    Audit,
    /// Policies by name.
    Policy,
    /// Stations, officers, administrators: by the digest of their certificates.
    Clients,
    /// Tokens of automation by id.
    Tokens,
    /// Certificates that were issued, by their digests.
    Certificates,
    /// Certificates that were revoked, by their digests.
    Revocations,
    /// Counters of failed attempts, by whom they are about.
    Counters,
    /// How far what is forwarded was forwarded, by destination.
    Cursors,
    /// How far directories were followed, by source.
    Cookies,
    /// Who and what was erased, by the key that it had.
    Tombstones,
    /// Audit records of the box that a backup is of, by that box and number.
    Archive,
    /// Facts about the store itself, by name.
    About,
    /// What else a person proves himself with (PIN, codes) and is watched by (a finger under duress), by subject.
    Factors,
    /// Probes that were accepted lately, by subject and place: what a replay is told by.
    Probes,
    /// Accounts of people who sign in by password, by name.
    Accounts,
    /// Codes that were given out and not used yet, by id.
    Invitations,
    /// Readers that an administrator adopted, by id.
    Readers,
    /// Heads of the audit that the box signed, by number.
    Heads,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Subjects,
        Self::Fingers,
        Self::Audit,
        Self::Policy,
        Self::Clients,
        Self::Tokens,
        Self::Certificates,
        Self::Revocations,
        Self::Counters,
        Self::Cursors,
        Self::Cookies,
        Self::Tombstones,
        Self::Archive,
        Self::About,
        Self::Factors,
        Self::Probes,
        Self::Accounts,
        Self::Invitations,
        Self::Readers,
        Self::Heads,
    ];

    /// Its name; never changes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Subjects => "subjects",
            Self::Fingers => "fingers",
            Self::Audit => "audit",
            Self::Policy => "policy",
            Self::Clients => "clients",
            Self::Tokens => "tokens",
            Self::Certificates => "certificates",
            Self::Revocations => "revocations",
            Self::Counters => "counters",
            Self::Cursors => "cursors",
            Self::Cookies => "cookies",
            Self::Tombstones => "tombstones",
            Self::Archive => "archive",
            Self::About => "about",
            Self::Factors => "factors",
            Self::Probes => "probes",
            Self::Accounts => "accounts",
            Self::Invitations => "invitations",
            Self::Readers => "readers",
            Self::Heads => "heads",
        }
    }

    /// Its place among all.
    pub(crate) fn place(self) -> usize {
        self as usize
    }

    /// Its number in files; never changes.
    pub(crate) fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The table of a number.
    pub(crate) fn of(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code.checked_sub(1)?)).copied()
    }

    /// Whether its values are about one person each, whose id their keys begin with: they are sealed with that person's
    /// key, and gone with it.
    #[must_use]
    pub fn is_of_people(self) -> bool {
        matches!(self, Self::Subjects | Self::Fingers | Self::Factors | Self::Probes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_and_never_change() {
        for table in Table::ALL {
            assert_eq!(Table::of(table.code()), Some(table));
            assert_eq!(Table::ALL[table.place()], table);
        }
        assert_eq!((Table::of(0), Table::of(21)), (None, None));
        assert_eq!((Table::Subjects.code(), Table::Audit.code(), Table::About.code()), (1, 3, 14));
    }
}
