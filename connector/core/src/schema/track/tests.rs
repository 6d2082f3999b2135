use super::*;
use crate::decode::{Session, Statement};

fn statement(text: &str) -> Statement<'_> {
    Statement {
        database: b"shop",
        text: text.as_bytes(),
        has_escapes: true,
        ends_transaction: true,
        session: Session {
            client_collation: Some(255),
            connection_collation: Some(255),
            server_collation: Some(255),
            explicit_timestamps: Some(true),
            ..Session::default()
        },
        ..Statement::default()
    }
}

fn tracker() -> Tracker {
    let mut tracker = Tracker::new(Dialect::of_version("8.0.31"), false);
    tracker.follow(&statement("CREATE DATABASE shop")).unwrap();
    tracker
}

/// What is known of a table of `shop`, in short: columns, then the key.
fn short(tracker: &Tracker, table: &str) -> String {
    match tracker.table(&TableName::new("shop", table)) {
        Known::Gone => "gone".to_owned(),
        Known::Unproven => "unproven".to_owned(),
        Known::Proven(table) => {
            let columns = table.columns.iter().map(|column| {
                let null = if column.nullable { "?" } else { "" };
                let default = column.default.as_ref().map(|default| format!("={default}"));
                let unproven = if column.is_unproven { "!" } else { "" };
                format!(
                    "{} {}{null}{}{unproven}",
                    column.name,
                    column.sql_type,
                    default.unwrap_or_default()
                )
            });
            let columns: Vec<String> = columns.collect();
            format!("{} [{}]", columns.join(", "), table.primary_key().join(","))
        }
    }
}

/// Follows statements, all of which must be understood, and says what becomes of table `t`.
fn after(statements: &[&str]) -> String {
    let mut tracker = tracker();
    for text in statements {
        if let Err(reason) = tracker.follow(&statement(text)) {
            panic!("{text}: {reason}");
        }
    }
    short(&tracker, "t")
}

#[test]
fn a_column_is_what_the_server_makes_of_it() {
    for (written, shown) in [
        ("INT UNSIGNED NOT NULL DEFAULT '07'", "int unsigned=7"),
        ("INTEGER(5) ZEROFILL", "int(5) unsigned zerofill?"),
        ("BOOL NOT NULL DEFAULT TRUE", "tinyint(1)=1"),
        ("TINYINT(1) UNSIGNED", "tinyint unsigned?"),
        ("DEC(12) DEFAULT -1", "decimal(12,0)?=-1"),
        ("NUMERIC(6,2) DEFAULT '1.5'", "decimal(6,2)?=1.50"),
        ("DOUBLE PRECISION", "double?"),
        ("FLOAT(30)", "double?"),
        (
            "CHARACTER VARYING(9) CHARSET latin1 DEFAULT 'a'",
            "varchar(9)?=a",
        ),
        ("CHAR BYTE", "binary(1)?"),
        ("TEXT(70) CHARACTER SET utf8", "tinytext?"),
        ("TEXT(70)", "text?"),
        ("LONG VARCHAR", "mediumtext?"),
        ("TEXT CHARACTER SET binary", "blob?"),
        ("BLOB(300)", "blob?"),
        ("ENUM('a','it''s') DEFAULT 'a'", "enum('a','it''s')?!"),
        ("ENUM('a','b  ') DEFAULT 'b'", "enum('a','b')?=b"),
        ("SET('x','y') DEFAULT 'y,x'", "set('x','y')?=x,y"),
        ("BIT(3) DEFAULT b'010'", "bit(3)?=b'10'"),
        (
            "DATETIME(3) DEFAULT '2020-01-02'",
            "datetime(3)?=2020-01-02 00:00:00.000",
        ),
        (
            "TIMESTAMP(6) NULL DEFAULT NOW(6) ON UPDATE CURRENT_TIMESTAMP(6)",
            "timestamp(6)?=CURRENT_TIMESTAMP(6)",
        ),
        ("YEAR(4)", "year?"),
        ("SERIAL", "bigint unsigned"),
        ("JSON DEFAULT (JSON_ARRAY())", "json?!"),
        ("GEOMETRYCOLLECTION NOT NULL SRID 4326", "geomcollection"),
        (
            "INT GENERATED ALWAYS AS (1 + (2)) STORED NOT NULL COMMENT 'a, b'",
            "int!",
        ),
        (
            "INT REFERENCES o (id) ON DELETE SET NULL ON UPDATE NO ACTION",
            "int?",
        ),
        ("INT CONSTRAINT c CHECK (c > 0) NOT ENFORCED", "int?"),
    ] {
        let text = format!(
            "CREATE TABLE t (c {written}, d INT) ENGINE=InnoDB COMMENT='x' ROW_FORMAT = DYNAMIC"
        );
        let found = after(&[&text]);
        let key = if written == "SERIAL" { "[c]" } else { "[]" };
        assert_eq!(found, format!("c {shown}, d int? {key}"), "{written}");
    }
}

