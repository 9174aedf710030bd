//! How values of the core look in the API's description.
//!
//! Owns the schemas of types that know nothing of it. Invariant: what a name may be is taken from the type itself, so
//! that the description cannot say otherwise.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The names that a type is written as: what is unknown is told what is known.
fn names<T: DeserializeOwned>() -> Vec<String> {
    let error = serde_json::from_str::<T>("\"?\"").err().expect("a question mark is no name").to_string();
    error.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

macro_rules! named {
    ($($name:ident = $type:ty;)*) => {
        $(
            #[derive(Debug)]
            pub(crate) struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names::<$type>())).build().into()
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    stringify!($name).into()
                }
            }
        )*

        #[cfg(test)]
        const NAMED: &[(&str, fn() -> Vec<String>)] = &[$((stringify!($name), names::<$type>)),*];
    };
}

named! {
    ElectionMethod = nelumbo_core::election::Method;
    Network = nelumbo_core::crypto::Network;
    Phase = nelumbo_core::api::Phase;
    SignerTask = nelumbo_core::api::SignerTask;
    Standing = nelumbo_core::api::Standing;
    Suite = nelumbo_core::crypto::Suite;
    TransactionType = nelumbo_core::wire::TransactionType;
    Unusual = nelumbo_core::approval::Unusual;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known() {
        for (name, names) in NAMED {
            let names = names();
            assert!(names.len() > 1 && names.iter().all(|name| !name.contains([' ', ','])), "{name}: {names:?}");
        }
    }
}
