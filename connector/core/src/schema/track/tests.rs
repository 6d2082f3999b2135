use super::follow::ANSI_QUOTES;
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
    tracker_of("8.0.31")
}

fn tracker_of(version: &str) -> Tracker {
    let mut tracker = Tracker::new(Dialect::of_version(version), false);
    tracker.follow(&statement("CREATE DATABASE shop")).unwrap();
    tracker
}

const MARIADB: &str = "11.8.2-MariaDB-log";

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
    after_on("8.0.31", statements)
}

fn after_on(version: &str, statements: &[&str]) -> String {
    let mut tracker = tracker_of(version);
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
fn a_column_is_what_other_servers_make_of_it() {
    for (version, written, shown, extra) in [
        ("5.7.22", "INT", "int(11)?", ""),
        ("5.7.22", "YEAR", "year(4)?", ""),
        ("5.7.22", "BINARY(3) DEFAULT 'ab'", "binary(3)?=ab\0", ""),
        (
            "5.7.22",
            "VARBINARY(3) DEFAULT 'ab'",
            "varbinary(3)?=ab",
            "",
        ),
        (
            "5.7.22",
            "DATETIME DEFAULT NOW() ON UPDATE NOW()",
            "datetime?=CURRENT_TIMESTAMP",
            "on update CURRENT_TIMESTAMP",
        ),
        (MARIADB, "INT", "int(11)?=NULL", ""),
        (MARIADB, "INT NOT NULL", "int(11)", ""),
        (
            MARIADB,
            "VARCHAR(9) DEFAULT 'it''s'",
            "varchar(9)?='it''s'",
            "",
        ),
        (MARIADB, "CHAR(3) DEFAULT 5", "char(3)?='5'", ""),
        (MARIADB, "TEXT DEFAULT 'x'", "text?='x'", ""),
        (MARIADB, "TEXT DEFAULT 'it''s'", r"text?='it\'s'", ""),
        (MARIADB, "TEXT DEFAULT 'é'", "text?!", ""),
        (
            MARIADB,
            "DECIMAL(6,2) DEFAULT '1.5'",
            "decimal(6,2)?=1.50",
            "",
        ),
        (
            MARIADB,
            "BINARY(3) DEFAULT 'ab'",
            "binary(3)?=x'616200'",
            "",
        ),
        (
            MARIADB,
            "VARBINARY(3) DEFAULT 'ab'",
            "varbinary(3)?=x'6162'",
            "",
        ),
        (
            MARIADB,
            "DATETIME(3) DEFAULT NOW(3) ON UPDATE NOW(3) INVISIBLE",
            "datetime(3)?=current_timestamp(3)",
            "on update current_timestamp(3), INVISIBLE",
        ),
        (MARIADB, "DATETIME DEFAULT LOCALTIME", "datetime?!", ""),
        (MARIADB, "DATE DEFAULT CURRENT_DATE", "date?!", ""),
        (MARIADB, "INT DEFAULT (NEXT VALUE FOR s)", "int(11)?!", ""),
        (MARIADB, "INT DEFAULT NEXT VALUE FOR s", "int(11)?!", ""),
        (MARIADB, "JSON", "longtext?=NULL", ""),
        (MARIADB, "UUID NOT NULL DEFAULT UUID()", "uuid=uuid()", ""),
        (MARIADB, "INT DEFAULT CONCAT(1, 2)", "int(11)?!", ""),
        (MARIADB, "INET6", "inet6?=NULL", ""),
        (
            MARIADB,
            "BLOB COMPRESSED=zlib",
            "blob /*M!100301 COMPRESSED*/?=NULL",
            "",
        ),
        (
            MARIADB,
            "BLOB COMPRESSED NOT NULL",
            "blob /*M!100301 COMPRESSED*/!",
            "",
        ),
        (
            MARIADB,
            "INT WITHOUT SYSTEM VERSIONING",
            "int(11)?=NULL",
            "WITHOUT SYSTEM VERSIONING",
        ),
        (
            MARIADB,
            "TIMESTAMP(6) AS ROW START",
            "timestamp(6)",
            "STORED GENERATED",
        ),
        (
            MARIADB,
            "INT AS (d + 1) PERSISTENT",
            "int(11)?=NULL!",
            "STORED GENERATED",
        ),
    ] {
        let text = format!("CREATE TABLE t (c {written}, d INT NOT NULL)");
        let mut tracker = tracker_of(version);
        tracker.follow(&statement(&text)).unwrap();
        let found = short(&tracker, "t");
        assert_eq!(
            found,
            format!("c {shown}, d int(11) []"),
            "{version}: {written}"
        );
        let Known::Proven(table) = tracker.table(&TableName::new("shop", "t")) else {
            panic!("it is not proven");
        };
        assert_eq!(table.columns[0].extra, extra, "{version}: {written}");
    }
}

#[test]
fn what_only_mariadb_says_is_followed() {
    let create = "CREATE TABLE t (a INT NOT NULL, b INT DEFAULT 1, UNIQUE KEY u (a))";
    for (clauses, expected) in [
        (
            "ADD COLUMN IF NOT EXISTS b BIGINT, ADD COLUMN IF NOT EXISTS c INT NOT NULL",
            "a int(11), b int(11)?=1, c int(11) [a]",
        ),
        (
            "DROP COLUMN IF EXISTS x, MODIFY IF EXISTS x INT, CHANGE IF EXISTS b d INT NOT NULL",
            "a int(11), d int(11) [a]",
        ),
        (
            "RENAME COLUMN IF EXISTS b TO d, RENAME COLUMN IF EXISTS x TO y, RENAME INDEX IF EXISTS x TO y",
            "a int(11), d int(11)?=1 [a]",
        ),
        (
            "ALTER COLUMN IF EXISTS b SET DEFAULT 2, ALTER IF EXISTS x DROP DEFAULT, ALTER INDEX u IGNORED",
            "a int(11), b int(11)?=2 [a]",
        ),
        (
            "ADD UNIQUE KEY IF NOT EXISTS u (b), ADD PRIMARY KEY IF NOT EXISTS (b)",
            "a int(11), b int(11)=1 [b]",
        ),
        (
            "DROP PRIMARY KEY IF EXISTS, DROP KEY IF EXISTS x, DROP CONSTRAINT IF EXISTS x",
            "a int(11), b int(11)?=1 [a]",
        ),
        (
            "WAIT 5 ADD c INT, ALGORITHM=INSTANT",
            "a int(11), b int(11)?=1, c int(11)?=NULL [a]",
        ),
        (
            "NOWAIT ADD SYSTEM VERSIONING",
            "a int(11), b int(11)?=1 [a]",
        ),
        (
            "ADD PERIOD FOR p (a, b), DROP PERIOD FOR q",
            "a int(11), b int(11)=1 [a]",
        ),
        (
            "ADD c INT, ADD PRIMARY KEY (c)",
            "a int(11), b int(11)?=1, c int(11) [c]",
        ),
    ] {
        for text in [
            format!("ALTER TABLE t {clauses}"),
            format!("SET STATEMENT a = (1), b = 'FOR' FOR ALTER TABLE t {clauses}"),
            format!("/*M!100100 ALTER TABLE t {clauses} */"),
        ] {
            assert_eq!(after_on(MARIADB, &[create, &text]), expected, "{text}");
        }
    }
    for (statements, expected) in [
        (
            &["CREATE OR REPLACE TABLE t (x INT)"][..],
            "x int(11)?=NULL []",
        ),
        (
            &["CREATE OR REPLACE UNIQUE INDEX u ON t (b)"],
            "a int(11), b int(11)?=1 []",
        ),
        (&["CREATE OR REPLACE SEQUENCE t"], "gone"),
        (
            &[
                "CREATE SEQUENCE s",
                "ALTER SEQUENCE s RESTART",
                "DROP SEQUENCE s",
            ],
            "a int(11), b int(11)?=1 [a]",
        ),
        (
            &["RENAME TABLE IF EXISTS x TO t2, t TO u, u WAIT 3 TO t"],
            "a int(11), b int(11)?=1 [a]",
        ),
        (
            &[
                "CREATE OR REPLACE TABLE t (i INT, s TIMESTAMP(6) AS ROW START, e TIMESTAMP(6) AS ROW END, \
                 PERIOD FOR SYSTEM_TIME (s, e), PRIMARY KEY (i)) WITH SYSTEM VERSIONING",
            ],
            "i int(11), s timestamp(6), e timestamp(6) [i,e]",
        ),
        (
            &[
                "CREATE OR REPLACE TABLE t (d DATETIME DEFAULT NOW() ON UPDATE NOW())",
                "ALTER TABLE t ALTER d DROP DEFAULT",
            ],
            "d datetime?=NULL []",
        ),
    ] {
        let all = [&[create], statements].concat();
        assert_eq!(after_on(MARIADB, &all), expected, "{statements:?}");
    }
}

#[test]
fn a_table_that_loses_its_history_is_unproven() {
    let mut tracker = tracker_of(MARIADB);
    let create = "CREATE TABLE t (i INT, s TIMESTAMP(6) AS ROW START, e TIMESTAMP(6) AS ROW END, \
                  PERIOD FOR SYSTEM_TIME (s, e), PRIMARY KEY (i)) WITH SYSTEM VERSIONING";
    tracker.follow(&statement(create)).unwrap();
    tracker
        .follow(&statement("ALTER TABLE t DROP SYSTEM VERSIONING"))
        .unwrap_err();
    assert_eq!(short(&tracker, "t"), "unproven");
}

#[test]
fn character_sets_of_mariadb_have_the_collations_that_its_session_chose() {
    let create = "CREATE TABLE t (a CHAR(1) CHARSET utf8mb4, b CHAR(1) COLLATE uca1400_as_cs, c CHAR(1) COLLATE utf8mb4_croatian_ci, \
                  d JSON, e ENUM('x') CHARSET binary, f CHAR(1) CHARSET ucs2 COLLATE uca1400_german2_nopad_as_ci) CHARSET utf8";
    let collations = |chosen: Option<crate::decode::CharsetCollations>| {
        let mut tracker = tracker_of(MARIADB);
        let mut statement = statement(create);
        statement.session.charset_collations = chosen;
        tracker.follow(&statement).unwrap();
        let Known::Proven(table) = tracker.table(&TableName::new("shop", "t")) else {
            panic!("it is not proven");
        };
        let columns = table.columns.iter().map(|column| column.collation);
        columns.chain([table.collation]).collect::<Vec<_>>()
    };
    let some = |numbers: [u64; 7]| numbers.map(Some).to_vec();
    assert_eq!(collations(None), some([45, 2051, 608, 46, 63, 2726, 33]));
    let mut chosen = crate::decode::CharsetCollations::default();
    (chosen[0], chosen[1]) = ((33, 2048), (45, 2304));
    assert_eq!(
        collations(Some(chosen)),
        some([2304, 2051, 608, 46, 63, 2726, 2048])
    );
}

#[test]
fn each_collation_has_its_name() {
    let mariadb = Dialect::of_version(MARIADB);
    for (number, name) in [
        (45, "utf8mb4_general_ci"),
        (255, "utf8mb4_0900_ai_ci"),
        (608, "utf8mb4_croatian_ci"),
        (1069, "utf8mb4_general_nopad_ci"),
        (2048, "utf8mb3_uca1400_ai_ci"),
        (2311, "utf8mb4_uca1400_nopad_as_cs"),
        (2464, "utf8mb4_uca1400_german2_ai_ci"),
        (2488, "utf8mb4_uca1400_vietnamese_ai_ci"),
        (3271, "utf32_uca1400_croatian_nopad_as_cs"),
    ] {
        assert_eq!(collation_name(number).as_deref(), Some(name));
        let named = Collation::named(name, mariadb);
        assert_eq!(named, Collation::of_number(number), "{name}");
        assert_eq!(named.map(|found| found.number), Some(number), "{name}");
    }
    let mysql = Dialect::of_version("8.0.31");
    assert_eq!(Collation::named("utf8mb4_uca1400_ai_ci", mysql), None);
    let croatian = Collation::named("utf8mb4_croatian_ci", mysql);
    assert_eq!(croatian.map(|found| found.number), Some(245));
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

/// MariaDB has the option `comment`; on MySQL a database may be called so.
#[test]
fn a_change_of_a_database_is_for_the_one_that_is_meant() {
    const GBK: u64 = 28;
    let databases_after = |version: &str, text: &str| {
        let mut tracker = tracker_of(version);
        tracker.learn_database("comment", 8);
        tracker.learn_database("shop", 8);
        tracker.follow(&statement(text)).unwrap();
        ["shop", "comment"].map(|name| tracker.database(name).unwrap())
    };
    for (text, expected) in [
        ("ALTER DATABASE CHARACTER SET gbk", [GBK, 8]),
        ("ALTER DATABASE `comment` CHARACTER SET gbk", [8, GBK]),
        ("ALTER SCHEMA shop CHARACTER SET gbk", [GBK, 8]),
    ] {
        assert_eq!(databases_after("8.0.31", text), expected, "{text}");
        assert_eq!(databases_after(MARIADB, text), expected, "{text}");
    }
    let text = "ALTER DATABASE comment CHARACTER SET gbk";
    assert_eq!(databases_after("8.0.31", text), [8, GBK]);
    let text = "ALTER DATABASE COMMENT 'x' CHARACTER SET gbk";
    assert_eq!(databases_after(MARIADB, text), [GBK, 8]);
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

/// The session's sql_mode says how names are quoted. Names may be words that statements have elsewhere.
#[test]
fn names_in_double_quotes_are_followed() {
    let mut tracker = tracker();
    for (text, expected) in [
        (
            "CREATE TABLE \"t\" -- a \"comment;\n (\"id\" INT PRIMARY KEY, \"begin\" INT)",
            "id int, begin int? [id]",
        ),
        (
            "CREATE TABLE \"begin\" (\"id\" INT PRIMARY KEY, \"begin\" INT)",
            "id int, begin int? [id]",
        ),
        (
            "ALTER TABLE \"t\" /*!80000 ADD */ \"a\"\"b\" VARCHAR(9) DEFAULT 'begin'",
            "id int, begin int?, a\"b varchar(9)?=begin [id]",
        ),
        (
            "ALTER TABLE shop.\"begin\" RENAME COLUMN \"begin\" TO \"commit\", COMMENT='\"'",
            "id int, begin int?, a\"b varchar(9)?=begin [id]",
        ),
        (
            "ALTER TABLE \"t\" RENAME COLUMN \"begin\" TO \"commit\"",
            "id int, commit int?, a\"b varchar(9)?=begin [id]",
        ),
    ] {
        let mut statement = statement(text);
        statement.session.sql_mode = ANSI_QUOTES;
        assert_eq!(tracker.follow(&statement), Ok(()), "{text}");
        assert_eq!(short(&tracker, "t"), expected, "{text}");
    }
    assert_eq!(short(&tracker, "begin"), "id int, commit int? [id]");
}