#[test]
fn text_gets_the_nearest_character_set_that_is_named() {
    let mut tracker = tracker();
    let create = "CREATE TABLE t (a CHAR(1), b CHAR(1) CHARSET latin1, c CHAR(1) COLLATE utf8_bin, d CHAR(1) CHARSET gbk BINARY, \
                  e VARBINARY(2), f ENUM('x') CHARACTER SET binary) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin";
    tracker.follow(&statement(create)).unwrap();
    let Known::Proven(table) = tracker.table(&TableName::new("shop", "t")) else {
        panic!("it is not proven");
    };
    let collations: Vec<_> = table
        .columns
        .iter()
        .map(|column| column.collation)
        .collect();
    assert_eq!(
        collations,
        [Some(46), Some(8), Some(83), Some(87), None, None]
    );
    assert_eq!(table.collation, Some(46));
}

#[test]
fn clauses_of_an_alter_are_put_together_as_the_server_does() {
    let create = "CREATE TABLE t (a INT, b INT, c INT, PRIMARY KEY (a), UNIQUE KEY u (b))";
    for (clauses, expected) in [
        ("ADD d INT FIRST", "d int?, a int, b int?, c int? [a]"),
        (
            "ADD COLUMN (d INT, e INT NOT NULL, KEY (d))",
            "a int, b int?, c int?, d int?, e int [a]",
        ),
        (
            "ADD d INT AFTER a, ADD e INT AFTER d, DROP COLUMN c",
            "a int, d int?, e int?, b int? [a]",
        ),
        (
            "MODIFY b BIGINT NOT NULL FIRST",
            "b bigint, a int, c int? [a]",
        ),
        (
            "CHANGE COLUMN a x BIGINT, DROP PRIMARY KEY, ADD PRIMARY KEY (b)",
            "x bigint?, b int, c int? [b]",
        ),
        (
            "RENAME COLUMN a TO b, RENAME COLUMN b TO a",
            "b int, a int?, c int? [b]",
        ),
        (
            "DROP PRIMARY KEY, MODIFY b INT NOT NULL",
            "a int, b int, c int? [b]",
        ),
        (
            "ALTER c SET DEFAULT 5, ALTER COLUMN b SET DEFAULT NULL, ALTER INDEX u INVISIBLE",
            "a int, b int?, c int?=5 [a]",
        ),
        (
            "ENGINE=InnoDB, ALGORITHM=INPLACE, LOCK=NONE, ORDER BY a, b DESC",
            "a int, b int?, c int? [a]",
        ),
        (
            "ADD FOREIGN KEY f (b) REFERENCES x (y) ON DELETE CASCADE, DROP FOREIGN KEY g",
            "a int, b int?, c int? [a]",
        ),
        (
            "AUTO_INCREMENT = 5 COMMENT 'x' FORCE",
            "a int, b int?, c int? [a]",
        ),
        (
            "PARTITION BY RANGE (a) (PARTITION p VALUES LESS THAN (5), PARTITION q VALUES LESS THAN MAXVALUE)",
            "a int, b int?, c int? [a]",
        ),
        ("DROP PARTITION p, q", "a int, b int?, c int? [a]"),
        ("RENAME INDEX u TO v", "a int, b int?, c int? [a]"),
    ] {
        let statements = [create, &format!("ALTER TABLE t {clauses}")];
        assert_eq!(after(&statements), expected, "{clauses}");
    }
}

#[test]
fn tables_are_followed_under_their_names() {
    let create = "CREATE TABLE t (id INT PRIMARY KEY)";
    for (statements, expected) in [
        (&["RENAME TABLE t TO u"][..], "gone"),
        (&["RENAME TABLE t TO u, u TO t"], "id int [id]"),
        (
            &[
                "ALTER TABLE t RENAME TO u",
                "ALTER TABLE u ADD c INT, RENAME AS t",
            ],
            "id int, c int? [id]",
        ),
        (
            &[
                "CREATE TABLE u LIKE t",
                "DROP TABLE t",
                "CREATE TABLE t (LIKE shop.u)",
            ],
            "id int [id]",
        ),
        (&["DROP TABLE IF EXISTS x, t"], "gone"),
        (&["CREATE TABLE IF NOT EXISTS t (x INT)"], "id int [id]"),
        (&["DROP DATABASE shop"], "gone"),
        (
            &[
                "CREATE UNIQUE INDEX i USING BTREE ON t (id) COMMENT 'x'",
                "DROP INDEX `PRIMARY` ON t",
            ],
            "id int [id]",
        ),
        // A table of a session may be meant by what follows.
        (
            &["CREATE TEMPORARY TABLE t (x INT)", "DROP TEMPORARY TABLE t"],
            "unproven",
        ),
    ] {
        assert_eq!(
            after(&[&[create], statements].concat()),
            expected,
            "{statements:?}"
        );
    }
}

