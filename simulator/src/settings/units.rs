//! Numbers with their units, as text: times, shares, rates; and what a text with a unit is as a number.
//!
//! The modules are for serde's `with`: the code has whole milliseconds, microseconds, millionths and bytes, and files
//! have `"20 s"`, `"200 us"`, `"30%"` and `"1 MB/s"`.

use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Time;

fn whole<'de, D: Deserializer<'de>, N: TryFrom<u128>>(
    deserializer: D,
    unit: Duration,
    name: &str,
) -> Result<N, D::Error> {
    let time = Time::deserialize(deserializer)?;
    let (nanos, unit) = (time.0.as_nanos(), unit.as_nanos());
    if !nanos.is_multiple_of(unit) {
        return Err(D::Error::custom(format_args!("{time} is finer than {name}; write whole {name}")));
    }
    N::try_from(nanos / unit).map_err(|_| D::Error::custom(format_args!("{time} is too long")))
}

/// Whole milliseconds, as a time with its unit.
pub mod millis {
    use super::*;

    /// Writes it.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer, N: Copy + Into<u64>>(millis: &N, serializer: S) -> Result<S::Ok, S::Error> {
        Time(Duration::from_millis((*millis).into())).serialize(serializer)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it is no time, or not of whole milliseconds.
    pub fn deserialize<'de, D: Deserializer<'de>, N: TryFrom<u128>>(deserializer: D) -> Result<N, D::Error> {
        whole(deserializer, Duration::from_millis(1), "milliseconds")
    }
}

/// Whole microseconds, as a time with its unit.
pub mod micros {
    use super::*;

    /// Writes it.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(micros: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        Time(Duration::from_micros(*micros)).serialize(serializer)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it is no time, or not of whole microseconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        whole(deserializer, Duration::from_micros(1), "microseconds")
    }
}

/// Millionths, per cent in files.
pub mod share {
    use super::*;

    /// Millionths as per cent, without digits that do not matter.
    #[must_use]
    pub fn text(millionths: u32) -> String {
        let (whole, rest) = (millionths / 10_000, millionths % 10_000);
        if rest == 0 {
            format!("{whole}%")
        } else {
            format!("{whole}.{rest:04}").trim_end_matches('0').to_owned() + "%"
        }
    }

    /// The millionths in a text such as `30%` or `0.5%`.
    #[must_use]
    pub fn parse(text: &str) -> Option<u32> {
        let number = text.trim().strip_suffix('%')?.trim_end();
        let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        if !is_number(whole) || !is_number(rest) || rest.len() > 4 || whole.len() > 3 {
            return None;
        }
        let millionths = whole.parse::<u32>().ok()? * 10_000 + format!("{rest:0<4}").parse::<u32>().ok()?;
        (millionths <= 1_000_000).then_some(millionths)
    }

    /// Writes it.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(millionths: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*millionths))
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it is no share.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| {
            D::Error::custom(format_args!("{text:?} is no share; write 0% to 100%, such as \"10%\" or \"0.5%\""))
        })
    }
}

/// Bytes per second; 0 is `unlimited`.
pub mod rate {
    use super::*;

    const UNITS: [(&str, u64); 4] = [("GB/s", 1_000_000_000), ("MB/s", 1_000_000), ("kB/s", 1_000), ("B/s", 1)];

    /// The bytes per second in a text such as `1 MB/s`.
    #[must_use]
    pub fn parse(text: &str) -> Option<u64> {
        if text == "unlimited" {
            return Some(0);
        }
        let (name, unit) = UNITS.into_iter().find(|(name, _)| text.ends_with(name))?;
        let number = text.strip_suffix(name)?.trim_end();
        number.parse::<u64>().ok().filter(|number| *number > 0)?.checked_mul(unit)
    }

    /// Writes it.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if *bytes == 0 {
            return serializer.serialize_str("unlimited");
        }
        let (name, unit) =
            UNITS.into_iter().find(|(_, unit)| bytes.is_multiple_of(*unit)).expect("of bytes it is a whole number");
        serializer.serialize_str(&format!("{} {name}", bytes / unit))
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it is no rate.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| {
            D::Error::custom(format_args!("{text:?} is no rate; write such as \"1 MB/s\", or \"unlimited\""))
        })
    }
}

/// A value as a number, and the unit that it is in: milliseconds for times, bytes per second for rates, per cent for
/// shares, none for what is a number by itself. Nothing for what is no number.
#[must_use]
pub fn number(value: &toml::Value) -> Option<(f64, &'static str)> {
    match value {
        toml::Value::Integer(number) => Some((*number as f64, "")),
        toml::Value::Float(number) => Some((*number, "")),
        toml::Value::String(text) => {
            if let Some(millionths) = share::parse(text) {
                return Some((f64::from(millionths) / 1e4, "%"));
            }
            if let Ok(Time(time)) = text.parse() {
                return Some((time.as_nanos() as f64 / 1e6, "ms"));
            }
            rate::parse(text).filter(|bytes| *bytes > 0).map(|bytes| (bytes as f64, "B/s"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_as_it_is_read() {
        for (text, millionths, shown) in [
            ("30%", 300_000, "30%"),
            ("0%", 0, "0%"),
            ("0.5 %", 5_000, "0.5%"),
            ("100%", 1_000_000, "100%"),
            ("0.0005%", 5, "0.0005%"),
            ("33.3300%", 333_300, "33.33%"),
        ] {
            assert_eq!((share::parse(text), share::text(millionths).as_str()), (Some(millionths), shown), "{text}");
            assert_eq!(share::parse(shown), Some(millionths));
        }
        for text in ["", "%", "5", "101%", "-1%", "1.%", ".5%", "0.00005%", "4294967296%", "1e1%", "+5%"] {
            assert_eq!(share::parse(text), None, "{text}");
        }
    }

    #[test]
    fn values_are_numbers_in_their_units() {
        for (text, expected) in [
            ("'10%'", Some((10.0, "%"))),
            ("'500 ms'", Some((500.0, "ms"))),
            ("'2 s'", Some((2_000.0, "ms"))),
            ("'200 us'", Some((0.2, "ms"))),
            ("'20 kB/s'", Some((20_000.0, "B/s"))),
            ("'unlimited'", None),
            ("7", Some((7.0, ""))),
            ("0.5", Some((0.5, ""))),
            ("'toy'", None),
            ("true", None),
        ] {
            let mut table: toml::Table = toml::from_str(&format!("value = {text}")).expect("TOML");
            assert_eq!(number(&table.remove("value").expect("a value")), expected, "{text}");
        }
        for wrong in ["0 kB/s", "kB/s", "5", "18446744073709551615 GB/s", "1.5 MB/s"] {
            assert_eq!(rate::parse(wrong), None, "{wrong}");
        }
    }
}
