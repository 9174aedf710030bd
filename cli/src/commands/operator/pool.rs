//! `nelumbo pool`: people who swap equal coins.

use std::io::{self, IsTerminal};

use clap::{Args, Subcommand};
use nelumbo_chain::build::{self, Coin, FeeRate, Payment, Unlock, input_bytes, output_bytes, transaction_bytes};
use nelumbo_core::crypto::lotus::{Address, OutPoint, TxOutput};
use nelumbo_core::crypto::{PublicKey, SecretKey, Suite};
use nelumbo_simulator::settings::Time;
use nelumbo_swapsig::content::{burn_script, coin_script};
use nelumbo_swapsig::{PoolId, Terms};

use super::money::Wallet;
use super::wallet;
use crate::control::{Done, NewPool, Pool, PoolTerms, Pools, Request, Running};
use crate::failure::{Answer, Failure};
use crate::holdings::xpi;
use crate::passphrase::PassphraseSource;
use crate::summary::{self, date};
use crate::{output, values};

const EXAMPLES: &str = "\
Examples:
  nelumbo pool list
  nelumbo pool create --denomination 1 --participants 5 --to lotus_16PSJNXGeBvtwFcrdouuG1PPPQUeV8aZDGHad7xjd
  nelumbo pool join POOL --to lotus_16PSJNXGeBvtwFcrdouuG1PPPQUeV8aZDGHad7xjd
  nelumbo pool status
  nelumbo pool leave POOL
  nelumbo pool reclaim POOL

A node that is to take part needs `pools = true` and `chain` in config.toml, and runs until its pools are over. Read the
book's chapter on SwapSig first: what it hides, and from whom; and that the law is yours to know.";

/// Swaps coins with others: each gives one and gets one, by one transaction that all of them sign
///
/// Nobody holds anybody's money. Before a deposit is made everything is signed; if others vanish after that, the node
/// takes it back by itself, after the pool's delay. `pool status` says what happens if nothing is done.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PoolCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Create(Create),
    /// Finds pools that one can register for, for at most some seconds
    #[command(after_help = "Examples:\n  nelumbo pool list\n  nelumbo pool list --denomination 1 --json")]
    List {
        /// Only of this denomination: 0.1, 1, 10 or 100 XPI
        #[arg(long, value_name = "XPI", value_parser = values::amount)]
        denomination: Option<u64>,
        /// Only with room for so many
        #[arg(long, value_name = "N")]
        min_participants: Option<u8>,
        #[command(flatten)]
        node: Running,
    },
    Join(Join),
    /// Shows how far the node's pools are, until when the step may take, and what happens if nothing is done
    #[command(after_help = "Examples:\n  nelumbo pool status\n  nelumbo pool status --json | jq '.own[].phase'")]
    Status {
        #[command(flatten)]
        node: Running,
    },
    /// Leaves a pool: nothing is lost before everything of one's own is signed; after that it costs a fee, and once the
    /// deposit is made it cannot be done
    #[command(after_help = "Examples:\n  nelumbo pool leave POOL")]
    Leave {
        /// The pool, by its id
        #[arg(value_name = "POOL", value_parser = values::parsed::<PoolId>)]
        pool: PoolId,
        #[command(flatten)]
        node: Running,
    },
    /// Takes a deposit back whose delay is over, or says when that is
    ///
    /// A deposit comes back by itself too. With this it does not have to wait for a settlement that is still possible.
    #[command(after_help = "Examples:\n  nelumbo pool reclaim POOL")]
    Reclaim {
        /// The pool, by its id
        #[arg(value_name = "POOL", value_parser = values::parsed::<PoolId>)]
        pool: PoolId,
        #[command(flatten)]
        node: Running,
    },
}

/// Creates a pool, and takes part in it
///
/// Makes the coin that the pool asks for, out of the money of the node's own key (`nelumbo wallet`), with its burn
/// beside it, unless --coin names one that was made before. The pool begins when as many as --participants have
/// registered, or with three or more when the time for registration is over.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  nelumbo pool create --denomination 1 --participants 5 --to ADDRESS\n  nelumbo pool \
                        create --denomination 0.1 --participants 3 --to ADDRESS --registration '1 h'"
)]
struct Create {
    /// What each gives and gets: 0.1, 1, 10 or 100 XPI
    #[arg(long, value_name = "XPI", value_parser = values::amount)]
    denomination: u64,
    /// How many take part at most, 3 to 10
    #[arg(long, value_name = "N", default_value_t = 5)]
    participants: u8,
    /// How many confirmations count
    #[arg(long, value_name = "N", default_value_t = 1)]
    confirmations: u16,
    /// After how many blocks a deposit can be taken back alone; 720 are about a day
    #[arg(long, value_name = "BLOCKS", default_value_t = 720)]
    delay: u16,
    /// How long people may register
    #[arg(long, value_name = "TIME", default_value = "10 min", value_parser = values::parsed::<Time>)]
    registration: Time,
    /// How long after that until everything is signed; if it is not, the pool ends
    #[arg(long, value_name = "TIME", default_value = "10 min", value_parser = values::parsed::<Time>)]
    settlement: Time,
    /// How long after that until coins are taken back, if no deposit is to be seen
    #[arg(long, value_name = "TIME", default_value = "5 min", value_parser = values::parsed::<Time>)]
    setup: Time,
    /// How long after that deposits may take to be in blocks; a coin whose deposit is not is taken back
    #[arg(long, value_name = "TIME", default_value = "1 h", value_parser = values::parsed::<Time>)]
    confirmation: Time,
    #[command(flatten)]
    part: Part,
}

