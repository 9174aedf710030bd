//! Servers that are silent, slow, huge, compressed, no servers at all; and several that disagree.

use std::io::Write;
use std::time::Duration;

use nelumbo_chain::chronik::{ChronikConfig, ChronikError, Failure};
use nelumbo_chain::crypto::Network;
use nelumbo_chain::crypto::lotus::OutPoint;
use nelumbo_chain::proto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::server::{Servers, client, falsify};
use super::world::{World, other, own, own_payload, pay, txid};

/// What a connection does after the request has come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bad {
    Silent,
    Slow,
    HugeAndSaysSo,
    HugeWithoutEnd,
    Gzip,
    ClosedAtOnce,
    ClosedInTheMiddle,
    ContentType,
    NoContentType,
    Redirected,
    NotFoundByAProxy,
    NotHttp,
    EndlessHeaders,
}

const LIMIT: usize = 100_000;

async fn behave(bad: Bad, mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await?;
    let head = |status: &str, rest: &str| format!("HTTP/1.1 {status}\r\n{rest}\r\n").into_bytes();
    let kind = format!("Content-Type: {}\r\n", proto::CONTENT_TYPE);
    match bad {
        Bad::Silent => std::future::pending().await,
        Bad::Slow => {
            stream.write_all(&head("200 OK", &format!("{kind}Content-Length: 1000\r\n"))).await?;
            loop {
                stream.write_all(&[0]).await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Bad::HugeAndSaysSo => {
            stream.write_all(&head("200 OK", &format!("{kind}Content-Length: 99999999999\r\n"))).await?;
            std::future::pending().await
        }
        Bad::HugeWithoutEnd => {
            stream.write_all(&head("200 OK", &format!("{kind}Transfer-Encoding: chunked\r\n"))).await?;
            loop {
                stream.write_all(&[b"1000\r\n", &[0; 4096][..], b"\r\n"].concat()).await?;
            }
        }
        Bad::Gzip => {
            // Ten megabytes of zeros would come of these bytes.
            let body = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0; 10_000]].concat();
            let length = body.len();
            let rest = format!("{kind}Content-Encoding: gzip\r\nContent-Length: {length}\r\n");
            stream.write_all(&head("200 OK", &rest)).await?;
            stream.write_all(&body).await
        }
        Bad::ClosedAtOnce => Ok(()),
        Bad::ClosedInTheMiddle => {
            stream.write_all(&head("200 OK", &format!("{kind}Content-Length: 40\r\n"))).await?;
            stream.write_all(&[0x0a, 0x20, 1, 2]).await
        }
        Bad::ContentType => {
            stream.write_all(&head("200 OK", "Content-Type: text/html\r\nContent-Length: 2\r\n")).await?;
            stream.write_all(b"hi").await
        }
        Bad::NoContentType => {
            stream.write_all(&head("200 OK", "Content-Length: 2\r\n")).await?;
            stream.write_all(b"hi").await
        }
        Bad::Redirected => {
            let rest = "Location: http://127.0.0.1:9/steal\r\nContent-Length: 0\r\n";
            stream.write_all(&head("302 Found", rest)).await
        }
        Bad::NotFoundByAProxy => {
            stream.write_all(&head("404 Not Found", "Content-Type: text/html\r\nContent-Length: 2\r\n")).await?;
            stream.write_all(b"no").await
        }
        Bad::NotHttp => stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n").await,
        Bad::EndlessHeaders => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            loop {
                stream.write_all(b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n").await?;
            }
        }
    }
}

async fn start(bad: Bad) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there are ports");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(behave(bad, stream));
        }
    });
    (url, task)
}

fn patient(servers: &[&str]) -> ChronikConfig {
    let mut config = ChronikConfig::new(Network::Regtest, servers.iter().copied());
    config.request_timeout = Duration::from_millis(700);
    config.backoff = Duration::from_millis(5);
    config.max_response_bytes = LIMIT;
    config
}

/// Each is an error of its kind, within the timeout, and the next server answers.
#[tokio::test]
async fn servers_that_are_none_are_passed_over() {
    let good = Servers::start(World::new(3), 1).await;
    let is_expected = |bad: Bad, failure: &Failure| match bad {
        Bad::Silent | Bad::Slow => *failure == Failure::Timeout,
        Bad::HugeAndSaysSo | Bad::HugeWithoutEnd => *failure == Failure::TooLarge { limit: LIMIT },
        Bad::Gzip => *failure == Failure::Compressed,
        Bad::ClosedAtOnce | Bad::ClosedInTheMiddle | Bad::NotHttp | Bad::EndlessHeaders => {
            matches!(failure, Failure::Broken(_))
        }
        Bad::ContentType => *failure == Failure::ContentType("text/html".to_owned()),
        Bad::NoContentType => *failure == Failure::ContentType(String::new()),
        Bad::Redirected => matches!(failure, Failure::Refused { status: 302, .. }),
        Bad::NotFoundByAProxy => matches!(failure, Failure::Refused { status: 404, .. }),
    };
    let all = [
        Bad::Silent,
        Bad::Slow,
        Bad::HugeAndSaysSo,
        Bad::HugeWithoutEnd,
        Bad::Gzip,
        Bad::ClosedAtOnce,
        Bad::ClosedInTheMiddle,
        Bad::ContentType,
        Bad::NoContentType,
        Bad::Redirected,
        Bad::NotFoundByAProxy,
        Bad::NotHttp,
        Bad::EndlessHeaders,
    ];
    for bad in all {
        let (url, task) = start(bad).await;
        let mut alone = patient(&[&url]);
        alone.rounds = 1;
        match client(alone).transaction(nelumbo_chain::crypto::lotus::Txid::from_bytes([1; 32])).await {
            Err(ChronikError::Unavailable(failures)) => {
                assert!(failures.len() == 1 && is_expected(bad, &failures[0].1), "{bad:?}: {failures:?}");
                assert!(!failures[0].1.remedy().is_empty());
            }
            answer => panic!("{bad:?}: {answer:?}"),
        }
        let both = client(patient(&[&url, &good.all[0].url]));
        assert_eq!(both.tip().await, Ok(Some(World::new(3).tip())), "{bad:?}");
        task.abort();
    }
}

