//! One setting from a command line, and names that are nearly right.

use std::str::FromStr;

use toml::{Table, Value};

/// One setting: `limits.sessions=100`, `stall=500ms`, `link.loss=10%`.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its table's names, and its own.
    path: Vec<String>,
    value: Value,
}

impl FromStr for Setting {
    type Err = String;

    /// Reads `name=value`; a text needs no quotes.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not SETTING=VALUE, such as limits.sessions=100 or stall=500ms"))?;
        let value = match toml::from_str::<Table>(&format!("value = {value}")) {
            Ok(mut table) => table.remove("value").ok_or("there is no value")?,
            Err(_) => Value::String(value.trim().to_owned()),
        };
        Ok(Self::new(name.trim(), value))
    }
}

impl Setting {
    /// This value for the setting of this name, which has dots between tables and what is in them.
    #[must_use]
    pub fn new(name: &str, value: Value) -> Self {
        Self { path: name.split('.').map(str::to_owned).collect(), value }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.join(".")
    }

    /// Its value.
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.value
    }

    /// The same under the full name, where it has been given by an end of it that no other setting has: `stall` for
    /// `protocol.stall`.
    ///
    /// # Errors
    /// That the name is not among these, with the nearest that is, or that it fits several of them.
    pub fn among(self, names: &[String]) -> Result<Self, String> {
        let name = self.name();
        let is_table = |full: &String| full.strip_prefix(&name).is_some_and(|rest| rest.starts_with('.'));
        if names.iter().any(|full| *full == name || is_table(full)) {
            return Ok(self);
        }
        let ends = |full: &&String| full.strip_suffix(&name).is_some_and(|rest| rest.ends_with('.'));
        let fitting: Vec<&String> = names.iter().filter(ends).collect();
        match fitting[..] {
            [full] => Ok(Self::new(full, self.value)),
            [] => Err(match nearest(&name, names) {
                Some(full) => format!("unknown parameter `{name}`; did you mean `{full}`?"),
                None => format!("unknown parameter `{name}`"),
            }),
            _ => {
                let all: Vec<String> = fitting.iter().map(|full| format!("`{full}`")).collect();
                Err(format!("`{name}` could be {}", all.join(" or ")))
            }
        }
    }

    /// Puts the value into a table. Another `kind` begins the table that it stands in anew: other kinds have other
    /// fields.
    ///
    /// # Errors
    /// That one of the names before the last is no table.
    pub fn put(&self, table: &mut Table) -> Result<(), String> {
        let (name, tables) = self.path.split_last().expect("a text has a last part");
        let place = tables.iter().try_fold(table, |table, name| {
            let inner = table.entry(name.clone()).or_insert_with(|| Value::Table(Table::new()));
            inner.as_table_mut().ok_or_else(|| format!("{name} is no table"))
        })?;
        if name == "kind" && place.get(name) != Some(&self.value) {
            place.clear();
        }
        place.insert(name.clone(), self.value.clone());
        Ok(())
    }
}

/// How many letters may be wrong in a name that is meant to be this long.
fn tolerance(written: &str) -> usize {
    2.max(written.len() / 3)
}

/// Which of these names was meant: one that differs in few letters, as a whole or at its end.
#[must_use]
pub fn nearest<'n>(written: &str, names: &'n [String]) -> Option<&'n str> {
    let own = written.rsplit('.').next().unwrap_or(written);
    let distance = |full: &String| {
        let end = full.rsplit('.').next().unwrap_or(full);
        strsim::osa_distance(full, written).min(strsim::osa_distance(end, own))
    };
    let best = names.iter().min_by_key(|full| (distance(full), strsim::osa_distance(full, written)))?;
    (distance(best) <= tolerance(own)).then_some(best)
}

/// What is said about a name that is not known, with the one that was meant. The message is one of serde's, with the
/// written name and then those that are known in backticks.
#[must_use]
pub fn with_nearest(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let (Some((what, _)), Some(written)) = (message.split_once(" `"), names.next()) else {
        return message.to_owned();
    };
    if !what.starts_with("unknown") {
        return message.to_owned();
    }
    let distance = |name: &&str| strsim::osa_distance(name, written);
    match names.min_by_key(distance).filter(|nearest| distance(nearest) <= tolerance(written)) {
        Some(nearest) => format!("{what} `{written}`; did you mean `{nearest}`?"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Result<String, String> {
        let names = ["nodes", "adversaries.nodes", "protocol.stall", "protocol.stall-max", "link.loss", "a.x", "b.x"];
        let names = names.map(String::from);
        text.parse::<Setting>()?.among(&names).map(|setting| format!("{}={}", setting.name(), setting.value()))
    }

    #[test]
    fn a_setting_is_known_by_its_end_and_a_wrong_one_by_the_nearest() {
        for (text, full) in [
            ("nodes=3", "nodes=3"),
            ("stall=500ms", "protocol.stall=\"500ms\""),
            ("link.loss=10%", "link.loss=\"10%\""),
            ("loss = 10 %", "link.loss=\"10 %\""),
            ("link = {loss=\"1%\"}", "link={ loss = \"1%\" }"),
        ] {
            assert_eq!(named(text).as_deref(), Ok(full), "{text}");
        }
        for (text, problem) in [
            ("stal=1s", "unknown parameter `stal`; did you mean `protocol.stall`?"),
            ("stall_max=1s", "did you mean `protocol.stall-max`?"),
            ("link.los=1%", "did you mean `link.loss`?"),
            ("colour=blue", "unknown parameter `colour`"),
            ("x=1", "`x` could be `a.x` or `b.x`"),
            ("nodes", "not SETTING=VALUE"),
        ] {
            let said = named(text).expect_err(text);
            assert!(said.contains(problem), "{text}: {said}");
        }
        assert!(!named("colour=blue").expect_err("none").contains("did you mean"));
    }

    #[test]
    fn another_kind_begins_its_table_anew() {
        let mut table: Table = toml::from_str("latency = { kind = 'uniform', least = '1 ms' }").expect("TOML");
        let put = |table: &mut Table, text: &str| text.parse::<Setting>().expect("a setting").put(table);
        put(&mut table, "latency.kind=uniform").expect("a table");
        assert_eq!(table["latency"].as_table().map(Table::len), Some(2));
        put(&mut table, "latency.kind=fixed").expect("a table");
        assert_eq!(table["latency"].as_table().map(Table::len), Some(1));
        assert!(put(&mut table, "latency.kind.x=1").is_err());
    }
}
