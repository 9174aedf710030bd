//! Where a node's settings come from: config.toml, and what was said on the command line before it.

use std::path::PathBuf;

use nelumbo_simulator::settings::{Setting, with_nearest};
use toml::Table;

use super::Config;
use crate::failure::Failure;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) file: PathBuf,
    pub(crate) overrides: Vec<Setting>,
}

impl Source {
    /// The settings as they are now.
    pub(crate) fn read(&self) -> Result<Config, Failure> {
        let config = Config::read(&self.file)?;
        if self.overrides.is_empty() {
            return Ok(config);
        }
        let wrong = |problem: String| {
            Failure::input(format_args!("--set: {problem}"), "`nelumbo config show` prints the names of all settings")
        };
        let mut table = Table::try_from(&config).map_err(|error| wrong(error.to_string()))?;
        self.overrides.iter().try_for_each(|setting| setting.put(&mut table)).map_err(wrong)?;
        let config: Config = table.try_into().map_err(|error: toml::de::Error| wrong(with_nearest(error.message())))?;
        config.check().map_err(|unsound| wrong(unsound.to_string()))?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_comes_before_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.toml");
        let text = "preset = \"full\"\nlisten = []\nbootstrap = []\n[limits]\nsessions = 9\nunapproved = 5\n";
        std::fs::write(&file, format!("{text}unapproved-per-creator = 5\n")).expect("it is ours");
        let read = |overrides: &[&str]| {
            let overrides = overrides.iter().map(|text| text.parse().expect("a setting")).collect();
            Source { file: file.clone(), overrides }.read().map_err(|failure| failure.to_string())
        };
        let config =
            read(&["limits.sessions=7", "protocol.session-timeout=30 min", "log.filter=\"info\"", "relays=false"]);
        let flat = config.expect("all of them are settings").flat();
        for (name, value) in [
            ("limits.sessions", "7"),
            ("limits.unapproved", "5"),
            ("protocol.session-timeout", "\"30 min\""),
            ("log.filter", "\"info\""),
            ("relays", "false"),
        ] {
            assert_eq!(flat[name].to_string(), value, "{name}");
        }
        for (text, problem) in [
            ("limits.sesions=7", "did you mean `sessions`?"),
            ("limits.sessions=0", "limits.sessions is 0"),
            ("preset.x=1", "preset is no table"),
            ("limits.sessions=many", "many"),
        ] {
            let said = read(&[text]).expect_err(text);
            assert!(said.starts_with("--set: ") && said.contains(problem), "{said}");
        }
        assert!("limits.sessions".parse::<Setting>().is_err());
    }
}
