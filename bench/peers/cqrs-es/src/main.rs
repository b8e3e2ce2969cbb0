//! The accounts fold as a replay of cqrs-es into a view in SQLite; prints the result and the seconds as JSON.

use std::{
    collections::HashMap,
    convert::Infallible,
    fs::File,
    io::{BufRead, BufReader},
    str::FromStr,
    sync::Arc,
    time::Instant,
};

use cqrs_es::{
    Aggregate, DomainEvent, EventEnvelope, View,
    event_sink::EventSink,
    persist::{GenericQuery, QueryReplay},
};
use serde::{Deserialize, Serialize};
use sqlite_es::{SqliteEventRepository, SqliteViewRepository, default_sqlite_pool};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

/// The tables of <https://github.com/johnbcodes/sqlite-es/blob/main/migrations/20221114171845_init.sql>.
const EVENTS: &str = "
CREATE TABLE events (
    aggregate_type text                          NOT NULL,
    aggregate_id   text                          NOT NULL,
    sequence       integer CHECK (sequence >= 0) NOT NULL,
    event_type     text                          NOT NULL,
    event_version  text                          NOT NULL,
    payload        text                          NOT NULL,
    metadata       text                          NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
) STRICT;";
const VIEWS: &str = "
CREATE TABLE balances (
    view_id text                         NOT NULL,
    version integer CHECK (version >= 0) NOT NULL,
    payload text                         NOT NULL,
    PRIMARY KEY (view_id)
) STRICT;";

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum AccountEvent {
    Deposited { account: String, amount: i64 },
}

impl DomainEvent for AccountEvent {
    fn event_type(&self) -> String {
        "Deposited".to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

#[derive(Default, Deserialize, Serialize)]
struct Account {
    balance: i64,
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = ();
    type Event = AccountEvent;
    type Error = Infallible;
    type Services = ();

    async fn handle(&mut self, _: (), _: &(), _: &EventSink<Self>) -> Result<(), Infallible> {
        Ok(())
    }

    fn apply(&mut self, event: AccountEvent) {
        let AccountEvent::Deposited { amount, .. } = event;
        self.balance += amount;
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Balance {
    balance: i64,
    count: i64,
}

impl View<Account> for Balance {
    fn update(&mut self, event: &EventEnvelope<Account>) {
        let AccountEvent::Deposited { amount, .. } = event.payload;
        self.balance += amount;
        self.count += 1;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, folder] = &arguments[..] else { panic!("takes a file of events and a folder") };

    // WAL and synchronous = NORMAL: https://docs.rs/sqlite-es/0.5.0/src/sqlite_es/cqrs.rs.html
    let pool = default_sqlite_pool(&format!("sqlite://{folder}/events.db")).await;
    sqlx::raw_sql(EVENTS).execute(&pool).await.expect("the database is new");
    record(&pool, file).await;
    // The views have a database of their own: a replay keeps a read of the events open, so that SQLite could not
    // shorten the write-ahead log that both would share, and the replay slowed down as that grew.
    let view_pool = one_connection(&format!("sqlite://{folder}/views.db")).await;
    sqlx::raw_sql(VIEWS).execute(&view_pool).await.expect("the database is new");

    // The size of the channel is that of the example in
    // https://docs.rs/sqlite-es/0.5.0/sqlite_es/struct.SqliteEventRepository.html#method.with_streaming_channel_size
    let events = SqliteEventRepository::new(pool.clone()).with_streaming_channel_size(1000);
    let views = SqliteViewRepository::<Balance, Account>::new("balances", view_pool.clone());
    let mut query = GenericQuery::new(Arc::new(views));
    query.use_error_handler(Box::new(|error| panic!("{error}")));
    let mut replay = QueryReplay::new(events, query);
    replay.use_error_handler(Box::new(|error| panic!("{error}")));
    let begun = Instant::now();
    replay.replay_all().await.expect("the events can be read");
    let seconds = begun.elapsed().as_secs_f64();

    let (accounts, sum, count, squares): (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT count(*), sum(payload->>'balance'), sum(payload->>'count'),
            sum((payload->>'balance') * (payload->>'balance')) FROM balances",
    )
    .fetch_one(&view_pool)
    .await
    .expect("the view has rows");
    let result = serde_json::json!({
        "seconds": seconds, "accounts": accounts, "sum": sum, "count": count, "squares": squares
    });
    println!("{result}");
}

/// A pool as sqlite-es makes it, but of one connection instead of ten, since a replay asks one thing after the other.
/// It is not pinged before each use either, since every question to SQLite is handed to a thread and back.
/// <https://docs.rs/sqlx/0.8/sqlx/pool/struct.PoolOptions.html#method.test_before_acquire>
async fn one_connection(url: &str) -> SqlitePool {
    let options = SqliteConnectOptions::from_str(url)
        .expect("it is an address")
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true);
    let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
    pool.connect_with(options).await.expect("the folder can be written to")
}

/// Records the events as the repository would have, but in one transaction.
async fn record(pool: &SqlitePool, file: &str) {
    let mut sequences = HashMap::<String, i64>::new();
    let mut transaction = pool.begin().await.expect("the database is ours alone");
    for line in BufReader::new(File::open(file).expect("there is a file of events")).lines() {
        let line = line.expect("the events are text");
        let event = serde_json::from_str::<serde_json::Value>(&line).expect("each line is an event");
        let account = event["account"].as_str().expect("it has an account").to_owned();
        let sequence = sequences.entry(account.clone()).or_default();
        *sequence += 1;
        sqlx::query("INSERT INTO events VALUES ('account', ?, ?, 'Deposited', '1.0', ?, '{}')")
            .bind(account)
            .bind(*sequence)
            .bind(format!(r#"{{"Deposited":{line}}}"#))
            .execute(&mut *transaction)
            .await
            .expect("the event is new");
    }
    transaction.commit().await.expect("there is space on the disk");
}