/// Takes part in a pool that `nelumbo pool list` has found
///
/// Shows what the pool costs and how long each step may take, asks whether that is wanted, and makes the coin that the
/// pool asks for, as `pool create` does.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  nelumbo pool join POOL --to ADDRESS\n  nelumbo pool join POOL --to ADDRESS --yes")]
struct Join {
    /// The pool, by its id
    #[arg(value_name = "POOL", value_parser = values::parsed::<PoolId>)]
    pool: PoolId,
    /// Do not ask whether what the pool is is wanted
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    part: Part,
}

#[derive(Args, Debug)]
struct Part {
    /// The address that the pool pays: one that nobody knows yet
    #[arg(long, value_name = "ADDRESS", value_parser = values::parsed::<Address>)]
    to: Address,
    /// A coin that was made before: transaction and index
    #[arg(long, value_name = "TXID:INDEX", value_parser = super::spend::outpoint)]
    coin: Option<OutPoint>,
    #[command(flatten)]
    passphrase: PassphraseSource,
    #[command(flatten)]
    node: Running,
}

impl PoolCommand {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match self.action {
            Action::Create(create) => create.run()?,
            Action::List { denomination, min_participants, node } => {
                node.ask(&Request::DiscoverPools { denomination, min_participants }, |Pools { found, .. }| {
                    let row = |pool: &PoolTerms| {
                        let until = date(u32::try_from(pool.registered_until / 1000).unwrap_or(u32::MAX));
                        let people = format!("3 to {}", pool.participants);
                        [pool.pool.clone(), xpi(pool.denomination), people, costs(pool), until, times(pool)]
                    };
                    output::columns(
                        ["POOL", "EACH", "PEOPLE", "COSTS", "REGISTER UNTIL", "AFTER THAT"],
                        &found.iter().map(row).collect::<Vec<_>>(),
                    )
                })?;
            }
            Action::Join(join) => return join.run(),
            Action::Status { node } => {
                node.ask(&Request::Pools {}, |Pools { own, .. }| own.iter().try_for_each(show))?;
            }
            Action::Leave { pool, node } => node.ask(&Request::LeavePool { pool }, |Done {}| Ok(()))?,
            Action::Reclaim { pool, node } => node.ask(&Request::ReclaimDeposit { pool }, |Done {}| Ok(()))?,
        }
        Ok(Answer::Yes)
    }
}

impl Create {
    fn run(self) -> Result<(), Failure> {
        let Self { denomination, participants, confirmations, delay, part, .. } = self;
        let key = wallet::key(&part.node)?;
        let mut terms = Terms::new(key.network, key.public_key, denomination, participants, [0; 32]);
        (terms.confirmations, terms.delay) = (confirmations, delay);
        let seconds = |Time(time): Time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        (terms.registration, terms.settlement) = (seconds(self.registration), seconds(self.settlement));
        (terms.setup, terms.confirmation) = (seconds(self.setup), seconds(self.confirmation));
        // Before anything is burned.
        terms.check().map_err(|error| Failure::input(error, "see --help"))?;
        let coin = part.coin(terms.coin(), terms.burn())?;
        let request = Request::CreatePool(Box::new(NewPool {
            denomination,
            participants,
            confirmations: Some(confirmations),
            delay: Some(delay),
            registration_seconds: Some(terms.registration),
            settlement_seconds: Some(terms.settlement),
            setup_seconds: Some(terms.setup),
            confirmation_seconds: Some(terms.confirmation),
            coin: written(coin),
            to: part.to.to_string(),
        }));
        part.enter(coin, &request)
    }
}

impl Join {
    fn run(self) -> Result<Answer, Failure> {
        let Self { pool, yes, part } = self;
        let request = Request::DiscoverPools { denomination: None, min_participants: None };
        let Pools { found, .. } = part.node.connect()?.get(&request)?;
        let terms = found.iter().find(|terms| terms.pool == pool.to_string()).ok_or_else(|| {
            Failure::unmet(format_args!("no pool {pool} was found"), "`nelumbo pool list` shows those that there are")
        })?;
        if !yes {
            if !io::stdin().is_terminal() {
                let advice = "read what `nelumbo pool list` says of it, and give --yes if that is wanted";
                return Err(Failure::input("nobody is there to say that this pool is wanted", advice));
            }
            let costs = format!("{}; {}; {}", xpi(terms.denomination), costs(terms), times(terms));
            if !summary::confirm(&format!("{costs}. Is that wanted?"), io::stdin().lock(), io::stderr())? {
                return Ok(Answer::No);
            }
        }
        let coin = part.coin(terms.coin, terms.burn)?;
        part.enter(coin, &Request::JoinPool { pool, coin: written(coin), to: part.to.to_string() })?;
        Ok(Answer::Yes)
    }
}

