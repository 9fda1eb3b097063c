//! `authenteond`: the daemon. Everything is in the library; see `authenteon::cli`.
#![forbid(unsafe_code)]

/// What the store's compaction and large bodies take for a moment is given back to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    authenteon::cli::run()
}
