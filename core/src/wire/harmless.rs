//! Text from others, made harmless to show.
//!
//! Owns which characters deceive a reader or command a terminal. Invariant: what is shown is neither hidden nor raw,
//! and is the same whether it is made harmless once or several times. Everything that shows text from others drives it.

use core::fmt::{self, Write as _};

/// As many combining marks are shown on one character: enough for every language that is written with them usually.
const MAX_MARKS: usize = 2;

/// Text that can be shown anywhere: on a terminal, in a log, on a page.
///
/// What is visible and takes its place is shown as it is. Everything else is shown as its number, such as `\u{202e}`:
/// control characters, what changes the direction of writing, what takes no place or is blank, what is not assigned,
/// and combining marks beyond two on one character, or without one. Making text harmless twice is the same as once.
#[derive(Clone, Copy, Debug)]
pub struct Harmless<'a>(pub &'a str);

impl fmt::Display for Harmless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut marks = MAX_MARKS;
        for letter in self.0.chars() {
            let kind = Kind::of(letter);
            match kind {
                Kind::Visible => marks = 0,
                Kind::Mark => marks += 1,
                Kind::Harmful => {}
            }
            if kind == Kind::Harmful || marks > MAX_MARKS {
                marks = MAX_MARKS;
                write!(f, "{}", letter.escape_unicode())?;
            } else {
                f.write_char(letter)?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Visible,
    /// It is drawn over the character before it.
    Mark,
    Harmful,
}

impl Kind {
    fn of(letter: char) -> Self {
        match letter {
            ' '..='~' => Self::Visible,
            // Blank or without a place, although Unicode counts them among letters, symbols and marks: joiners,
            // fillers, vowels that are never drawn, and selectors of variants.
            '\u{34f}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{ffa0}'
            | '\u{e0100}'..='\u{e01ef}' => Self::Harmful,
            _ if letter.escape_debug().len() == 1 => Self::Visible,
            // The standard library escapes a mark where it begins a text, and nowhere else.
            _ => {
                let mut buffer = [b'x'; 5];
                let end = 1 + letter.encode_utf8(&mut buffer[1..]).len();
                let is_shown = core::str::from_utf8(&buffer[..end]).is_ok_and(|text| text.escape_debug().count() == 2);
                if is_shown { Self::Mark } else { Self::Harmful }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};

    use quickcheck::quickcheck;

    use super::*;

    fn shown(text: &str) -> String {
        Harmless(text).to_string()
    }

    #[test]
    fn what_deceives_is_shown_as_its_number() {
        for letter in [
            '\0',
            '\u{7}',
            '\u{8}',
            '\t',
            '\n',
            '\r',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{9b}', // controls, ANSI
            '\u{61c}',
            '\u{200e}',
            '\u{200f}',
            '\u{202a}',
            '\u{202b}',
            '\u{202c}',
            '\u{202d}',
            '\u{202e}',
            '\u{2066}',
            '\u{2067}',
            '\u{2068}',
            '\u{2069}', // directions
            '\u{ad}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{2060}',
            '\u{2061}',
            '\u{feff}',
            '\u{180e}',
            '\u{fff9}',
            '\u{e0001}',
            '\u{e0041}', // without a place
            '\u{a0}',
            '\u{2003}',
            '\u{3000}',
            '\u{2028}',
            '\u{2029}',
            '\u{115f}',
            '\u{3164}',
            '\u{2800}', // blank
            '\u{34f}',
            '\u{fe0f}',
            '\u{e0100}',
            '\u{e000}',
            '\u{378}',
            '\u{10ffff}', // variants, private, not assigned
        ] {
            let number = alloc::format!("\\u{{{:x}}}", u32::from(letter));
            assert_eq!(shown(&alloc::format!("a{letter}b")), alloc::format!("a{number}b"));
        }
    }

    #[test]
    fn languages_are_shown_as_they_are() {
        for text in [
            "rent, 1,000 satoshi",
            "züri",
            "e\u{301}",
            "Việt",
            "עברית",
            "हिन्दी",
            "ภาษาไทย",
            "日本語",
            "🦀",
            "a\\b 'c' \"d\"",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn a_flood_of_marks_ends_at_the_second() {
        assert_eq!(shown("a\u{301}\u{302}\u{303}\u{304}b\u{301}"), "a\u{301}\u{302}\\u{303}\\u{304}b\u{301}");
        assert_eq!(shown("\u{301}a"), "\\u{301}a", "there is nothing to be drawn over");
    }

    quickcheck! {
        fn making_it_harmless_twice_is_the_same_as_once(text: String) -> bool {
            let once = shown(&text);
            shown(&once) == once && once.chars().all(|letter| Kind::of(letter) != Kind::Harmful)
        }
    }
}
