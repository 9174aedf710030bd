//! Times as files have them: a whole number and its unit, such as `"10 min"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A unit each, with how many nanoseconds it has; the largest first.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A time, as text in the largest unit of which it is a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(pub Duration);

impl Time {
    /// So many seconds.
    #[must_use]
    pub const fn secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0 s");
        }
        let (name, unit) =
            UNITS.into_iter().find(|(_, unit)| nanos.is_multiple_of(*unit)).expect("of nanoseconds it is a whole one");
        write!(f, "{} {name}", nanos / unit)
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no time; write a whole number and a unit, such as \"30 s\" or \"10 min\"");
        let number = text.trim_end_matches(|char: char| char.is_ascii_alphabetic() || char == 'µ' || char == ' ');
        let unit = text[number.len()..].trim_start();
        let unit = if unit == "µs" { "us" } else { unit };
        let (_, unit) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let nanos = number.parse::<u128>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)?;
        let seconds = u64::try_from(nanos / 1_000_000_000).map_err(|_| wrong())?;
        let rest = u32::try_from(nanos % 1_000_000_000).expect("it is below a second");
        Ok(Self(Duration::new(seconds, rest)))
    }
}

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_whole_number_and_its_unit() {
        for (text, nanos, shown) in [
            ("0 s", 0, "0 s"),
            ("90s", 90_000_000_000, "90 s"),
            ("60 s", 60_000_000_000, "1 min"),
            ("2h", 7_200_000_000_000, "2 h"),
            ("500 µs", 500_000, "500 us"),
            ("62 ns", 62, "62 ns"),
            ("30 d", 2_592_000_000_000_000, "30 d"),
        ] {
            let time: Time = text.parse().expect("a time");
            assert_eq!((time.0.as_nanos(), time.to_string().as_str()), (nanos, shown), "{text}");
            assert_eq!(shown.parse(), Ok(time));
        }
        for text in ["", "5", "s", "1.5 s", "-1 s", "1 week", "1 s 2 s", "99999999999999999999999999999999 d"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }
}
