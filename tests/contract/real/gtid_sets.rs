//! The server's own arithmetic of GTID sets is what ours has to agree with.

use std::fmt::Write;

use binlog_bridge_core::position::GtidSet;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};

/// Pairs of sets that are compared.
const PAIRS: usize = 400;
const UUIDS: [&str; 3] = [
    "3e11fa47-71ca-11e1-9e33-c80aa9429562",
    "4e11fa47-71ca-11e1-9e33-c80aa9429562",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
];
const LAST: u64 = 9_223_372_036_854_775_806;

/// The same numbers each time (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % limit
    }

    /// Mostly small numbers, so that sets meet; sometimes the largest.
    fn set(&mut self) -> String {
        let mut text = String::new();
        for uuid in UUIDS {
            if self.below(3) == 0 {
                continue;
            }
            write!(text, "{}{uuid}", if text.is_empty() { "" } else { ",\n" }).unwrap();
            for _ in 0..=self.below(12) {
                let (first, length) = (1 + self.below(40), self.below(9));
                match self.below(30) {
                    0 => write!(text, ":{}-{LAST}", LAST - first).unwrap(),
                    _ if length == 0 => write!(text, ":{first}").unwrap(),
                    _ => write!(text, ":{first}-{}", first + length).unwrap(),
                }
            }
        }
        text
    }
}

#[tokio::test]
async fn fault_14_sets_are_subtracted_and_compared_as_the_server_does() {
    let place = std::env::var("BINLOG_BRIDGE_TEST_MYSQL").expect("BINLOG_BRIDGE_TEST_MYSQL");
    let (host, port) = place.rsplit_once(':').unwrap();
    let options = OptsBuilder::default()
        .ip_or_hostname(host)
        .tcp_port(port.parse().unwrap())
        .user(Some("root"))
        .prefer_socket(false);
    let mut server = Conn::new(options).await.unwrap();
    let mut random = Random(88_172_645_463_325_252);
    let (mut subsets, mut partly) = (0, 0);
    for _ in 0..PAIRS {
        let (one, other) = (random.set(), random.set());
        // A set of itself, and one within another, are rare by chance.
        let other = if random.below(4) == 0 {
            format!("{one},{other}")
        } else {
            other
        };
        let sql = "SELECT GTID_SUBTRACT(?, ?), GTID_SUBSET(?, ?), GTID_SUBTRACT(?, '')";
        let answer: Option<(String, i64, String)> = server
            .exec_first(sql, (&one, &other, &one, &other, &one))
            .await
            .unwrap();
        let (rest, is_subset, normal) = answer.unwrap();
        let ours = (parse(&one), parse(&other));
        assert_eq!(ours.0.subtract(&ours.1), parse(&rest), "{one} less {other}");
        assert_eq!(
            ours.0.is_subset_of(&ours.1),
            is_subset == 1,
            "{one} in {other}"
        );
        assert_eq!(ours.0.to_string(), normal.replace('\n', ""), "{one}");
        // And the union, by what is left of it.
        let union = ours.0.union(&ours.1);
        assert_eq!(union.subtract(&ours.1), parse(&rest));
        subsets += is_subset;
        partly += usize::from(!rest.is_empty() && rest != normal);
    }
    assert!(subsets > 20 && partly > 100, "{subsets} {partly}");
    server.disconnect().await.unwrap();
}

fn parse(text: &str) -> GtidSet {
    text.replace('\n', "").parse().unwrap()
}
