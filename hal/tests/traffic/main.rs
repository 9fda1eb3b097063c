//! Readers of the U.are.U family that nobody recorded for us, in recordings made up from what is known
//! of their protocol: `replay::traffic::play` must come to their picture, whatever else is recorded.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says why")]

#[cfg(feature = "usb")]
mod played;
mod reader;
mod usbmon;

use authenteon_hal::replay::traffic::{TrafficError, play};

use crate::reader::{BLOCKS_V2, DEATH, FINGER_OFF, FINGER_ON, SCAN_POWER, Session, Skin, WIDTH};
use crate::usbmon::{INTERRUPT, Layout};

const V2: (u16, u16) = (0x045E, 0x00CA);

fn session() -> Session {
    Session::of(V2, Layout::default())
}

/// Plays what was recorded and compares the frame with the picture.
fn gives(session: Session, skin: &Skin, blocks: &[(u8, u8)], turned: bool) {
    let description = session.description();
    gives_described(&description, session, skin, blocks, turned);
}

fn gives_described(description: &str, session: Session, skin: &Skin, blocks: &[(u8, u8)], turned: bool) {
    let (_, frame) = play(description, &session.finish(), None).unwrap();
    let picture = skin.picture(blocks, turned);
    assert_eq!((frame.width() as usize, frame.pixels().len()), (WIDTH, picture.len()));
    assert!(frame.pixels() == picture, "the frame differs from the picture");
}

/// A whole session of a reader v2 with something done to it before, between and after.
fn with_capture(mut session: Session) -> (Session, Skin) {
    let skin = Skin::new(1);
    session.start(2, true);
    session.finger();
    session.image(&skin, BLOCKS_V2);
    session.lift();
    session.close();
    (session, skin)
}

#[test]
fn a_reader_v2_gives_its_picture_however_often_it_wants_its_challenge_answered() {
    for rounds in [0, 1, 2, 7, 40] {
        let skin = Skin::new(rounds);
        let mut session = session();
        session.enumeration();
        session.start(rounds, true);
        session.finger();
        session.image(&skin, BLOCKS_V2);
        session.lift();
        session.close();
        gives(session, &skin, BLOCKS_V2, false);
    }
}

#[test]
fn every_model_of_the_family_gives_its_picture_and_one_of_them_is_turned() {
    for (vendor, product) in [
        (0x045E, 0x00BB),
        (0x045E, 0x00BC),
        (0x045E, 0x00BD),
        (0x05BA, 0x0007),
        (0x05BA, 0x0008),
        (0x05BA, 0x000A),
    ] {
        let skin = Skin::new(usize::from(product));
        let mut session = Session::of((vendor, product), Layout::default());
        session.start(3, false);
        session.finger();
        session.image(&skin, BLOCKS_V2);
        session.lift();
        session.close();
        gives(session, &skin, BLOCKS_V2, product == 0x000A);
    }
}

#[test]
fn files_of_every_layout_are_read() {
    for layout in [Layout::Dumpcap, Layout::Short, Layout::BesideNetwork] {
        let (session, skin) = with_capture(Session::of(V2, layout));
        gives(session, &skin, BLOCKS_V2, false);
    }
}

#[test]
fn images_in_clear_need_no_key() {
    let blocks = &[(0, 100), (1, 1), (0, 189)];
    let skin = Skin::new(5);
    let mut session = session();
    session.start(1, true);
    session.finger();
    session.image(&skin, blocks);
    session.lift();
    gives(session, &skin, blocks, false);
}

#[test]
fn keys_change_as_often_as_the_blocks_say() {
    for blocks in [
        &[(2, 67), (0x82, 100), (0, 1), (1, 1), (0x82, 121)][..],
        &[(2, 10), (0x80, 5), (2, 100), (0x81, 1), (2, 174)],
        &[(0x82, 100), (4, 50), (2, 100), (6, 20), (0x82, 19)],
        &[(2, 100), (3, 1), (2, 189)],
        &[(2, 100), (5, 1), (2, 189)],
    ] {
        let skin = Skin::new(9);
        let mut session = session();
        session.start(1, true);
        session.finger();
        session.image(&skin, blocks);
        session.lift();
        gives(session, &skin, blocks, false);
    }
}

