//! `man`: the manual pages, made of the command line itself.
//!
//! Invariant: every command that `--help` shows has a page, and every page tells the exit codes.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use serde_json::json;

use crate::args::Args;
use crate::error::CtlError;
use crate::exit;
use crate::outcome::Outcome;

/// What every page says after the options.
const FILES: &str = "\
.SH ENVIRONMENT
.TP
AUTHENTEON_PROFILE
The profile that is used when the command line names none.
.TP
AUTHENTEONCTL_SERVER, AUTHENTEONCTL_CACERT, AUTHENTEONCTL_CERT, AUTHENTEONCTL_KEY
Stand for the options of these names.
.TP
NO_COLOR
With any value nothing is coloured.
.SH FILES
.TP
$XDG_CONFIG_HOME/authenteon/profiles.toml
The boxes by name; ~/.config stands for XDG_CONFIG_HOME where that is not set. Keys lie in folders beside it.
";

/// Writes the pages into a folder.
pub(crate) fn run(folder: &Path) -> Result<Outcome, CtlError> {
    let bad = |error: io::Error| CtlError::File { path: folder.to_path_buf(), reason: error.to_string() };
    DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(bad)?;
    let mut written = Vec::new();
    for (name, page) in pages().map_err(bad)? {
        let file = folder.join(format!("{name}.1"));
        std::fs::write(&file, page).map_err(bad)?;
        written.push(file);
    }
    let text = format!("wrote {} pages to {}", written.len(), folder.display());
    Ok(Outcome::done(text, json!({"pages": written})))
}

/// Every page by the name of its command, such as `authenteonctl-sensor-list`.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = Args::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    render(&root, "authenteonctl", &mut pages)?;
    Ok(pages)
}

fn render(command: &Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    // Its help ends with the exit codes, which have a section of their own here.
    let shown = command.clone().after_help(None::<&str>).display_name(name.to_owned());
    let man = Man::new(shown).source("Authenteon").manual("Authenteon");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|sub| !sub.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend_from_slice(exit_section().as_bytes());
    page.extend_from_slice(FILES.as_bytes());
    pages.push((name.to_owned(), page));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        render(sub, &format!("{name}-{}", sub.get_name()), pages)?;
    }
    Ok(())
}

fn exit_section() -> String {
    let mut section = ".SH \"EXIT STATUS\"\n".to_owned();
    for line in exit::HELP.lines().skip(1) {
        let (code, meaning) = line.trim().split_once("  ").unwrap_or((line, ""));
        section.push_str(&format!(".TP\n{code}\n{}\n", meaning.trim().replace('-', "\\-")));
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands that help shows, as pages are called.
    fn commands(command: &Command, name: &str, names: &mut Vec<String>) {
        names.push(name.to_owned());
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            commands(sub, &format!("{name}-{}", sub.get_name()), names);
        }
    }

    #[test]
    fn every_command_has_a_page_with_its_options_and_the_exit_codes() {
        let pages = pages().unwrap();
        let mut names = Vec::new();
        commands(&Args::command(), "authenteonctl", &mut names);
        assert_eq!(pages.iter().map(|(name, _)| name).collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
        assert!(names.len() > 30, "{names:?}");
        for (name, page) in &pages {
            let page = String::from_utf8(page.clone()).unwrap();
            for part in [".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", "\\-\\-json", "EXIT STATUS", "78"] {
                assert!(page.contains(part), "{name} has no {part}:\n{page}");
            }
            assert!(!page.contains("AUTHENTEONCTL_KEY="), "no value of the surroundings is in {name}");
            // A line that begins with a dot is an order; a page has no others than these.
            for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
                let order = line.split(' ').next().unwrap_or_default();
                let known = [
                    ".TH", ".SH", ".TP", ".ie", ".el", ".RS", ".RE", ".br", ".sp", ".nf", ".fi", ".PP",
                    ".SS", ".IP",
                ];
                assert!(known.contains(&order), "{name}: {line}");
            }
        }
    }
}
