//! A server that lies in one field is found out, and the next one is asked.

use nelumbo_chain::chronik::{BlockRef, ChronikClient, ChronikError, Failure, OutputState, Status};
use nelumbo_chain::crypto::lotus::{OutPoint, Transaction, Txid};
use nelumbo_chain::proto;
use prost::Message;

use super::server::{Lie, Servers, client, falsify};
use super::world::{World, other, own, own_payload, pay, txid};

/// A wallet with a coinbase, a payment with change in a block, and one that waits and spends the change.
struct Sample {
    world: World,
    payment: Txid,
    waiting: Transaction,
}

fn sample() -> Sample {
    let mut world = World::new(3);
    world.mine(&own());
    let coinbase = OutPoint { txid: txid(&world.blocks[3].transactions[0]), index: 1 };
    let payment = pay(coinbase, &[(100_000_000, other()), (150_000_000, own()), (9_000_000, own())]);
    let change = OutPoint { txid: txid(&payment), index: 1 };
    world.mempool.push(payment.clone());
    world.mine(&other());
    world.mine(&own());
    let waiting = pay(change, &[(149_000_000, other())]);
    world.mempool.push(waiting.clone());
    Sample { world, payment: txid(&payment), waiting }
}

#[derive(Clone, Copy, Debug)]
enum Question {
    Tip,
    Transaction,
    Raw,
    Status,
    Spender,
    Spent,
    Utxos,
    History,
    Block,
    Blocks,
    States,
    Broadcast,
}

/// The answer as text.
async fn ask(client: &ChronikClient, question: Question, sample: &Sample) -> Result<String, ChronikError> {
    let payment = sample.payment;
    let outpoint = |index| OutPoint { txid: payment, index };
    let script = own_payload();
    Ok(match question {
        Question::Tip => format!("{:?}", client.tip().await?),
        Question::Transaction => format!("{:?}", client.transaction(payment).await?),
        Question::Raw => format!("{:?}", client.raw_transaction(payment).await?),
        Question::Status => format!("{:?}", client.status(payment).await?),
        Question::Spender => format!("{:?}", client.spender(outpoint(1)).await?),
        Question::Spent => format!("{:?}", client.spent_outputs(&sample.waiting).await?),
        Question::Utxos => format!("{:?}", client.utxos(&script).await?),
        Question::History => format!("{:?}", client.history(&script).await?),
        Question::Block => format!("{:?}", client.block(BlockRef::Height(4)).await?),
        Question::Blocks => format!("{:?}", client.blocks(1, 4).await?),
        Question::States => {
            let unknown = OutPoint { txid: Txid::from_bytes([1; 32]), index: 0 };
            format!("{:?}", client.states(&[outpoint(0), outpoint(1), outpoint(9), unknown]).await?)
        }
        Question::Broadcast => match client.broadcast(&sample.waiting).await {
            Ok(sent) => format!("{:?}", sent.txid),
            Err(nelumbo_chain::chronik::BroadcastError::Unknown(error)) => return Err(error),
            Err(error) => panic!("{error}"),
        },
    })
}

fn tx(change: impl Fn(&mut proto::Tx) + Send + Sync + 'static) -> Lie {
    falsify("/tx/", change)
}

fn info(change: impl Fn(&mut proto::BlockInfo) + Send + Sync + 'static) -> Lie {
    falsify("/block/", move |block: &mut proto::Block| change(block.block_info.as_mut().expect("it is there")))
}

fn utxo(change: impl Fn(&mut proto::Utxo) + Send + Sync + 'static) -> Lie {
    falsify("/script/", move |utxos: &mut proto::Utxos| change(&mut utxos.script_utxos[0].utxos[0]))
}

fn history(change: impl Fn(&mut proto::Tx) + Send + Sync + 'static) -> Lie {
    // The newest waits, and is of the script by its input only.
    falsify("/script/", move |page: &mut proto::TxHistoryPage| change(&mut page.txs[0]))
}

fn state(change: impl Fn(&mut proto::UtxoState) + Send + Sync + 'static) -> Lie {
    falsify("/validate", move |answer: &mut proto::ValidateUtxoResponse| change(&mut answer.utxo_states[0]))
}

fn block_of(tx: &mut proto::Tx) -> &mut proto::BlockMetadata {
    tx.block.as_mut().expect("it is in a block")
}