#[test]
fn scan_power_may_come_early_or_late_and_several_times() {
    for (early, late) in [(1, 0), (3, 0), (0, 1), (0, 4), (2, 2)] {
        let skin = Skin::new(2);
        let mut session = session();
        session.listen();
        session.read(0x07, &[0x01]);
        session.write(0x07, &[0x81]);
        session.write(0x07, &[0x01]);
        (0..early).for_each(|_| session.interrupt(SCAN_POWER));
        session.read(0x07, &[0x81]);
        session.authenticate();
        session.write(0x07, &[0x01]);
        session.read(0x07, &[0x01]);
        (0..late).for_each(|_| session.interrupt(SCAN_POWER));
        session.read(0xF0, &[0x1A; 16]);
        session.mode(0x10);
        session.interrupt(SCAN_POWER);
        session.interrupt(SCAN_POWER);
        session.interrupt(FINGER_ON);
        session.interrupt(FINGER_ON);
        session.image(&skin, BLOCKS_V2);
        session.lift();
        gives(session, &skin, BLOCKS_V2, false);
    }
}

#[test]
fn a_recorded_start_that_lost_scan_power_and_began_anew_is_followed() {
    for lost in 1..=2 {
        let skin = Skin::new(3);
        let mut session = session();
        session.listen();
        for _ in 0..lost {
            session.read(0x07, &[0x03]);
            session.power_up(0x03, 1, true);
        }
        session.read(0x07, &[0x03]);
        session.power_up(0x03, 4, true);
        session.interrupt(SCAN_POWER);
        session.read(0xF0, &[0x1A; 16]);
        session.finger();
        session.image(&skin, BLOCKS_V2);
        session.lift();
        gives(session, &skin, BLOCKS_V2, false);
    }
}

#[test]
fn a_reader_found_in_trouble_or_without_power_is_followed_through_its_reboot() {
    // What it says first, what it says while it reboots, and what it says then.
    for (found, polled, rebooted) in
        [(0x85, &[][..], 0x05), (0x85, &[0x84, 0x80, 0x00], 0x01), (0x87, &[0x84], 0x83), (0x81, &[], 0x81)]
    {
        let skin = Skin::new(4);
        let mut session = session();
        session.listen();
        session.read(0x07, &[found]);
        if found & 0x84 == 0x84 {
            session.write(0x07, &[found & 0x0F]);
            polled.iter().chain([&rebooted]).for_each(|status| session.read(0x07, &[*status]));
        }
        session.power_up(rebooted, 2, true);
        session.interrupt(SCAN_POWER);
        session.read(0xF0, &[0x1A; 16]);
        session.finger();
        session.image(&skin, BLOCKS_V2);
        session.lift();
        gives(session, &skin, BLOCKS_V2, false);
    }
}

#[test]
fn a_reader_that_announced_its_death_and_lived_on_is_followed() {
    let skin = Skin::new(6);
    let mut session = session();
    session.start(1, true);
    session.mode(0x10);
    session.interrupt(DEATH);
    session.interrupt(FINGER_ON);
    session.interrupt(DEATH);
    session.image(&skin, BLOCKS_V2);
    session.lift();
    gives(session, &skin, BLOCKS_V2, false);
}

#[test]
fn an_image_sent_again_after_an_empty_or_short_one_is_taken() {
    for (first, dying, asked_again) in
        [(0, true, false), (0, false, true), (64, false, false), (5000, true, false)]
    {
        let skin = Skin::new(7);
        let mut session = session();
        session.start(1, true);
        session.finger();
        if dying {
            session.interrupt(DEATH);
        }
        session.transfer(&skin.wire(BLOCKS_V2)[..first]);
        if asked_again {
            session.image(&skin, BLOCKS_V2);
        } else {
            session.image_unasked(&skin, BLOCKS_V2);
        }
        session.lift();
        gives(session, &skin, BLOCKS_V2, false);
    }
}

