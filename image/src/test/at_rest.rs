//! A box that encrypts what it stores with a passphrase.

use std::time::Instant;

use super::{
    box_under_test::PATIENCE,
    clients::{Person, print},
    smoke::{Claimed, seconds},
    table::Table,
};
use crate::failure::{Failure, at};

pub(super) fn all(claimed: &Claimed, table: &mut Table) {
    let mut took = None;
    table.check("with a passphrase the box is locked after a power cut until it is given", || {
        locked(claimed, &mut took)
    });
    table.figure("the right passphrase until a finger can be verified (s)", seconds(took));
}

fn locked(claimed: &Claimed, took: &mut Option<std::time::Duration>) -> Result<(), Failure> {
    let twin = claimed.twin("passphrase")?;
    let file = |name: &str, text: &str| {
        let path = twin.device.folder.join(name);
        std::fs::write(&path, text).map_err(at(&path))?;
        Ok::<_, Failure>(path.display().to_string())
    };
    let (right, wrong) =
        (file("right", "correct horse battery staple\n")?, file("wrong", "another horse\n")?);
    let administrator = Person { folder: &twin.device.folder, name: Some("administrator") };
    let mut machine = twin.device.start("")?;
    machine.wait_live(PATIENCE)?;
    administrator
        .call(&machine, &["at-rest", "passphrase", "--new-file", &right])?
        .expect(0, "choosing a passphrase")?;
    machine.cut();
    let mut machine = twin.device.start("")?;
    machine.wait_live(PATIENCE)?;
    machine.wait_for("LOCKED: it waits for its passphrase", PATIENCE)?;
    let desk = Person { folder: &twin.device.folder, name: Some("desk") };
    desk.call(&machine, &["verify", &twin.subject, &print(125, 4)])?
        .expect(3, "verifying while it is locked")?;
    administrator
        .call(&machine, &["unlock", "--passphrase-file", &wrong])?
        .expect(5, "giving a wrong passphrase")?;
    let began = Instant::now();
    administrator
        .call(&machine, &["unlock", "--passphrase-file", &right])?
        .expect(0, "giving the passphrase")?;
    *took = Some(began.elapsed());
    twin.verifies(&machine)
}
