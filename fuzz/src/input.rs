//! What inputs are made of: how they are read from the fuzzer's bytes, with `arbitrary`, and written as such bytes.
//!
//! Invariants: reading is total, because past the end everything is zero; and what is written reads as it was. Driven
//! by all targets.

use core::fmt;

use arbitrary::{Arbitrary, Result, Unstructured};

/// What can be written as bytes that read as it.
pub trait Encode {
    /// Appends the bytes.
    fn encode(&self, out: &mut Vec<u8>);
}

/// A type of another crate, which cannot derive `Arbitrary`: its fields say `#[arbitrary(with = draw)]`.
pub(crate) trait Draw: Sized {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self>;
}

pub(crate) fn draw<T: Draw>(u: &mut Unstructured<'_>) -> Result<T> {
    T::draw(u)
}

/// Reads an input.
pub(crate) fn read<'a, T: Arbitrary<'a>>(data: &'a [u8]) -> T {
    T::arbitrary(&mut Unstructured::new(data)).expect("reading is total")
}

/// Declares inputs. They derive `Arbitrary`; this writes what that reads: the fields in their order, and before those
/// of a variant four bytes, which are scaled to the number of variants. Where it is used, `Encode` and `choose` are,
/// too.
macro_rules! input {
    () => {};
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $type:ty),* $(,)?
    } $($rest:tt)*) => {
        $(#[$meta])*
        #[derive(arbitrary::Arbitrary, Clone, Debug, PartialEq)]
        $vis struct $name { $($(#[$field_meta])* $field_vis $field : $type),* }
        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$field.encode(out);)*
            }
        }
        input! { $($rest)* }
    };
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident $({ $($(#[$field_meta:meta])* $field:ident : $type:ty),* $(,)? })?),*
        $(,)?
    } $($rest:tt)*) => {
        $(#[$meta])*
        #[derive(arbitrary::Arbitrary, Clone, Debug, PartialEq)]
        $vis enum $name {
            $($(#[$variant_meta])* $variant $({ $($(#[$field_meta])* $field : $type),* })?),*
        }
        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                const NAMES: &[&str] = &[$(stringify!($variant)),*];
                match self {
                    $(Self::$variant $({ $($field),* })? => {
                        choose(stringify!($variant), NAMES, out);
                        $($($field.encode(out);)*)?
                    })*
                }
            }
        }
        input! { $($rest)* }
    };
}
pub(crate) use input;

/// Writes the choice of a variant: the least of the numbers that the derive takes for it.
pub(crate) fn choose(variant: &str, of: &[&str], out: &mut Vec<u8>) {
    let index = of.iter().position(|name| *name == variant).expect("one of them") as u64;
    let least = (index << 32).div_ceil(of.len() as u64);
    u32::try_from(least).expect("below the number of variants").encode(out);
}

/// Values of which there are few, one byte each.
macro_rules! few {
    ($($type:ty: $all:expr;)*) => {
        $(impl Draw for $type {
            fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
                u.choose(&$all).copied()
            }
        }
        impl Encode for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                let place = $all.iter().position(|value| value == self).expect("all values are listed");
                out.push(place as u8);
            }
        })*
    };
}
pub(crate) use few;

macro_rules! numbers {
    ($($type:ty),*) => {
        $(impl Encode for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend(self.to_le_bytes());
            }
        })*
    };
}
numbers!(u8, u16, u32);

impl Encode for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        u8::from(*self).encode(out);
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.is_some().encode(out);
        self.iter().for_each(|value| value.encode(out));
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        for value in self {
            true.encode(out);
            value.encode(out);
        }
        false.encode(out);
    }
}

/// Any bytes, their number first. What is missing at the end is left out.
#[derive(Clone, Default, PartialEq)]
pub struct Bytes(pub(crate) Vec<u8>);

impl<'a> Arbitrary<'a> for Bytes {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let length = usize::from(u16::arbitrary(u)?);
        u.bytes(length.min(u.len())).map(|bytes| Self(bytes.to_vec()))
    }
}

impl Encode for Bytes {
    fn encode(&self, out: &mut Vec<u8>) {
        u16::try_from(self.0.len()).expect("inputs are short").encode(out);
        out.extend(&self.0);
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// So many bytes.
#[derive(Clone, Copy, PartialEq)]
pub struct Fixed<const N: usize>(pub(crate) [u8; N]);

impl<'a, const N: usize> Arbitrary<'a> for Fixed<N> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut bytes = [0; N];
        u.fill_buffer(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl<const N: usize> Encode for Fixed<N> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0);
    }
}

impl<const N: usize> fmt::Debug for Fixed<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// A number of any size: small, anything, or near one of the ends.
#[derive(Clone, Copy, PartialEq)]
pub struct Number(pub(crate) u64);

impl<'a> Arbitrary<'a> for Number {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(match u.int_in_range(0..=3_u8)? {
            0 => u8::arbitrary(u)?.into(),
            1 => u64::arbitrary(u)?,
            2 => u64::MAX - u64::from(u8::arbitrary(u)?),
            _ => 1_u64.rotate_left(u8::arbitrary(u)?.into()).wrapping_sub(1),
        }))
    }
}

impl Encode for Number {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(1);
        out.extend(self.0.to_le_bytes());
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
