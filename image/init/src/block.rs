//! Two requests to the kernel that only exist as ioctls: a longer partition (<linux/blkpg.h>), and a larger
//! ext4 that is mounted.
//!
//! With `device_mapper` the only modules here with `unsafe`. Invariant: what the kernel is given to read lives
//! as long as the call.
#![expect(unsafe_code, reason = "neither request has another interface")]

use std::{fs::File, io};

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

const BLKPG: Opcode = opcode::none(0x12, 105);
const RESIZE_PARTITION: i32 = 3;
const EXT4_RESIZE: Opcode = opcode::write::<u64>(b'f', 16);

/// `struct blkpg_partition`.
#[repr(C)]
struct Partition {
    start: i64,
    length: i64,
    number: i32,
    names: [u8; 128],
}

/// `struct blkpg_ioctl_arg`.
#[repr(C)]
struct Request {
    operation: i32,
    flags: i32,
    length: i32,
    partition: *mut Partition,
}

fn too_large<E>(_: E) -> io::Error {
    io::ErrorKind::InvalidInput.into()
}

/// Tells the kernel that a partition of `disk` has another length, in bytes; it may be in use.
pub(crate) fn resize_partition(disk: &File, number: u32, start: u64, length: u64) -> io::Result<()> {
    let mut partition = Partition {
        start: start.try_into().map_err(too_large)?,
        length: length.try_into().map_err(too_large)?,
        number: number.try_into().map_err(too_large)?,
        names: [0; 128],
    };
    let request = Request {
        operation: RESIZE_PARTITION,
        flags: 0,
        length: size_of::<Partition>() as i32,
        partition: &raw mut partition,
    };
    // SAFETY: the kernel reads a `struct blkpg_ioctl_arg` and the `struct blkpg_partition` that it points to;
    // both have the layout of the header, and both are alive.
    unsafe { ioctl(disk, Setter::<BLKPG, Request>::new(request)) }?;
    Ok(())
}

/// Makes the ext4 that `mounted` lies on have so many blocks.
pub(crate) fn resize_ext4(mounted: &File, blocks: u64) -> io::Result<()> {
    // SAFETY: the kernel reads one number of 64 bits.
    unsafe { ioctl(mounted, Setter::<EXT4_RESIZE, u64>::new(blocks)) }?;
    Ok(())
}
