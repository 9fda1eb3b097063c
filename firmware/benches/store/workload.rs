//! Who is enrolled: people by number, each with a record, a finger and the audit of its enrolment.
//!
//! Invariant: a number gives the same person to both stores; ids and names of two people are never the same.

use authenteon::{
    audit::{Actor, Event, Record},
    clock::{FLOOR, Timestamp},
    request::{ClientId, Role, hex},
    store::{Change, Table},
};

use crate::{
    drawn::{key, stored_key, value},
    engine::Failure,
};

/// Fingers that are drawn; the next person has the first again. Neither store compresses, and a gallery packs each
/// by itself.
const DRAWN: u64 = 4096;

/// People who can be enrolled.
pub(crate) struct People {
    fingers: Vec<Vec<u8>>,
}

impl People {
    pub(crate) fn drawn() -> Result<Self, Failure> {
        Ok(Self { fingers: (0..DRAWN).map(value).collect::<Result<_, _>>()? })
    }

    /// What a person's enrolment writes, without its audit.
    pub(crate) fn person(&self, number: u64) -> Result<[Change; 2], Failure> {
        let (subject, position) = key(number);
        let record = serde_json::json!({
            "name": format!("Filler {number}"),
            "created": moment(number).to_string(),
            "fingers": [{ "position": position, "impressions": 1, "quality": 80 }],
        });
        let finger = self.fingers[(number % DRAWN) as usize].clone();
        Ok([
            Change::Put {
                table: Table::Subjects,
                key: subject.as_bytes().to_vec(),
                value: serde_json::to_vec(&record)?,
            },
            Change::Put { table: Table::Fingers, key: stored_key(number), value: finger },
        ])
    }

    /// All that a person's enrolment writes.
    pub(crate) fn enrolment(&self, number: u64) -> Result<Vec<Change>, Failure> {
        let (subject, position) = key(number);
        let record = Record {
            number,
            at: moment(number),
            // As long as the real one.
            previous: hex(&[number as u8; 32]),
            by: Actor {
                client: ClientId::of_certificate(&[7; 32]),
                role: Role::Officer,
                name: "officer at the front desk".to_owned(),
                from: Some(std::net::IpAddr::from([10, 0, 20, 17])),
            },
            what: Event::FingerEnrolled { subject, position, impressions: 1, quality: 80 },
        };
        let mut changes = Vec::from(self.person(number)?);
        changes.push(Change::Put {
            table: Table::Audit,
            key: number.to_be_bytes().to_vec(),
            value: serde_json::to_vec(&record)?,
        });
        Ok(changes)
    }

    /// People of some numbers, for one change.
    pub(crate) fn together(&self, numbers: std::ops::Range<u64>) -> Result<Vec<Change>, Failure> {
        let mut changes = Vec::new();
        for number in numbers {
            changes.extend(self.person(number)?);
        }
        Ok(changes)
    }

    /// Bytes of a finger's value on average.
    pub(crate) fn finger_bytes(&self) -> usize {
        self.fingers.iter().map(Vec::len).sum::<usize>() / self.fingers.len().max(1)
    }
}

/// One after another.
fn moment(number: u64) -> Timestamp {
    Timestamp::from_millis(FLOOR.millis() + 1000 * number)
}
