//! The first difference between two traces.
//!
//! Invariant: both are read once, side by side, in constant memory.

use std::collections::VecDeque;
use std::io::{self, BufRead};

/// How many common rows before the difference are shown.
const CONTEXT: usize = 5;

/// The first difference of two traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// In which row, counted from 1.
    pub row: u64,
    /// The last rows that they have in common.
    pub before: Vec<String>,
    /// The row of the first trace; none when it has ended.
    pub left: Option<String>,
    /// The row of the second trace; none when it has ended.
    pub right: Option<String>,
}

/// The first row in which two traces in JSON lines differ; nothing when they are the same.
///
/// # Errors
/// What the files say.
pub fn diff(left: impl BufRead, right: impl BufRead) -> io::Result<Option<Difference>> {
    let (mut left, mut right) = (left.lines(), right.lines());
    let mut before = VecDeque::new();
    for row in 1.. {
        let (left, right) = (left.next().transpose()?, right.next().transpose()?);
        match (left, right) {
            (None, None) => break,
            (Some(left), Some(right)) if left == right => {
                if before.len() == CONTEXT {
                    before.pop_front();
                }
                before.push_back(left);
            }
            (left, right) => return Ok(Some(Difference { row, before: before.into(), left, right })),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found_with_what_precedes_it() {
        let lines = |numbers: &[u32]| numbers.iter().map(|number| format!("{number}\n")).collect::<String>();
        let long: Vec<u32> = (0..100).collect();
        let mut other = long.clone();
        other[60] = 7;
        let one = lines(&long);
        assert_eq!(diff(one.as_bytes(), one.as_bytes()).unwrap(), None);
        let found = diff(one.as_bytes(), lines(&other).as_bytes()).unwrap().expect("they differ");
        assert_eq!((found.row, found.left.as_deref(), found.right.as_deref()), (61, Some("60"), Some("7")));
        assert_eq!(found.before, ["55", "56", "57", "58", "59"]);
        let found = diff(one.as_bytes(), lines(&long[..10]).as_bytes()).unwrap().expect("one is longer");
        assert_eq!((found.row, found.left.as_deref(), found.right), (11, Some("10"), None));
    }
}
