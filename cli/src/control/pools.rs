//! What a node answers about pools that swap coins.
//!
//! Owns how terms and states of pools are shown. The protocol decides everything. `answers` drives it.

use nelumbo_core::base::Wall;
use nelumbo_core::crypto::lotus::{Address, OutPoint, Txid};
use nelumbo_swapsig::content::{Destination, Place};
use nelumbo_swapsig::{Command, Event, NewPool as Wanted, PoolFilter, PoolId, Status, Terms};

use super::answers::{Answer, Answers, problem, result};
use super::messages::{NewPool, Problem};
use super::shapes::{Done, Pool, PoolTerms, Pools};
use crate::node::now;

impl Answers {
    pub(super) async fn create_pool(&self, new: NewPool) -> Result<Answer, Problem> {
        let nonce = random()?;
        let mut terms = Terms::new(self.network, self.handle.key(), new.denomination, new.participants, nonce);
        terms.confirmations = new.confirmations.unwrap_or(terms.confirmations);
        terms.delay = new.delay.unwrap_or(terms.delay);
        terms.registration = new.registration_seconds.unwrap_or(terms.registration);
        terms.settlement = new.settlement_seconds.unwrap_or(terms.settlement);
        terms.setup = new.setup_seconds.unwrap_or(terms.setup);
        terms.confirmation = new.confirmation_seconds.unwrap_or(terms.confirmation);
        terms.check().map_err(|error| Problem::invalid(error, "see `nelumbo pool create --help`"))?;
        let new = Wanted { terms, coin: place(&new.coin)?, destination: self.destination(&new.to)? };
        let is_it = move |status: &Status| status.terms.nonce == nonce;
        self.entered(&Command::CreatePool(Box::new(new)), is_it).await
    }

    pub(super) async fn join_pool(&self, pool: PoolId, coin: &str, to: &str) -> Result<Answer, Problem> {
        let command = Command::JoinPool { pool, coin: place(coin)?, destination: self.destination(to)? };
        self.entered(&command, move |status| status.pool == pool).await
    }

    async fn entered(&self, command: &Command, is_it: impl Fn(&Status) -> bool) -> Result<Answer, Problem> {
        let entered = self.ask_pools(command, |event| match event {
            Event::Changed(status) if is_it(status) => Some(shown(status)),
            _ => None,
        });
        result(entered.await?)
    }

    /// Leaves it, or takes the deposit back. What comes of it are events.
    pub(super) async fn change_pool(&self, pool: PoolId, command: Command) -> Result<Answer, Problem> {
        let underway = |event: &Event| matches!(event, Event::Underway(changed) if *changed == pool).then_some(());
        self.ask_pools(&command, underway).await?;
        result(Done {})
    }

    pub(super) async fn discover_pools(
        &self,
        denomination: Option<u64>,
        min_participants: Option<u8>,
    ) -> Result<Answer, Problem> {
        let open_at = Some(Wall::from_millis(now()));
        let filter = PoolFilter { denomination, min_participants, max_delay: None, open_at };
        let mut found = Vec::new();
        self.ask_pools(&Command::DiscoverPools(filter), |event| match event {
            Event::Found(terms) => {
                found.push(terms_shown(terms));
                None
            }
            Event::SearchFinished => Some(()),
            _ => None,
        })
        .await?;
        found.sort_by_key(|pool| pool.registered_until);
        result(Pools { found, own: Vec::new() })
    }

    pub(super) async fn own_pools(&self) -> Result<Answer, Problem> {
        let own = self.ask_pools(&Command::Status, |event| match event {
            Event::Pools { pools, .. } => Some(pools.iter().map(shown).collect()),
            _ => None,
        });
        result(Pools { found: Vec::new(), own: own.await? })
    }

    async fn ask_pools<T>(&self, command: &Command, answer: impl FnMut(&Event) -> Option<T>) -> Result<T, Problem> {
        let pools = self.pools.as_ref().ok_or_else(|| {
            Problem::refused(
                "this node takes part in no pools",
                "set `pools = true` in config.toml, and start it again",
            )
        })?;
        let answered = pools.ask(command, answer).await.map_err(problem)?;
        answered.map_err(|why| {
            Problem::refused(why, "`nelumbo pool list` finds pools, and `nelumbo pool status` shows yours")
        })
    }

    fn destination(&self, to: &str) -> Result<Destination, Problem> {
        let address: Address = to.parse().map_err(|error| {
            Problem::invalid(format_args!("{to:?} is no address: {error}"), "give an address of Lotus")
        })?;
        if address.network != self.network {
            let problem = format_args!("{to} is an address of {}", address.network);
            return Err(Problem::invalid(problem, "give an address of the network that the node's key is for"));
        }
        Ok(Destination { salt: random()?, script: address.script_pubkey() })
    }
}

fn random() -> Result<[u8; 32], Problem> {
    let entropy = nelumbo_tokio::fresh_entropy();
    entropy
        .map(|mut entropy| entropy.bytes32())
        .map_err(|error| Problem::refused(error, "the system has no random numbers: see its log"))
}

fn place(text: &str) -> Result<Place, Problem> {
    let parsed = text
        .split_once(':')
        .and_then(|(txid, index)| Some(OutPoint { txid: txid.parse::<Txid>().ok()?, index: index.parse().ok()? }));
    parsed.map(Place::from).ok_or_else(|| {
        Problem::invalid(format_args!("{text:?} is no output"), "write the transaction's id, a colon and the index")
    })
}

fn terms_shown(terms: &Terms) -> PoolTerms {
    PoolTerms {
        pool: terms.id().to_string(),
        creator: terms.creator,
        denomination: terms.denomination,
        participants: terms.participants,
        coin: terms.coin(),
        burn: terms.burn(),
        max_fees: terms.max_fees(),
        confirmations: terms.confirmations,
        delay: terms.delay,
        registered_until: terms.registered_until().as_millis(),
        settlement_seconds: terms.settlement,
        setup_seconds: terms.setup,
        confirmation_seconds: terms.confirmation,
    }
}

fn shown(status: &Status) -> Pool {
    let coin = OutPoint::from(status.coin);
    Pool {
        terms: terms_shown(&status.terms),
        phase: status.phase.to_string(),
        done: status.done,
        taking_part: status.participants,
        until: status.until.map(Wall::as_millis),
        otherwise: status.otherwise(),
        blamed: status.blamed.iter().copied().collect(),
        own_coin: format!("{}:{}", coin.txid, coin.index),
        settlement: status.settlement.map(|txid| Txid::from_bytes(txid).to_string()),
    }
}
