//! `demo`: a small shop, a stream of real transactions, the connector, and its events as they arrive.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use binlog_bridge_core::avro::TopicNames;
use serde_json::Value;

use super::tail::{Schemas, task_topics};
use super::{Failure, run};
use crate::config::Config;
use crate::health::Health;
use crate::shutdown::shutdown;
use crate::sink::reader::{ReadEvent, ReadRecord, Start, TopicReader};
use crate::source::client::SourceClient;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Host of a MySQL server on which a database named binlog_bridge_demo may be made and dropped
    #[arg(long, default_value = "127.0.0.1")]
    mysql_host: String,
    /// Its port
    #[arg(long, default_value_t = 3306)]
    mysql_port: u16,
    /// An account that may do so (password: BINLOG_BRIDGE_SOURCE__PASSWORD)
    #[arg(long, default_value = "root")]
    mysql_user: String,
    /// Kafka brokers, host:port,host:port
    #[arg(long, default_value = "127.0.0.1:9092")]
    kafka: String,
    /// Schema registry with a Confluent-compatible API
    #[arg(long, default_value = "http://127.0.0.1:8081")]
    registry: String,
    /// End after so many events
    #[arg(long, default_value_t = 200)]
    events: u64,
    /// Do not end by itself
    #[arg(long)]
    keep_running: bool,
}

const DATABASE: &str = "binlog_bridge_demo";

pub(super) async fn demo(arguments: &Arguments) -> Result<(), Failure> {
    let config = configuration(arguments)?;
    let mut client = SourceClient::connect(&config.dump.source)
        .await
        .map_err(Failure::other)?;
    make_shop(&mut client).await?;
    super::print_line(&format!(
        "database {DATABASE} made on {}:{}; starting the connector",
        arguments.mysql_host, arguments.mysql_port
    ));
    let (trigger, asked) = shutdown();
    let health = Health::starting();
    let connector = run::work(config.clone(), None, health.clone(), asked);
    let mut seen = Shown::default();
    let result = {
        tokio::pin!(connector);
        let shown = tokio::select! {
            biased;
            result = &mut connector => result,
            () = run::signal_to_end() => Ok(()),
            result = sell(&mut client, &health) => result,
            result = show(arguments, &config, &mut seen) => result,
        };
        trigger.ask();
        // Ends at once if it has ended already; its own error comes first.
        tokio::time::timeout(Duration::from_secs(4), async {
            if shown.is_ok() {
                connector.await
            } else {
                Ok(())
            }
        })
        .await
        .unwrap_or(Ok(()))
        .and(shown)
    };
    seen.summary();
    let mut client = SourceClient::connect(&config.dump.source)
        .await
        .map_err(Failure::other)?;
    client
        .execute(&format!("DROP DATABASE {DATABASE}"))
        .await
        .map_err(Failure::other)?;
    super::print_line(&format!("database {DATABASE} dropped"));
    result
}

fn configuration(arguments: &Arguments) -> Result<Config, Failure> {
    let text = format!(
        "task: demo\n\
         source: {{host: '{}', port: {}, user: '{}', tls: {{mode: encrypt}}}}\n\
         select: {{databases: [{DATABASE}]}}\n\
         kafka: {{bootstrap_servers: '{}'}}\n\
         registry: {{url: '{}'}}\n",
        arguments.mysql_host,
        arguments.mysql_port,
        arguments.mysql_user,
        arguments.kafka,
        arguments.registry
    );
    Ok(Config::parse("demo", &text, &|name| {
        std::env::var(name).ok()
    })?)
}

async fn make_shop(client: &mut SourceClient) -> Result<(), Failure> {
    let statements = [
        format!("CREATE DATABASE {DATABASE} DEFAULT CHARACTER SET utf8mb4"),
        format!("USE {DATABASE}"),
        "CREATE TABLE customers (id INT UNSIGNED PRIMARY KEY, name VARCHAR(80) NOT NULL, \
            since DATETIME NOT NULL, note TEXT)"
            .to_owned(),
        "CREATE TABLE products (id INT UNSIGNED PRIMARY KEY, name VARCHAR(80) NOT NULL, \
            price DECIMAL(8,2) NOT NULL, stock INT NOT NULL)"
            .to_owned(),
        "CREATE TABLE orders (id BIGINT UNSIGNED PRIMARY KEY, customer INT UNSIGNED NOT NULL, \
            total DECIMAL(10,2) NOT NULL, status CHAR(8) NOT NULL, \
            placed TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6))"
            .to_owned(),
        "CREATE TABLE order_lines (order_id BIGINT UNSIGNED, line SMALLINT, \
            product INT UNSIGNED NOT NULL, quantity TINYINT UNSIGNED NOT NULL, \
            PRIMARY KEY (order_id, line))"
            .to_owned(),
    ];
    for statement in &statements {
        client.execute(statement).await.map_err(|error| Failure {
            cause: format!("the demo's database cannot be made: {error}"),
            remedy: Some(format!(
                "If {DATABASE} is left from an earlier demo, drop it: DROP DATABASE {DATABASE}."
            )),
            exit_code: super::EXIT_REFUSED,
        })?;
    }
    Ok(())
}