fn input_of(tx: &mut proto::Tx) -> &mut proto::OutPoint {
    tx.inputs[0].prev_out.as_mut().expect("it is there")
}

fn first_tx(change: impl Fn(&mut proto::Tx) + Send + Sync + 'static) -> Lie {
    falsify("/block/", move |block: &mut proto::Block| change(&mut block.txs[1]))
}

fn lies() -> Vec<(&'static str, Question, Lie)> {
    use Question as Q;
    const TOO_MUCH: i64 = 2_100_000_000_000_001;
    let tip = |change: fn(&mut proto::BlockchainInfo)| falsify("/blockchain-info", change);
    let block = |change: fn(&mut proto::Block)| falsify("/block/", change);
    let blocks = |change: fn(&mut proto::Blocks)| falsify("/blocks/", change);
    let page = |change: fn(&mut proto::TxHistoryPage)| falsify("/script/", change);
    let utxos = |change: fn(&mut proto::Utxos)| falsify("/script/", change);
    let states = |change: fn(&mut proto::ValidateUtxoResponse)| falsify("/validate", change);
    vec![
        ("tip hash short", Q::Tip, tip(|tip| tip.tip_hash.truncate(31))),
        ("tip hash zero", Q::Tip, tip(|tip| tip.tip_hash = vec![0; 32])),
        ("tip height negative", Q::Tip, tip(|tip| tip.tip_height = -2)),
        ("tip height too low for a block", Q::Status, tip(|tip| tip.tip_height = 3)),
        ("network of another coin", Q::Transaction, tx(|tx| tx.network = 1)),
        ("network missing", Q::Transaction, tx(|tx| tx.network = 0)),
        ("txid", Q::Transaction, tx(|tx| tx.txid[0] ^= 1)),
        ("txid short", Q::Transaction, tx(|tx| tx.txid.truncate(31))),
        ("version", Q::Transaction, tx(|tx| tx.version = 1)),
        ("no inputs", Q::Transaction, tx(|tx| tx.inputs.clear())),
        ("spent txid", Q::Transaction, tx(|tx| input_of(tx).txid[5] ^= 1)),
        ("spent index", Q::Transaction, tx(|tx| input_of(tx).out_idx += 1)),
        ("no outpoint", Q::Transaction, tx(|tx| tx.inputs[0].prev_out = None)),
        ("input script longer", Q::Transaction, tx(|tx| tx.inputs[0].input_script.push(1))),
        ("input value negative", Q::Transaction, tx(|tx| tx.inputs[0].value = -1)),
        ("input value too small", Q::Transaction, tx(|tx| tx.inputs[0].value = 1)),
        ("input value too large", Q::Transaction, tx(|tx| tx.inputs[0].value = TOO_MUCH)),
        ("sequence", Q::Transaction, tx(|tx| tx.inputs[0].sequence_no ^= 1)),
        ("output value", Q::Transaction, tx(|tx| tx.outputs[1].value += 1)),
        ("output value negative", Q::Transaction, tx(|tx| tx.outputs[1].value = -1)),
        ("output script", Q::Transaction, tx(|tx| tx.outputs[1].output_script[5] ^= 1)),
        ("output gone", Q::Transaction, tx(|tx| drop(tx.outputs.pop()))),
        ("lock time", Q::Transaction, tx(|tx| tx.lock_time = 1)),
        ("size", Q::Transaction, tx(|tx| tx.size += 1)),
        ("coinbase", Q::Transaction, tx(|tx| tx.is_coinbase = true)),
        ("first seen", Q::Transaction, tx(|tx| tx.time_first_seen = -1)),
        ("block height negative", Q::Transaction, tx(|tx| block_of(tx).height = -1)),
        ("block hash short", Q::Transaction, tx(|tx| block_of(tx).hash.clear())),
        ("block time", Q::Transaction, tx(|tx| block_of(tx).timestamp = i64::MAX)),
        ("another height", Q::Status, tx(|tx| block_of(tx).height += 1)),
        ("height above the tip", Q::Status, tx(|tx| block_of(tx).height += 100)),
        ("another block", Q::Status, tx(|tx| block_of(tx).hash[0] ^= 1)),
        ("another block of the chain", Q::Status, {
            let other = sample().world.blocks[2].hash;
            tx(move |tx| *block_of(tx) = proto::BlockMetadata { height: 2, hash: other.to_vec(), timestamp: 1 << 30 })
        }),
        ("spent by another", Q::Spender, {
            let other = sample().payment;
            tx(move |tx| {
                let spent_by = tx.outputs.get_mut(1).and_then(|output| output.spent_by.as_mut());
                spent_by.into_iter().for_each(|spent_by| spent_by.txid = other.as_bytes().to_vec());
            })
        }),
        (
            "spent by nobody known",
            Q::Spender,
            tx(|tx| {
                let spent_by = tx.outputs.get_mut(1).and_then(|output| output.spent_by.as_mut());
                spent_by.into_iter().for_each(|spent_by| spent_by.txid[0] ^= 1);
            }),
        ),
        (
            "spent by another input",
            Q::Spender,
            tx(|tx| {
                let spent_by = tx.outputs.get_mut(1).and_then(|output| output.spent_by.as_mut());
                spent_by.into_iter().for_each(|spent_by| spent_by.out_idx = 3);
            }),
        ),
        (
            "spent by a short id",
            Q::Spender,
            tx(|tx| {
                let spent_by = tx.outputs.get_mut(1).and_then(|output| output.spent_by.as_mut());
                spent_by.into_iter().for_each(|spent_by| spent_by.txid.clear());
            }),
        ),
        ("what an input spends", Q::Spent, tx(|tx| tx.outputs[1].value -= 1)),
        (
            "raw transaction",
            Q::Raw,
            std::sync::Arc::new(|path, mut body| {
                if path.starts_with("/raw-tx/") {
                    body[150] ^= 1;
                }
                body
            }),
        ),
        ("utxo value", Q::Utxos, utxo(|utxo| utxo.value += 1)),
        ("utxo value negative", Q::Utxos, utxo(|utxo| utxo.value = -1)),
        ("utxo txid", Q::Utxos, utxo(|utxo| utxo.outpoint.as_mut().expect("it is there").txid[0] ^= 1)),
        ("utxo index", Q::Utxos, utxo(|utxo| utxo.outpoint.as_mut().expect("it is there").out_idx += 7)),
        ("utxo outpoint", Q::Utxos, utxo(|utxo| utxo.outpoint = None)),
        ("utxo height", Q::Utxos, utxo(|utxo| utxo.block_height += 1)),
        ("utxo waits", Q::Utxos, utxo(|utxo| utxo.block_height = -1)),
        ("utxo height below -1", Q::Utxos, utxo(|utxo| utxo.block_height = -2)),
        ("utxo coinbase", Q::Utxos, utxo(|utxo| utxo.is_coinbase = !utxo.is_coinbase)),
        ("utxo network", Q::Utxos, utxo(|utxo| utxo.network = 0)),
        ("utxo of another script", Q::Utxos, utxos(|utxos| utxos.script_utxos[0].output_script = other())),
        (
            "utxo twice",
            Q::Utxos,
            utxos(|utxos| {
                let utxos = &mut utxos.script_utxos[0].utxos;
                utxos.push(utxos[0].clone());
            }),
        ),
        ("spent output as unspent", Q::Utxos, {
            let payment = sample().payment;
            utxo(move |utxo| {
                let outpoint = proto::OutPoint { txid: payment.as_bytes().to_vec(), out_idx: 1 };
                *utxo = proto::Utxo {
                    outpoint: Some(outpoint),
                    value: 150_000_000,
                    block_height: 4,
                    is_coinbase: false,
                    network: 2,
                };
            })
        }),
        ("history of another script", Q::History, history(|tx| tx.inputs[0].output_script = other())),
        ("history spends another amount", Q::History, history(|tx| tx.inputs[0].value += 1)),
        ("history network", Q::History, history(|tx| tx.network = 3)),
        ("history txid", Q::History, history(|tx| tx.txid[0] ^= 1)),
        (
            "history above the tip",
            Q::History,
            history(|tx| {
                tx.block = Some(proto::BlockMetadata { height: 100, hash: vec![1; 32], timestamp: 1 << 30 });
            }),
        ),
        ("history twice", Q::History, page(|page| page.txs.push(page.txs[0].clone()))),
        ("history without pages", Q::History, page(|page| page.num_pages = 0)),
        ("history with empty pages", Q::History, page(|page| page.txs.clear())),
        (
            "history too long",
            Q::History,
            page(|page| {
                (0..200).for_each(|_| page.txs.push(page.txs[0].clone()));
            }),
        ),
        ("block without header", Q::Block, block(|block| block.raw_header.clear())),
        ("header", Q::Block, block(|block| block.raw_header[100] ^= 1)),
        ("no block info", Q::Block, block(|block| block.block_info = None)),
        ("transaction gone", Q::Block, block(|block| drop(block.txs.pop()))),
        ("transactions in another order", Q::Block, block(|block| block.txs.reverse())),
        (
            "merkle root",
            Q::Block,
            block(|block| {
                block.block_details.as_mut().expect("it is there").merkle_root[0] ^= 1;
            }),
        ),
        ("nonce", Q::Block, block(|block| block.block_details.as_mut().expect("it is there").nonce += 1)),
        ("block version", Q::Block, block(|block| block.block_details.as_mut().expect("it is there").version += 1)),
        ("block hash", Q::Block, info(|info| info.hash[0] ^= 1)),
        ("block before", Q::Block, info(|info| info.prev_hash[0] ^= 1)),
        ("height of a block", Q::Block, info(|info| info.height += 1)),
        ("target", Q::Block, info(|info| info.n_bits += 1)),
        ("time of a block", Q::Block, info(|info| info.timestamp += 1)),
        ("time of a block negative", Q::Block, info(|info| info.timestamp = -1)),
        ("size of a block", Q::Block, info(|info| info.block_size += 1)),
        ("number of transactions", Q::Block, info(|info| info.num_txs += 1)),
        ("number of inputs", Q::Block, info(|info| info.num_inputs += 1)),
        ("number of outputs", Q::Block, info(|info| info.num_outputs += 1)),
        ("sum of inputs negative", Q::Block, info(|info| info.sum_input_sats = -1)),
        ("sum of coinbase negative", Q::Block, info(|info| info.sum_coinbase_output_sats = -1)),
        ("sum of outputs negative", Q::Block, info(|info| info.sum_normal_output_sats = -1)),
        ("sum of burns negative", Q::Block, info(|info| info.sum_burned_sats = -1)),
        ("input script of the same length", Q::Block, first_tx(|tx| tx.inputs[0].input_script[9] ^= 1)),
        ("transaction of another block", Q::Block, first_tx(|tx| block_of(tx).height -= 1)),
        ("transaction at another time", Q::Block, first_tx(|tx| block_of(tx).timestamp -= 1)),
        ("transaction that waits", Q::Block, first_tx(|tx| tx.block = None)),
        ("another block than asked", Q::Block, {
            let block = sample().world.message_block(3);
            falsify("/block/", move |asked: &mut proto::Block| *asked = block.clone())
        }),
        ("blocks from another height", Q::Blocks, blocks(|blocks| drop(blocks.blocks.remove(0)))),
        ("blocks too many", Q::Blocks, blocks(|blocks| blocks.blocks.push(blocks.blocks[0].clone()))),
        ("blocks that do not follow", Q::Blocks, blocks(|blocks| blocks.blocks[2].prev_hash[0] ^= 1)),
        ("a hash among blocks", Q::Blocks, blocks(|blocks| blocks.blocks[1].hash[0] ^= 1)),
        ("a height among blocks", Q::Blocks, blocks(|blocks| blocks.blocks[1].height = 7)),
        ("a block without coinbase", Q::Blocks, blocks(|blocks| blocks.blocks[1].num_txs = 0)),
        ("a first block that is none", Q::Blocks, blocks(|blocks| blocks.blocks[0].prev_hash = vec![0; 32])),
        ("states too few", Q::States, states(|states| states.utxo_states.truncate(3))),
        ("states too many", Q::States, states(|states| states.utxo_states.push(proto::UtxoState::default()))),
        ("a state that is none", Q::States, state(|state| state.state = 9)),
        ("a state that waits at a height", Q::States, state(|state| state.is_confirmed = false)),
        ("a confirmed state without height", Q::States, state(|state| state.height = -1)),
        ("no such transaction at a height", Q::States, state(|state| state.state = 2)),
        (
            "id of what was sent",
            Q::Broadcast,
            falsify("/broadcast", |sent: &mut proto::BroadcastTxResponse| {
                sent.txid[0] ^= 1;
            }),
        ),
    ]
}