fn costs(pool: &PoolTerms) -> String {
    format!("{} burned, {} of fees at most", xpi(pool.burn), xpi(pool.max_fees))
}

/// What may take how long once the time for registration is over.
fn times(pool: &PoolTerms) -> String {
    let [sign, begin, confirm] = [pool.settlement_seconds, pool.setup_seconds, pool.confirmation_seconds]
        .map(|seconds| Time::secs(seconds.into()));
    format!(
        "{sign} to sign, {begin} to deposit, {confirm} to confirm; a deposit comes back after {} blocks",
        pool.delay
    )
}

fn written(coin: OutPoint) -> String {
    format!("{}:{}", coin.txid, coin.index)
}

impl Part {
    /// The coin that was given, or one that is made now.
    fn coin(&self, value: u64, burn: u64) -> Result<OutPoint, Failure> {
        if let Some(coin) = self.coin {
            return Ok(coin);
        }
        // Whoever cannot take part should not have burned anything.
        let Pools { .. } = self.node.connect()?.get(&Request::Pools {})?;
        let file = wallet::key(&self.node)?;
        let wallet = wallet::open(&self.node, &file)?;
        if self.to.network != wallet.network {
            return Err(Failure::input(
                format_args!(
                    "{} is an address of {}, and the node is for {}",
                    self.to, self.to.network, wallet.network
                ),
                "give an address of the right network",
            ));
        }
        make(&wallet, &file.unlock(&self.passphrase)?, value, burn)
    }

    fn enter(&self, coin: OutPoint, request: &Request) -> Result<(), Failure> {
        let entered = self.node.ask(request, |pool: Pool| show(&pool));
        entered.inspect_err(|_| {
            if self.coin.is_none() {
                // It is the node's own money still, and can be registered with.
                let _ = output::line(format_args!("the coin is {}; give it with --coin", written(coin)));
            }
        })
    }
}

/// Makes a coin with its burn beside it. Change would be a second output to the same key, which no coin may have beside
/// it: so an output of the right size is made first, and used up.
fn make(wallet: &Wallet, key: &SecretKey, value: u64, burn: u64) -> Result<OutPoint, Failure> {
    let public: PublicKey = key.public_key();
    let outputs = [(value, coin_script(&public)), (burn, burn_script(&public))]
        .map(|(value, script_pubkey)| TxOutput { value, script_pubkey });
    let (rate, unlock) = (FeeRate::RELAY, Unlock::PublicKeyHash(public));
    let bytes = outputs.iter().map(|output| output_bytes(output.script_pubkey.len())).sum();
    let fee = rate.fee(transaction_bytes((1, input_bytes(unlock.script_bytes())), (2, bytes)));
    let exact = TxOutput { value: value + burn + fee, script_pubkey: wallet.own.clone() };
    let first = wallet.sign(&wallet.build(vec![exact.clone()], rate, &[], unlock)?, key)?;
    let coin = Coin { outpoint: OutPoint { txid: first.txid(Suite::Lotus), index: 0 }, output: exact, unlock };
    let mut payment = Payment::new(outputs.to_vec(), wallet.own.clone());
    payment.fee_rate = rate;
    let unsigned = build::build(&[coin], &payment).map_err(|error| super::spend::cannot_build(&error))?;
    let second = wallet.sign(&unsigned, key)?;
    for transaction in [&first, &second] {
        let sent = wallet.run(wallet.client.broadcast(transaction));
        sent.map_err(|error| Failure::unmet(&error, error.advice()))?;
    }
    Ok(OutPoint { txid: second.txid(Suite::Lotus), index: 0 })
}

fn show(pool: &Pool) -> Result<(), Failure> {
    let time = |millis: u64| date(u32::try_from(millis / 1000).unwrap_or(u32::MAX));
    let people = pool.taking_part.unwrap_or(pool.terms.participants);
    let mut rows = vec![
        ("pool", pool.terms.pool.clone()),
        ("each", xpi(pool.terms.denomination)),
        ("costs", costs(&pool.terms)),
        ("times", times(&pool.terms)),
        ("phase", format!("{}: {} of {people} have done their part", pool.phase, pool.done)),
    ];
    rows.extend(pool.until.map(|until| ("until", time(until))));
    rows.push(("otherwise", pool.otherwise.clone()));
    rows.push(("coin", pool.own_coin.clone()));
    rows.extend(pool.settlement.clone().map(|txid| ("settlement", txid)));
    rows.extend(pool.blamed.iter().map(|key| ("kept away by", key.to_string())));
    output::table(&rows)
}