/// A pause between two transactions.
const PAUSE: Duration = Duration::from_millis(40);
/// Rows that the shop begins with.
const CUSTOMERS: u64 = 5;
const PRODUCTS: u64 = 5;

/// Runs transactions of several statements on several tables, for ever.
async fn sell(client: &mut SourceClient, health: &Health) -> Result<(), Failure> {
    while !health.is_ready() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for id in 1..=CUSTOMERS.max(PRODUCTS) {
        let customer = format!(
            "INSERT INTO customers VALUES ({id}, 'Customer {id}', '2026-01-0{id} 09:30:00', NULL)"
        );
        let product = format!("INSERT INTO products VALUES ({id}, 'Product {id}', {id}.95, 1000)");
        transaction(client, &[customer, product]).await?;
    }
    for order in 1_u64.. {
        let (customer, product) = (1 + order % CUSTOMERS, 1 + order % PRODUCTS);
        let quantity = 1 + order % 3;
        let mut statements = vec![
            format!(
                "INSERT INTO orders (id, customer, total, status) \
                 VALUES ({order}, {customer}, {quantity} * {product}.95, 'new')"
            ),
            format!("INSERT INTO order_lines VALUES ({order}, 1, {product}, {quantity})"),
            format!("UPDATE products SET stock = stock - {quantity} WHERE id = {product}"),
        ];
        if order.is_multiple_of(3) {
            statements.push(format!(
                "UPDATE orders SET status = 'shipped' WHERE id = {}",
                order - 1
            ));
        }
        if order.is_multiple_of(5) {
            statements.push(format!(
                "DELETE FROM order_lines WHERE order_id = {}",
                order - 2
            ));
            statements.push(format!("DELETE FROM orders WHERE id = {}", order - 2));
        }
        transaction(client, &statements).await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn transaction(client: &mut SourceClient, statements: &[String]) -> Result<(), Failure> {
    client
        .execute("START TRANSACTION")
        .await
        .map_err(Failure::other)?;
    for statement in statements {
        client.execute(statement).await.map_err(Failure::other)?;
    }
    client.execute("COMMIT").await.map_err(Failure::other)
}

/// Prints events as they become readable, and counts them.
async fn show(arguments: &Arguments, config: &Config, shown: &mut Shown) -> Result<(), Failure> {
    let started = Instant::now();
    let mut schemas = Schemas::new(config)?;
    let transactions = TopicNames::new(&config.task).transactions();
    let mut reader: Option<TopicReader> = None;
    let mut look = tokio::time::interval(Duration::from_millis(250));
    while arguments.keep_running || shown.events < arguments.events {
        let event = async {
            match &mut reader {
                Some(reader) => reader.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = look.tick() => {
                let new = shown.new_topics(task_topics(config).await?, &transactions);
                match &reader {
                    _ if new.is_empty() => {}
                    Some(reader) => reader.add_topics(new, Start::Beginning),
                    None => {
                        let kafka = config.kafka.clone();
                        let made = TopicReader::new(kafka, new, Start::Beginning);
                        reader = Some(made.map_err(Failure::other)?);
                    }
                }
            }
            event = event => {
                if let ReadEvent::Record(record) = event.map_err(Failure::other)? {
                    shown.first.get_or_insert_with(|| started.elapsed());
                    shown.print(&record, &schemas.line(&record).await?);
                }
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct Shown {
    topics: Vec<String>,
    counts: BTreeMap<String, BTreeMap<String, u64>>,
    events: u64,
    first: Option<Duration>,
}

impl Shown {
    fn new_topics(&mut self, topics: Vec<String>, without: &str) -> Vec<String> {
        let is_new = |topic: &String| topic != without && !self.topics.contains(topic);
        let new: Vec<String> = topics.into_iter().filter(is_new).collect();
        self.topics.extend(new.iter().cloned());
        new
    }

    fn print(&mut self, record: &ReadRecord, line: &Value) {
        let value = &line["value"];
        let op = value["op"].as_str().unwrap_or("?");
        let row = if value["after"].is_null() {
            &value["before"]
        } else {
            &value["after"]
        };
        let at = &value["source"];
        super::print_line(&format!(
            "{}[{}] @{} {op} key={} row={row} from {}:{}",
            record.topic,
            record.partition,
            record.offset,
            line["key"],
            at["file"].as_str().unwrap_or("?"),
            at["pos"],
        ));
        self.events += 1;
        let of_topic = self.counts.entry(record.topic.clone()).or_default();
        *of_topic.entry(op.to_owned()).or_default() += 1;
    }

    fn summary(&self) {
        let first = self.first.unwrap_or_default().as_secs_f64();
        super::print_line(&format!(
            "{} events; the first was readable {first:.2} s after the connector's start",
            self.events
        ));
        for (topic, counts) in &self.counts {
            let counts: Vec<String> = counts
                .iter()
                .map(|(op, count)| format!("{op}={count}"))
                .collect();
            super::print_line(&format!("  {topic}: {}", counts.join(" ")));
        }
    }
}