/// Alone the liar is found out; before an honest server it changes nothing, and is asked no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_lie_is_found_out_and_the_next_server_is_asked() {
    let (sample, lies) = (sample(), lies());
    assert!(lies.len() > 90, "{} lies", lies.len());
    for (name, question, lie) in lies {
        let servers = Servers::start(sample.world.clone(), 2).await;
        let honest = ask(&servers.client(), question, &sample).await.expect("an honest server");
        servers.all[0].lie(Some(lie));
        let is_about_sending = matches!(question, Question::Broadcast);
        let mut alone = servers.config();
        (alone.rounds, alone.servers) = (1, vec![servers.all[0].url.clone()]);
        match ask(&client(alone), question, &sample).await {
            Err(ChronikError::Unavailable(failures)) => {
                assert!(matches!(failures[..], [(_, Failure::False(_))]), "{name}: {failures:?}");
            }
            // What it was sent before it knows, whatever it says to that.
            Ok(_) if is_about_sending => {}
            answer => panic!("{name}: {answer:?}"),
        }
        let both = servers.client();
        assert_eq!(ask(&both, question, &sample).await.as_ref(), Ok(&honest), "{name}");
        let before = servers.all[0].inner.requests.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(ask(&both, question, &sample).await.as_ref(), Ok(&honest), "{name}");
        let after = servers.all[0].inner.requests.load(std::sync::atomic::Ordering::Relaxed);
        assert!(before == after || is_about_sending, "{name}: the liar is asked again");
    }
}

