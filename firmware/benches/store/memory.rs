//! What this process holds in memory, as the kernel counts it.

use std::fs;

use crate::engine::Failure;

/// Bytes that are resident now.
pub(crate) fn resident() -> Result<u64, Failure> {
    line("VmRSS:")
}

/// The most bytes that were resident at once.
pub(crate) fn peak() -> Result<u64, Failure> {
    line("VmHWM:")
}

fn line(name: &str) -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes: u64 =
        line.ok_or("the kernel tells no memory")?.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes << 10)
}