#[tokio::test]
async fn a_refused_connection_and_a_server_that_is_back_later() {
    let servers = Servers::start(World::new(3), 1).await;
    let nobody = client(patient(&["http://127.0.0.1:9"]));
    let error = nobody.tip().await.expect_err("nobody listens there");
    assert!(
        matches!(&error, ChronikError::Unavailable(all) if matches!(all[..], [(_, Failure::Connect(_))])),
        "{error}"
    );
    // Between the rounds it comes back.
    servers.all[0].set_up(false);
    let (client, fake) = (servers.client(), &servers.all[0]);
    let later = async {
        while fake.inner.requests.load(std::sync::atomic::Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        fake.set_up(true);
    };
    let (answer, ()) = tokio::join!(client.tip(), later);
    assert_eq!(answer, Ok(Some(World::new(3).tip())));
}

/// With a quorum the word of one is nothing; without one, it is all there is.
#[tokio::test]
async fn a_quorum_outvotes_a_liar_whom_no_check_finds_out() {
    let servers = Servers::start(World::new(5), 3).await;
    servers.all[0].lie(Some(falsify("/blockchain-info", |tip: &mut proto::BlockchainInfo| tip.tip_hash[0] ^= 1)));
    let (honest, client) = (World::new(5).tip(), servers.client());
    assert_ne!(client.tip().await, Ok(Some(honest)));
    let two = client.with_quorum(2).expect("there are three");
    assert_eq!(two.tip().await, Ok(Some(honest)));
    let three = client.with_quorum(3).expect("there are three");
    let error = three.tip().await.expect_err("one lies");
    assert!(matches!(error, ChronikError::Disagreement { agreeing: 2, asked: 3, quorum: 3, .. }), "{error}");
    assert!(client.with_quorum(4).is_err() && client.with_quorum(0).is_err());
    // One that is down counts as no vote.
    servers.all[1].set_up(false);
    assert!(matches!(two.tip().await, Err(ChronikError::Disagreement { agreeing: 1, .. })));
    servers.all[0].lie(None);
    assert_eq!(two.tip().await, Ok(Some(honest)));
}

/// However often all fail, the requests are counted.
#[tokio::test]
async fn a_question_ends_after_its_rounds() {
    let servers = Servers::start(World::new(2), 3).await;
    servers.all.iter().for_each(|fake| fake.set_up(false));
    let error = servers.client().tip().await.expect_err("all are down");
    assert!(matches!(error, ChronikError::Unavailable(failures) if failures.len() == 3));
    for fake in &servers.all {
        assert_eq!(fake.inner.requests.load(std::sync::atomic::Ordering::Relaxed), 3);
    }
    let mut log = Vec::new();
    write!(log, "{error}", error = servers.client().tip().await.expect_err("all are down")).expect("memory");
    assert!(String::from_utf8_lossy(&log).contains(&servers.all[2].url));
}

/// Each answer is within the limit, and all together are not.
#[tokio::test]
async fn many_answers_together_are_bounded_too() {
    let mut world = World::new(2);
    for _ in 0..6 {
        world.mine(&own());
        let coin = OutPoint { txid: txid(&world.blocks[world.height() as usize].transactions[0]), index: 1 };
        // 34 bytes for each output.
        let outputs: Vec<(u64, Vec<u8>)> = std::iter::repeat_n((10_000, other()), 60).collect();
        let payment = pay(coin, &[&outputs[..], &[(10_000, own())]].concat());
        world.mempool.push(payment);
    }
    let servers = Servers::start(world, 1).await;
    let mut config = servers.config();
    (config.rounds, config.max_response_bytes) = (1, 9_000);
    let small = client(config.clone());
    let error = small.utxos(&own_payload()).await.expect_err("six of 2,200 bytes are too many");
    let is_expected = |all: &[(String, Failure)]| matches!(all[..], [(_, Failure::TooLarge { limit: 9_000 })]);
    assert!(matches!(&error, ChronikError::Unavailable(all) if is_expected(all)), "{error}");
    config.max_response_bytes = 1_000_000;
    let large = client(config);
    assert_eq!(large.utxos(&own_payload()).await.map(|all| all.len()), Ok(6));
    assert_eq!(large.history(&own_payload()).await.map(|all| all.len()), Ok(12));
}