#[test]
fn what_another_program_did_beyond_our_driver_does_not_stop_it() {
    let skin = Skin::new(8);
    let mut session = session();
    session.enumeration();
    session.mode(0x00);
    session.listen();
    session.read(0x100, &[0xFF; 32]);
    session.read(0x07, &[0x03]);
    session.write(0x100, &[1, 2, 3]);
    session.power_up(0x03, 1, true);
    session.interrupt(SCAN_POWER);
    // No register 0xF0, but strings and modes.
    session.usb.control_in([0x80, 6, 2, 3, 9, 4, 255, 0], &[6, 3, b'v', 0, b'2', 0]);
    session.mode(0x80);
    session.interrupt(FINGER_OFF);
    session.mode(0x30);
    session.finger();
    session.read(0x07, &[0x03]);
    session.usb.control_out([0x02, 1, 0, 0, 0x82, 0, 0, 0], &[]);
    session.image(&skin, BLOCKS_V2);
    session.read(0x33, &[0; 5]);
    session.lift();
    gives(session, &skin, BLOCKS_V2, false);
}

#[test]
fn of_several_captures_the_first_is_taken() {
    let (mut session, skin) = with_capture(session());
    session.start(1, true);
    for seed in [20, 21, 22] {
        session.finger();
        session.image(&Skin::new(seed), BLOCKS_V2);
        session.lift();
    }
    session.close();
    gives(session, &skin, BLOCKS_V2, false);
}

#[test]
fn a_session_that_ended_without_a_finger_is_passed_over() {
    let mut session = session();
    for _ in 0..2 {
        session.start(1, true);
        session.mode(0x10);
        session.close();
    }
    let (session, skin) = with_capture(session);
    gives(session, &skin, BLOCKS_V2, false);
}

#[test]
fn a_recording_that_begins_in_the_middle_of_a_session_goes_on_with_the_next_one() {
    let other = Skin::new(30);
    let mut session = session();
    // These were pending before the recording began.
    let pending = session.usb.submit(INTERRUPT, 0x81, None, &[], 64);
    session.usb.complete(pending, 0, &[0x01; 64]);
    session.listen();
    session.image(&other, BLOCKS_V2);
    session.lift();
    session.finger();
    session.image(&Skin::new(31), BLOCKS_V2);
    session.close();
    session.enumeration();
    let (session, skin) = with_capture(session);
    gives(session, &skin, BLOCKS_V2, false);
}

fn mouse(session: &mut Session) {
    session.usb.stranger((1, 7), |usb| {
        for moved in 0..400_u16 {
            let urb = usb.submit(INTERRUPT, 0x81, None, &[], 8);
            usb.complete(urb, 0, &moved.to_le_bytes());
        }
    });
    session.usb.stranger((2, 42), |usb| usb.control_in([0xC0, 4, 7, 0, 0, 0, 1, 0], &[0x55]));
}

#[test]
fn busier_devices_on_the_bus_are_told_from_the_reader_by_its_place_or_by_its_ids() {
    for description in [
        session().description(),
        // Plugged in again, it had another address; or the description does not say.
        session().description().replace("DEVNUM=042", "DEVNUM=043"),
        "E: PRODUCT=45e/ca/100\n".to_owned(),
        "P: /hub\nE: PRODUCT=1d6b/2/606\nE: BUSNUM=001\nE: DEVNUM=001\n\nP: /x\nA: idVendor=045e\\n\nA: idProduct=00ca\\n\n"
            .to_owned(),
    ] {
        let mut session = session();
        mouse(&mut session);
        session.enumeration();
        mouse(&mut session);
        let (mut session, skin) = with_capture(session);
        mouse(&mut session);
        gives_described(&description, session, &skin, BLOCKS_V2, false);
    }
}

#[test]
fn a_recording_that_lacks_the_image_ends_in_an_error_and_not_in_a_hang() {
    let mut session = session();
    session.start(1, true);
    session.finger();
    session.close();
    let description = session.description();
    assert!(matches!(play(&description, &session.finish(), None), Err(TrafficError::Sensor(_))));
}
