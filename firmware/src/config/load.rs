//! Where a configuration comes from: a file, the files of a folder beside it, the environment. What was said last holds.
//!
//! Invariant: whatever is wrong is named with its file and line; what is secret is not in what is shown.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{Config, ConfigError};

/// Keys whose values nobody is shown; the name of a file is no secret.
const SECRET: [&str; 4] = ["password", "passphrase", "secret", "token"];
/// Those that may stand here or in a file of their own; other secrets stand in files only, and are read when they are
/// needed.
const EITHER: [&str; 1] = ["password"];
/// What a secret that stands in a file of its own begins with.
const FILE: &str = "file:";
/// Bytes of such a file.
const LONGEST: u64 = 4096;
/// What is used from the moment on in which it is read; everything else takes a start.
const LIVE: [&str; 5] = [
    "log.filter",
    "limits.handshake-seconds",
    "limits.request-seconds",
    "limits.idle-seconds",
    "limits.drain-seconds",
];

/// A configuration with where its values stand.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The files, in the order in which they were read, and their texts.
    texts: Vec<(PathBuf, String)>,
    /// All that they and the environment say.
    table: Table,
}

/// Reads a configuration file and those of its folder, which has the file's name with `.d`, and lays the environment over
/// them.
///
/// # Errors
/// [`ConfigError`].
pub fn load(path: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Loaded, ConfigError> {
    let mut texts = Vec::new();
    let mut table = Table::new();
    for path in [vec![path.to_owned()], drop_ins(&path.with_extension("d"))?].concat() {
        let text = fs::read_to_string(&path).map_err(|why| ConfigError::File { path: path.clone(), why })?;
        let read: Table = toml::from_str(&text).map_err(|why| syntax(&path, &why))?;
        let before = table.clone();
        merge(&mut table, read);
        // For an error with its line: what is wrong now is wrong by this file.
        if let Err(why) = table.clone().try_into::<Config>() {
            let alone = toml::from_str::<Config>(&text);
            return Err(match alone {
                Err(alone) if before.is_empty() => syntax(&path, &alone),
                _ => ConfigError::Syntax { path, why: placed(&text, &why) },
            });
        }
        texts.push((path, text));
    }
    let mut overridden = Vec::new();
    for (variable, value) in environment {
        if let Some(name) = variable.strip_prefix("AUTHENTEON_").filter(|name| name.contains("__")) {
            lay_over(&mut table, name, &value);
            overridden.push(variable);
        }
    }
    read_secrets(&mut table, &mut |key, from| {
        secret(from).map_err(|why| ConfigError::Value {
            place: key.to_owned(),
            why: format!("{}: {why}", from.display()),
        })
    })?;
    let config = table.clone().try_into().map_err(|why: toml::de::Error| ConfigError::Variable {
        variable: overridden.join(", "),
        why: why.message().to_owned(),
    })?;
    Ok(Loaded { config, texts, table })
}

fn syntax(path: &Path, why: &toml::de::Error) -> ConfigError {
    ConfigError::Syntax { path: path.to_owned(), why: why.to_string() }
}

/// An error of the whole, with the line of this file that it is about, if it names a key of it.
fn placed(text: &str, why: &toml::de::Error) -> String {
    let message = why.message().trim();
    let key = message.split('`').nth(1).unwrap_or_default();
    let of_key = |line: &&str| {
        line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    match text.lines().zip(1_usize..).find(|(line, _)| !key.is_empty() && of_key(line)) {
        Some((_, number)) => format!("line {number}: {message}"),
        None => message.to_owned(),
    }
}

/// The files of the folder whose names end in `.toml`, by name; none where there is no folder.
fn drop_ins(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let fails = |why| ConfigError::File { path: folder.to_owned(), why };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(why) if matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(why) => return Err(fails(why)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(fails)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Lays a table over another: sections are joined, values and lists are replaced.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

fn lay_over(table: &mut Table, name: &str, value: &str) {
    let name = name.to_lowercase().replace("__", ".").replace('_', "-");
    let Some((section, key)) = name.split_once('.') else { return };
    // A number or a truth value where it reads as one, else a text.
    let parsed = toml::from_str::<Table>(&format!("v = {value}")).ok().and_then(|mut t| t.remove("v"));
    let value = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
    let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(section) = section {
        section.insert(key.to_owned(), value);
    }
}

fn is_secret(key: &str) -> bool {
    // The name of a file is none.
    !key.ends_with("-file") && SECRET.iter().any(|word| key.split('-').any(|part| part == *word))
}

/// Every secret of a table and of those in it.
fn secrets<E>(value: &mut Table, each: &mut dyn FnMut(&str, &mut Value) -> Result<(), E>) -> Result<(), E> {
    for (key, value) in value.iter_mut() {
        match value {
            Value::Table(table) => secrets(table, each)?,
            Value::Array(list) => {
                for table in list.iter_mut().filter_map(Value::as_table_mut) {
                    secrets(table, each)?;
                }
            }
            value if is_secret(key) => each(key, value)?,
            _ => {}
        }
    }
    Ok(())
}

/// Puts what files hold in the place of their names.
fn read_secrets(
    table: &mut Table,
    read: &mut dyn FnMut(&str, &Path) -> Result<String, ConfigError>,
) -> Result<(), ConfigError> {
    secrets(table, &mut |key, value| {
        if let (true, Some(path)) =
            (EITHER.contains(&key), value.as_str().and_then(|text| text.strip_prefix(FILE)))
        {
            *value = Value::String(read(key, Path::new(path))?);
        }
        Ok(())
    })
}

/// The first line of a file.
fn secret(path: &Path) -> io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    fs::File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Every value by its dotted key; a list is one value.
fn flat(prefix: &str, table: &Table, into: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(table) => flat(&key, table, into),
            value => into.push((key, value.to_string())),
        }
    }
}

impl Loaded {
    /// All that is said, without what is secret.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut table = self.table.clone();
        let hidden = secrets::<std::convert::Infallible>(&mut table, &mut |_, value| {
            if !value.as_str().is_some_and(|text| text.starts_with(FILE)) {
                *value = Value::String("(not shown)".to_owned());
            }
            Ok(())
        });
        match hidden {
            Ok(()) => table.to_string(),
        }
    }

    /// What is said otherwise than in another one and is not used before the next start, by its keys.
    #[must_use]
    pub fn waiting(&self, other: &Self) -> Vec<String> {
        let values = |of: &Self| {
            let mut values = Vec::new();
            flat("", &of.table, &mut values);
            values
        };
        let (now, then) = (values(self), values(other));
        let differs = |(key, value): &&(String, String)| !then.iter().any(|(k, v)| k == key && v == value);
        let mut keys: Vec<String> = now.iter().filter(differs).map(|(key, _)| key.clone()).collect();
        keys.extend(
            then.iter().filter(|(key, _)| !now.iter().any(|(k, _)| k == key)).map(|(key, _)| key.clone()),
        );
        keys.retain(|key| !LIVE.contains(&key.as_str()));
        keys.sort();
        keys
    }

    /// Where a key stands: its line, or the environment when no file holds it.
    pub(super) fn place(&self, section: &str, key: &str) -> String {
        self.place_in(section, 0, key)
    }

    /// The same in one of several sections of a name, counted from 0.
    pub(super) fn place_in(&self, section: &str, index: usize, key: &str) -> String {
        for (number, (path, text)) in self.texts.iter().enumerate().rev() {
            if let Some(line) = line_of(text, section, index, key) {
                // The file that was named needs no name.
                return if number == 0 {
                    format!("line {line}: {key}")
                } else {
                    format!("{} line {line}: {key}", path.display())
                };
            }
        }
        format!("{section}.{key} (from the environment or by default)")
    }
}

fn line_of(text: &str, section: &str, index: usize, key: &str) -> Option<usize> {
    let dotted = format!("{section}.{key}");
    let mut current = String::new();
    let mut seen = usize::from(section.is_empty());
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.split(']').next()) {
            current = name.trim_start_matches('[').trim().to_owned();
            seen += usize::from(current == section);
            continue;
        }
        let Some((name, _)) = line.split_once('=') else { continue };
        let name = name.trim();
        let inside = current == section && seen == index + 1 && name == key;
        if inside || (current.is_empty() && name == dotted) {
            return Some(number + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "version = 1\n[pki]\nfolder = \"/p\"\n[store]\nfolder = \"/s\"\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a.d")).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn read(folder: &tempfile::TempDir) -> Result<Loaded, ConfigError> {
        load(&folder.path().join("a.toml"), std::iter::empty())
    }

    #[test]
    fn files_of_the_folder_lie_over_the_file_by_their_names_and_the_environment_over_all() {
        let files = folder(&[
            ("a.toml", &format!("{GOOD}[limits]\nconnections = 5\nidle-seconds = 7\n")),
            ("a.d/20-b.toml", "limits.connections = 9\n"),
            ("a.d/10-a.toml", "[limits]\nconnections = 8\nidle-seconds = 8\n"),
            ("a.d/README", "not read"),
        ]);
        let limits = read(&files).unwrap().config.limits;
        assert_eq!((limits.connections, limits.idle_seconds), (9, 8));
        let variable = ("AUTHENTEON_LIMITS__CONNECTIONS".to_owned(), "3".to_owned());
        let over = load(&files.path().join("a.toml"), std::iter::once(variable)).unwrap();
        assert_eq!(over.config.limits.connections, 3);
    }

    #[test]
    fn what_is_wrong_in_a_file_of_the_folder_is_named_with_that_file_and_its_line() {
        let unknown = folder(&[("a.toml", GOOD), ("a.d/x.toml", "[limits]\n\nbody-size = 5\n")]);
        let why = read(&unknown).err().unwrap().to_string();
        assert!(why.contains("a.d/x.toml") && why.contains("line 3") && why.contains("body-size"), "{why}");
        let foolish = folder(&[("a.toml", GOOD), ("a.d/x.toml", "[limits]\nidle-seconds = 0\n")]);
        let why = read(&foolish).unwrap().check().unwrap_err().to_string();
        assert!(why.contains("x.toml line 2: idle-seconds"), "{why}");
    }

    #[test]
    fn a_secret_may_stand_in_a_file_of_its_own_and_is_not_shown() {
        let files = folder(&[("secret", "0000abcd\nmore\n")]);
        let secret = files.path().join("secret");
        let text = format!(
            "{GOOD}[[sensors.serial]]\nport = \"/dev/ttyS1\"\npassword = \"file:{}\"\n",
            secret.display()
        );
        fs::write(files.path().join("a.toml"), text).unwrap();
        let loaded = read(&files).unwrap();
        assert_eq!(loaded.serial_readers().unwrap()[0].module.password, 0xABCD);
        assert!(
            !loaded.shown().contains("abcd") && loaded.shown().contains("(not shown)"),
            "{}",
            loaded.shown()
        );
        fs::remove_file(secret).unwrap();
        assert!(read(&files).err().unwrap().to_string().contains("password"));
    }

    #[test]
    fn what_takes_a_start_is_named_and_what_does_not_is_not() {
        let files = folder(&[("a.toml", GOOD)]);
        let before = read(&files).unwrap();
        let after = format!("{GOOD}[limits]\nidle-seconds = 9\nconnections = 7\n[log]\nfilter = \"debug\"\n");
        fs::write(files.path().join("a.toml"), after).unwrap();
        let after = read(&files).unwrap();
        assert_eq!(after.waiting(&before), ["limits.connections"]);
        assert_eq!(before.waiting(&after), ["limits.connections"]);
        assert!(after.waiting(&after).is_empty());
    }
}
