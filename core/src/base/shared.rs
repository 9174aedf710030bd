//! How bytes that are shared are written down: as bytes.
//!
//! Invariant: what is read back is equal, and nobody shares it. Driven by the derived code of what holds them.

use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serializer};

use super::Bytes;

pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    Vec::<u8>::deserialize(deserializer).map(Into::into)
}

/// The same, where there may be none.
pub(crate) mod option {
    use alloc::vec::Vec;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::base::Bytes;

    pub(crate) fn serialize<S: Serializer>(bytes: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
        bytes.as_deref().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
        Ok(Option::<Vec<u8>>::deserialize(deserializer)?.map(Into::into))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Input, PutId};
    use crate::wire::PeerId;

    #[test]
    fn an_input_comes_back_as_it_was() {
        let from = PeerId::from_bytes(&[7]).expect("a name");
        for stored in [None, Some(Bytes::from([4, 5].as_slice()))] {
            let (id, bytes) = (PutId(3), Bytes::from([1; 300].as_slice()));
            let input = Input::PutRequested { from, subnet: None, id, key: "name".into(), bytes, stored };
            let written = postcard::to_allocvec(&input).expect("memory");
            assert_eq!(postcard::from_bytes(&written), Ok(input));
        }
    }
}
