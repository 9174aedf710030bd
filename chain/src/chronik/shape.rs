//! How many parts a message has, before there is memory for them.
//!
//! Owns which fields of which messages repeat. Two bytes on the wire can be a part of a hundred bytes in memory, so
//! the bound on an answer's bytes is none on what it becomes. Invariant: what is decoded has at most [`MOST_PARTS`]
//! parts. `http.rs` drives it.

use prost::Message;

use super::error::{Failure, Fault};
use crate::proto;

/// More than the inputs and outputs of the largest block.
const MOST_PARTS: usize = 500_000;

/// The fields of a message that repeat, and what each of them is; nothing for bytes.
pub(super) struct Shape(&'static [(u64, Option<&'static Shape>)]);

const PLAIN: Shape = Shape(&[]);
const LIST: Shape = Shape(&[(1, Some(&PLAIN))]);
const TX: Shape = Shape(&[(3, Some(&PLAIN)), (4, Some(&PLAIN))]);

/// A message whose parts can be counted.
pub(super) trait Shaped: Message + Default {
    const SHAPE: Shape;
}

macro_rules! shapes {
    ($($message:ident: $shape:expr;)*) => {
        $(impl Shaped for proto::$message {
            const SHAPE: Shape = $shape;
        })*
    };
}

shapes! {
    BlockchainInfo: PLAIN;
    Block: Shape(&[(2, Some(&TX))]);
    Blocks: LIST;
    BroadcastTxResponse: PLAIN;
    BroadcastTxsResponse: Shape(&[(1, None)]);
    Error: PLAIN;
    Tx: TX;
    TxHistoryPage: Shape(&[(1, Some(&TX))]);
    Utxos: Shape(&[(1, Some(&Shape(&[(2, Some(&PLAIN))])))]);
    ValidateUtxoResponse: LIST;
}

/// Reads a message after its parts were counted.
pub(super) fn decode<M: Shaped>(bytes: &[u8]) -> Result<M, Failure> {
    count(bytes, &M::SHAPE, &mut MOST_PARTS.clone())?;
    M::decode(bytes).map_err(|_| Failure::Undecodable)
}

fn count(mut bytes: &[u8], shape: &Shape, left: &mut usize) -> Result<(), Failure> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let length = match key & 7 {
            0 => {
                varint(&mut bytes)?;
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes)?,
            5 => 4,
            _ => return Err(Failure::Undecodable),
        };
        let length = usize::try_from(length).map_err(|_| Failure::Undecodable)?;
        let (part, rest) = bytes.split_at_checked(length).ok_or(Failure::Undecodable)?;
        bytes = rest;
        if let Some((_, shape)) = shape.0.iter().find(|(field, _)| *field == key >> 3) {
            *left = left.checked_sub(1).ok_or(Fault::Count("parts of a message"))?;
            if let Some(shape) = shape {
                count(part, shape, left)?;
            }
        }
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Failure> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or(Failure::Undecodable)?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Failure::Undecodable)
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    /// Empty inputs, outputs, transactions and outpoints, two bytes each.
    #[test]
    fn a_message_of_many_tiny_parts_is_refused_before_it_is_read() {
        let many = |field: u8| [field << 3 | 2, 0].repeat(MOST_PARTS + 1);
        let within = |field: u8, inner: Vec<u8>| {
            let mut length = Vec::new();
            prost::encode_length_delimiter(inner.len(), &mut length).expect("memory");
            [&[field << 3 | 2], &length[..], &inner].concat()
        };
        let refused = Failure::False(Fault::Count("parts of a message"));
        assert_eq!(decode::<proto::Tx>(&many(3)).as_ref(), Err(&refused));
        assert_eq!(decode::<proto::Tx>(&many(4)).as_ref(), Err(&refused));
        assert_eq!(decode::<proto::TxHistoryPage>(&many(1)).as_ref(), Err(&refused));
        assert_eq!(decode::<proto::TxHistoryPage>(&within(1, many(3))).as_ref(), Err(&refused));
        assert_eq!(decode::<proto::Block>(&within(2, many(4))).as_ref(), Err(&refused));
        assert_eq!(decode::<proto::Utxos>(&within(1, many(2))).as_ref(), Err(&refused));
        assert_eq!(decode::<proto::Blocks>(&many(1)).as_ref(), Err(&refused));
        assert_eq!(decode::<proto::ValidateUtxoResponse>(&many(1)).as_ref(), Err(&refused));
        assert_eq!(decode::<proto::BroadcastTxsResponse>(&many(1)).as_ref(), Err(&refused));
        let most = [3 << 3 | 2, 0].repeat(MOST_PARTS);
        assert_eq!(decode::<proto::Tx>(&most).map(|tx| tx.inputs.len()), Ok(MOST_PARTS));
    }

    quickcheck! {
        /// What was written is read, whatever its bytes would be as parts.
        fn counting_refuses_nothing_that_was_written(bytes: Vec<u8>, scripts: Vec<Vec<u8>>, number: i64) -> bool {
            let output = |script: &Vec<u8>| proto::TxOutput {
                value: number,
                output_script: script.clone(),
                spent_by: None,
            };
            let outputs = scripts.iter().map(output).collect();
            let tx = proto::Tx { txid: bytes, outputs, time_first_seen: number, ..proto::Tx::default() };
            let page = proto::TxHistoryPage { txs: vec![tx.clone(), tx], num_pages: 7 };
            let sent = proto::BroadcastTxsResponse { txids: scripts };
            decode(&sent.encode_to_vec()) == Ok(sent) && decode(&page.encode_to_vec()) == Ok(page)
        }
    }
}
