//! A verified device out of a partition: three calls to the device mapper, `struct dm_ioctl` of
//! <linux/dm-ioctl.h>, version 4.
//!
//! With `block` the only modules here with `unsafe`: the calls hand the kernel a buffer of ours, whose length is in
//! the buffer itself. Invariant: the length that a buffer tells is its own.
#![expect(unsafe_code, reason = "the device mapper speaks by ioctl only")]

use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use rustix::{
    io::Errno,
    ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode},
};

use crate::parameters::Hex32;

const HEADER: usize = 312;
const READ_ONLY: u32 = 1;
const DEVICE_CREATE: u8 = 3;
const DEVICE_RESUME: u8 = 6;
const TABLE_LOAD: u8 = 9;
/// Bytes of a `struct dm_target_spec`.
const TARGET: usize = 40;

/// What a verified device is made of.
pub(crate) struct Verity<'a> {
    pub(crate) device: &'a Path,
    /// Data blocks of 4096 bytes; the tree of hashes follows them.
    pub(crate) blocks: u32,
    pub(crate) root_hash: &'a Hex32,
    pub(crate) salt: &'a Hex32,
}

impl Verity<'_> {
    /// The target's line (Documentation/admin-guide/device-mapper/verity.rst). A block that is not what
    /// it was restarts the machine: a system that goes on with half a root is worse.
    fn table(&self) -> String {
        let device = self.device.display();
        format!(
            "1 {device} {device} 4096 4096 {0} {0} sha256 {1} {2} 1 restart_on_corruption",
            self.blocks,
            self.root_hash.as_str(),
            self.salt.as_str()
        )
    }

    /// Activates it and gives the device to mount.
    pub(crate) fn activate(&self, name: &str) -> io::Result<PathBuf> {
        let control = OpenOptions::new().read(true).write(true).open("/dev/mapper/control")?;
        call(&control, DEVICE_CREATE, request(name, None))?;
        call(&control, TABLE_LOAD, request(name, Some((u64::from(self.blocks) * 8, &self.table()))))?;
        let answer = call(&control, DEVICE_RESUME, request(name, None))?;
        let number = answer.get(40..48).and_then(|bytes| bytes.try_into().ok()).map(u64::from_ne_bytes);
        let number = number.ok_or(io::ErrorKind::InvalidData)?;
        // huge_encode_dev: the minor is in the low byte and from bit 20 on.
        let minor = (number & 0xFF) | ((number >> 12) & 0xFFF0_0000);
        Ok(PathBuf::from(format!("/dev/dm-{minor}")))
    }
}

/// A request for the device of a name, with the table of one target or none.
fn request(name: &str, table: Option<(u64, &str)>) -> Vec<u8> {
    let mut target = Vec::new();
    if let Some((sectors, table)) = table {
        let length = (TARGET + table.len() + 1).next_multiple_of(8);
        target.extend_from_slice(&0_u64.to_ne_bytes());
        target.extend_from_slice(&sectors.to_ne_bytes());
        target.extend_from_slice(&0_i32.to_ne_bytes());
        target.extend_from_slice(&(length as u32).to_ne_bytes());
        target.extend_from_slice(b"verity\0\0\0\0\0\0\0\0\0\0");
        target.extend_from_slice(table.as_bytes());
        target.resize(length, 0);
    }
    let mut buffer = vec![0; HEADER + target.len()];
    let length = buffer.len() as u32;
    let mut put = |at: usize, value: u32| buffer[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    put(0, 4);
    put(12, length);
    put(16, HEADER as u32);
    put(20, u32::from(table.is_some()));
    put(28, READ_ONLY);
    // The name's field has 128 bytes, its last is zero.
    let name = &name.as_bytes()[..name.len().min(127)];
    buffer[48..48 + name.len()].copy_from_slice(name);
    buffer[HEADER..].copy_from_slice(&target);
    buffer
}

/// One call; the kernel answers in the same buffer.
struct Call<'a> {
    number: u8,
    buffer: &'a mut [u8],
}

// SAFETY: the opcode is that of a request with a `struct dm_ioctl`, the pointer is to a buffer at least
// that long, and the kernel copies at most the length that is written in it, which is the buffer's.
unsafe impl Ioctl for Call<'_> {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::read_write::<[u8; HEADER]>(0xFD, self.number)
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        self.buffer.as_mut_ptr().cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut std::ffi::c_void) -> Result<(), Errno> {
        Ok(())
    }
}

fn call(control: &File, number: u8, mut buffer: Vec<u8>) -> io::Result<Vec<u8>> {
    // SAFETY: `Call` keeps what the kernel may write within its own buffer, see above.
    unsafe { ioctl(control, Call { number, buffer: &mut buffer }) }?;
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_request_tells_its_own_length_and_ends_its_table_with_zero() {
        let hex: Hex32 = "0123456789abcdef".repeat(4).parse().unwrap();
        let verity = Verity { device: Path::new("/dev/vda5"), blocks: 356, root_hash: &hex, salt: &hex };
        let table = verity.table();
        assert!(table.starts_with("1 /dev/vda5 /dev/vda5 4096 4096 356 356 sha256 0123"));
        assert!(table.ends_with(" 1 restart_on_corruption"));
        for request in [request("root", None), request("root", Some((2848, &table)))] {
            let number = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().unwrap()) as usize;
            assert_eq!(number(12), request.len());
            assert_eq!(number(16), HEADER);
            assert_eq!(&request[48..53], b"root\0");
            if number(20) == 1 {
                assert_eq!(number(HEADER + 20), request.len() - HEADER);
                assert_eq!(*request.last().unwrap(), 0);
            }
        }
    }
}
