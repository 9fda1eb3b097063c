//! `authenteond`: the daemon. Everything is in the library; see `authenteon::cli`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    authenteon::cli::run()
}