#[test]
fn what_is_not_understood_leaves_unproven_what_it_may_touch() {
    for (text, is_other_proven) in [
        ("ALTER TABLE t ADD c WEIRD", true),
        ("ALTER TABLE t SOMETHING NEW", true),
        ("CREATE TABLE t (c CHAR(1) COLLATE nobody_knows_ci)", true),
        ("CREATE OR REPLACE TABLE t SELECT 1", true),
        ("RENAME TABLE unheard TO t", true),
        ("ALTER TABLE `t", true),
        ("SOMETHING t AND o", false),
        ("ALTER TABLE t ADD c TIMESTAMP", true),
    ] {
        let mut tracker = tracker();
        tracker
            .follow(&statement("CREATE TABLE t (id INT)"))
            .unwrap();
        tracker
            .follow(&statement("CREATE TABLE o (id INT)"))
            .unwrap();
        let mut doubted = statement(text);
        doubted.session.explicit_timestamps = None;
        // Whether it says why depends on how much was understood.
        tracker.follow(&doubted).ok();
        assert_eq!(short(&tracker, "t"), "unproven", "{text}");
        assert_eq!(
            short(&tracker, "o") == "id int? []",
            is_other_proven,
            "{text}"
        );
    }
}

/// Follows statements of which the last may not be understood, and says what becomes of table `t`.
fn after_all(statements: &[&str], session: impl Fn(&mut Session)) -> String {
    let mut tracker = tracker();
    for text in statements {
        let mut statement = statement(text);
        session(&mut statement.session);
        statement.has_escapes = statement.session.sql_mode & (1 << 20) == 0;
        tracker.follow(&statement).ok();
    }
    short(&tracker, "t")
}