/// What one server says of another's message is no message at all, or judged by its content.
#[tokio::test]
async fn bytes_that_are_no_message_are_no_answer() {
    let sample = sample();
    let servers = Servers::start(sample.world.clone(), 1).await;
    let mut config = servers.config();
    config.rounds = 1;
    let client = client(config);
    for garbage in [vec![], vec![0xff; 50], b"<html></html>".to_vec(), proto::Error::default().encode_to_vec()] {
        servers.all[0].lie(Some(std::sync::Arc::new(move |_, _| garbage.clone())));
        use Question as Q;
        for question in [Q::Tip, Q::Transaction, Q::Raw, Q::Status, Q::Block, Q::States] {
            let answer = ask(&client, question, &sample).await;
            assert!(matches!(answer, Err(ChronikError::Unavailable(_))), "{question:?}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn honest_servers_are_believed() {
    let sample = sample();
    let servers = Servers::start(sample.world.clone(), 1).await;
    let client = servers.client();
    let block = sample.world.id(4);
    assert_eq!(client.status(sample.payment).await, Ok(Status::Confirmed { block, confirmations: 2 }));
    assert_eq!(client.status(txid(&sample.waiting)).await, Ok(Status::Waiting));
    assert_eq!(client.status(Txid::from_bytes([1; 32])).await, Ok(Status::Unknown));
    let spender = client.spender(OutPoint { txid: sample.payment, index: 1 }).await.expect("it is there");
    assert_eq!(spender.map(|spender| spender.txid), Some(txid(&sample.waiting)));
    assert_eq!(client.spender(OutPoint { txid: sample.payment, index: 0 }).await, Ok(None));
    let spent = client.spent_outputs(&sample.waiting).await.expect("it is there");
    assert_eq!(spent.iter().map(|output| output.value).collect::<Vec<_>>(), [150_000_000]);
    let mut values: Vec<u64> =
        client.utxos(&own_payload()).await.expect("it is there").iter().map(|each| each.output.value).collect();
    values.sort_unstable();
    assert_eq!(values, [9_000_000, 260_000_000]);
    let history = client.history(&own_payload()).await.expect("it is there");
    assert_eq!((history.len(), history[0].txid), (4, txid(&sample.waiting)));
    let page = client.history_page(&own_payload(), 1, 3).await.expect("it is there");
    assert_eq!((page.pages, page.transactions.len()), (2, 1));
    let block = client.block(BlockRef::Hash(block.hash)).await.expect("it is there").expect("it is there");
    assert_eq!(block.transactions, sample.world.blocks[4].transactions);
    assert_eq!(client.block(BlockRef::Height(99)).await, Ok(None));
    assert_eq!(client.blocks(0, 400).await.map(|blocks| blocks.len()), Ok(6));
    let states = client.states(&[OutPoint { txid: sample.payment, index: 1 }]).await;
    assert_eq!(states, Ok(vec![OutputState::Spent { height: Some(4) }]));
    assert_eq!(client.raw_transaction(sample.payment).await.map(|raw| raw.is_some()), Ok(true));
    let empty = Servers::start(World::default(), 1).await;
    assert_eq!(empty.client().tip().await, Ok(None));
}