#[test]
fn what_a_server_does_in_a_way_of_its_own_is_unproven_or_done_likewise() {
    for (statements, expected) in [
        // Keys have the columns' own names.
        (
            &["CREATE TABLE t (id INT NOT NULL, UNIQUE KEY (ID))"][..],
            "id int [id]",
        ),
        (
            &[
                "CREATE TABLE t (id INT, PRIMARY KEY (ID))",
                "ALTER TABLE t MODIFY id BIGINT",
            ],
            "id bigint [id]",
        ),
        // A key outlives its column if there is a new one of the name.
        (
            &[
                "CREATE TABLE t (id INT NOT NULL, UNIQUE k (id))",
                "ALTER TABLE t DROP id, ADD id INT NOT NULL",
            ],
            "unproven",
        ),
        (
            &[
                "CREATE TABLE t (a INT NOT NULL UNIQUE)",
                "ALTER TABLE t ADD a INT NOT NULL FIRST, CHANGE a c INT NOT NULL",
            ],
            "unproven",
        ),
        // The server takes the prefix of a key away, or not.
        (
            &[
                "CREATE TABLE t (c VARCHAR(20) NOT NULL, UNIQUE k (c(10)))",
                "ALTER TABLE t MODIFY c VARCHAR(10) NOT NULL",
            ],
            "unproven",
        ),
        (
            &[
                "CREATE TABLE t (c VARCHAR(10) NOT NULL, UNIQUE k (c(10)))",
                "ALTER TABLE t MODIFY c VARCHAR(20) NOT NULL",
            ],
            "c varchar(20) [c]",
        ),
        (
            &[
                "CREATE TABLE t (a INT NOT NULL, FOREIGN KEY (a) REFERENCES p (id), UNIQUE KEY (a))",
                "DROP INDEX a ON t",
            ],
            "a int []",
        ),
        (
            &["CREATE TABLE t (a INT NOT NULL, KEY (a), UNIQUE (a))"],
            "a int [a]",
        ),
        (
            &[
                "CREATE TABLE t (a INT, b INT, UNIQUE k (a), KEY l (b))",
                "ALTER TABLE t RENAME INDEX k TO l, RENAME INDEX l TO k",
            ],
            "unproven",
        ),
        (&["CREATE TABLE t (id SERIAL PRIMARY KEY)"], "unproven"),
        (&["CREATE TABLE t (id INT UNIQUE PRIMARY KEY)"], "unproven"),
        (
            &["CREATE TABLE t (e ENUM('日','b') CHARACTER SET latin1)"],
            "unproven",
        ),
        (
            &["CREATE TABLE t (e ENUM('a ') CHARACTER SET binary)"],
            "unproven",
        ),
        (
            &["CREATE TABLE t (e ENUM('日','b '))"],
            "e enum('日','b')? []",
        ),
        (
            &[
                "CREATE TABLE t (e INT)",
                "ALTER TABLE t ADD c INT /*M!100000 , ADD d INT */",
            ],
            "e int?, c int? []",
        ),
        (
            &[
                "CREATE TABLE t (e TEXT)",
                "ALTER TABLE t CONVERT TO CHARACTER SET latin1, ADD c CHAR(1) CHARACTER SET gbk",
            ],
            "unproven",
        ),
        (
            &[
                "CREATE TABLE t (e TEXT)",
                "ALTER TABLE t COLLATE utf8mb4_bin, CONVERT TO CHARACTER SET utf8mb4",
            ],
            "unproven",
        ),
        (
            &[
                "CREATE TABLE t (e TEXT)",
                "ALTER TABLE t CONVERT TO CHARACTER SET DEFAULT",
            ],
            "unproven",
        ),
        (
            &[
                "CREATE TABLE shop.t (1a INT)",
                "ALTER TABLE shop.t ADD 2b INT",
            ],
            "1a int?, 2b int? []",
        ),
        (
            &["CREATE TABLE t (d DOUBLE DEFAULT 1e-20)"],
            "d double?! []",
        ),
        (
            &["CREATE TABLE t (d FLOAT(5,1) DEFAULT 0.35)"],
            "d float(5,1)?! []",
        ),
        (
            &["CREATE TABLE t (d BIGINT DEFAULT 0xFFFFFFFFFFFFFFFF)"],
            "d bigint?! []",
        ),
        (
            &["CREATE TABLE t (d VARCHAR(9) DEFAULT _utf16'ab')"],
            "d varchar(9)?! []",
        ),
        (
            &["CREATE TABLE t (d ENUM('a','A') DEFAULT 'A')"],
            "d enum('a','A')?! []",
        ),
        (
            &["CREATE TABLE t (d INT(0) ZEROFILL, e TEXT(0))"],
            "d int(10) unsigned zerofill?, e tinytext? []",
        ),
    ] {
        assert_eq!(after_all(statements, |_| {}), expected, "{statements:?}");
    }
    let gipk = "CREATE TABLE t (my_row_id bigint unsigned NOT NULL AUTO_INCREMENT INVISIBLE, a INT, PRIMARY KEY (my_row_id))";
    assert_eq!(
        after_all(&[gipk, "ALTER TABLE t ADD b INT FIRST"], |_| {}),
        "unproven"
    );
    // The server writes some statements itself, in UTF-8, whatever client it has them from.
    let named = ["CREATE TABLE t (é INT, `\u{a0}x` INT)"];
    assert_eq!(
        after_all(&named, |session| session.client_collation = Some(8)),
        "unproven"
    );
    let member = ["CREATE TABLE t (e ENUM('日'))"];
    assert_eq!(
        after_all(&member, |session| session.connection_collation = Some(8)),
        "unproven"
    );
    let escaped = ["CREATE TABLE t (e ENUM('a\\\\b'))"];
    assert_eq!(
        after_all(&escaped, |session| session.sql_mode = 1 << 20),
        "unproven"
    );
    let stamp = ["CREATE TABLE t (s TIMESTAMP NOT NULL ON UPDATE CURRENT_TIMESTAMP)"];
    assert_eq!(
        after_all(&stamp, |session| session.explicit_timestamps = Some(false)),
        "unproven"
    );
    let hidden = [
        "CREATE TABLE t (a INT)",
        "CREATE TEMPORARY TABLE t (b INT)",
        "ALTER TABLE t ADD c INT",
        "DROP TABLE t",
    ];
    assert_eq!(after_all(&hidden, |_| {}), "unproven");
}

#[test]
fn a_comment_does_not_end_where_it_begins() {
    assert!(crate::schema::may_define(&statement(
        "/*/ SELECT */ ALTER TABLE t DROP e"
    )));
    assert!(crate::schema::may_define(&statement(
        "/*/ CREATE VIEW */ ALTER TABLE t ADD e INT"
    )));
}
