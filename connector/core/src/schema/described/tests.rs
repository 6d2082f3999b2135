//! Descriptions as MySQL 8.0 gives them, beside the table maps that it writes without names.

use super::*;
use crate::decode::{Decoder, Item};
use crate::position::{FileOffset, Position};
use crate::testing::{self, Stream};
use crate::value::{Member, Members, Text};

fn mysql() -> Dialect {
    Dialect::of_version("8.0.31")
}

/// Columns: type number, metadata, and whether it may be NULL; behind them optional fields.
fn with_map<T>(
    columns: &[(u8, &[u8], bool)],
    optional: &[u8],
    then: impl FnOnce(&TableMapEvent<'_>) -> T,
) -> T {
    let metadata: Vec<u8> = columns
        .iter()
        .flat_map(|(_, bytes, _)| bytes.to_vec())
        .collect();
    let mut bits = vec![0; columns.len().div_ceil(8)];
    for (index, (_, _, nullable)) in columns.iter().enumerate() {
        bits[index / 8] |= u8::from(*nullable) << (index % 8);
    }
    let shape = [
        testing::lenenc(columns.len()),
        columns.iter().map(|(number, _, _)| *number).collect(),
        testing::lenenc(metadata.len()),
        metadata,
        bits,
        optional.to_vec(),
    ]
    .concat();
    let mut stream = Stream::new(false);
    let mut decoder = Decoder::new(Position::File {
        at: FileOffset::default(),
    });
    let mut give = |event: &[u8]| decoder.event(event).map(|_| ()).unwrap();
    give(&stream.event(15, &testing::format_description(0, false)));
    give(&stream.event(2, &testing::query("shop", "BEGIN")));
    let event = stream.event(19, &testing::table_map(7, "shop", "t", &shape));
    let (_, Item::TableMap(map)) = decoder.event(&event).unwrap() else {
        panic!("a table map")
    };
    then(&map)
}

fn column(name: &str, sql_type: &str) -> DescribedColumn {
    DescribedColumn {
        name: name.to_owned(),
        sql_type: sql_type.to_owned(),
        ..DescribedColumn::default()
    }
}

fn primary(columns: &[&str]) -> DescribedKey {
    let part = |name: &&str| KeyPart {
        column: Some((*name).to_owned()),
        prefix: None,
    };
    DescribedKey {
        name: PRIMARY.to_owned(),
        is_unique: true,
        parts: columns.iter().map(part).collect(),
        is_declared: false,
    }
}

fn table(columns: &[DescribedColumn]) -> DescribedTable {
    DescribedTable {
        columns: columns.to_vec(),
        ..DescribedTable::default()
    }
}

#[test]
fn every_type_is_packed_as_the_server_says() {
    const LATIN1: u64 = 8;
    const UTF8MB4: u64 = 255;
    let of = |sql_type: &str, collation: Option<u64>| DescribedColumn {
        collation,
        ..column("c", sql_type)
    };
    let many: Vec<String> = (0..256).map(|number| format!("'{number}'")).collect();
    let enum_of_256 = format!("enum({})", many.join(","));
    let set_of_33 = format!("set({})", many[..33].join(","));
    for (described, number, metadata) in [
        (of("tinyint(1)", None), 1, &[][..]),
        (of("smallint(5) unsigned zerofill", None), 2, &[]),
        (of("mediumint", None), 9, &[]),
        (of("int(10) unsigned zerofill", None), 3, &[]),
        (of("bigint unsigned", None), 8, &[]),
        (of("decimal(65,30) unsigned", None), 246, &[65, 30]),
        (of("float(7,3)", None), 4, &[4]),
        (of("double unsigned", None), 5, &[8]),
        (of("bit(12)", None), 16, &[4, 1]),
        (of("bit(64)", None), 16, &[0, 8]),
        (of("date", None), 10, &[]),
        (of("year", None), 13, &[]),
        (of("year(4)", None), 13, &[]),
        (of("time(2)", None), 19, &[2]),
        (of("datetime", None), 18, &[0]),
        (of("timestamp(6)", None), 17, &[6]),
        (of("char(5)", Some(UTF8MB4)), 254, &[0xfe, 20]),
        (of("char(255)", Some(UTF8MB4)), 254, &[0xce, 0xfc]),
        (of("char(255)", Some(LATIN1)), 254, &[0xfe, 0xff]),
        (of("varchar(300)", Some(UTF8MB4)), 15, &[0xb0, 4]),
        (of("binary(4)", None), 254, &[0xfe, 4]),
        (of("varbinary(300)", None), 15, &[0x2c, 1]),
        (of("tinytext", Some(LATIN1)), 252, &[1]),
        (of("longtext", Some(UTF8MB4)), 252, &[4]),
        (of("mediumblob", None), 252, &[3]),
        (of("json", None), 245, &[4]),
        (of("geometry", None), 255, &[4]),
        (of("geomcollection", None), 255, &[4]),
        (of("vector(3)", None), 242, &[4]),
        (of("enum('a','b)''(')", Some(LATIN1)), 254, &[247, 1]),
        (of(&enum_of_256, Some(LATIN1)), 254, &[247, 2]),
        (of("set('a','b')", Some(LATIN1)), 254, &[248, 1]),
        (of(&set_of_33, Some(LATIN1)), 254, &[248, 8]),
    ] {
        let sql_type = described.sql_type.clone();
        with_map(&[(number, metadata, false)], &[], |map| {
            let definition = TableDefinition::from_described(
                map,
                &table(std::slice::from_ref(&described)),
                mysql(),
            );
            let definition = definition.unwrap_or_else(|error| panic!("{sql_type}: {error}"));
            let ours = definition.columns[0].column_type.sql();
            let bare = sql_type.replace("(7,3)", "").replace(" zerofill", "");
            let has_width = bare.contains("int(") || bare.contains("year(");
            assert!(
                has_width || bare == ours || bare == "geomcollection",
                "{sql_type}: {ours}"
            );
            // Another column, packed otherwise.
            let other = column("c", if number == 10 { "year" } else { "date" });
            let error =
                TableDefinition::from_described(map, &table(&[other]), mysql()).unwrap_err();
            assert!(matches!(error, DefinitionError::Differs { .. }), "{error}");
        });
    }
}

#[test]
fn what_the_table_map_says_must_be_what_the_server_says() {
    let refused = |columns: &[(u8, &[u8], bool)], optional: &[u8], described: &DescribedTable| {
        with_map(columns, optional, |map| {
            let error = TableDefinition::from_described(map, described, mysql()).unwrap_err();
            let DefinitionError::Differs { column, .. } = error else {
                panic!("{error}");
            };
            column
        })
    };
    let int = table(&[column("n", "int")]);
    let unsigned = table(&[column("n", "int unsigned")]);
    assert_eq!(refused(&[(3, &[], true)], &[], &int), "n");
    assert_eq!(
        refused(&[(3, &[], false), (3, &[], false)], &[], &int),
        "their number"
    );
    assert_eq!(refused(&[(3, &[], false)], &[1, 1, 0x80], &int), "n");
    assert_eq!(refused(&[(3, &[], false)], &[1, 1, 0], &unsigned), "n");
    with_map(&[(3, &[], false)], &[1, 1, 0x80], |map| {
        let definition = TableDefinition::from_described(map, &unsigned, mysql()).unwrap();
        assert_eq!(definition.columns[0].column_type.sql(), "int unsigned");
    });
    // Characters of latin1, where the table map says utf8mb4.
    let text = DescribedColumn {
        collation: Some(8),
        ..column("c", "tinytext")
    };
    let collation = [2, 3, 252, 255, 0];
    assert_eq!(
        refused(&[(252, &[1], false)], &collation, &table(&[text])),
        "c"
    );
    let keyed = DescribedTable {
        keys: vec![primary(&["other"])],
        ..int
    };
    assert_eq!(refused(&[(3, &[], false)], &[], &keyed), "the primary key");
}

#[test]
fn the_definition_has_names_key_and_what_is_declared() {
    let described = DescribedTable {
        columns: vec![
            DescribedColumn {
                default: Some("7".into()),
                nullable: true,
                ..column("a", "int(10) unsigned zerofill")
            },
            DescribedColumn {
                default: Some("CURRENT_TIMESTAMP".into()),
                extra: "DEFAULT_GENERATED on update CURRENT_TIMESTAMP".into(),
                ..column("b", "timestamp")
            },
            DescribedColumn {
                expression: "(`a` + 1)".into(),
                extra: "VIRTUAL GENERATED INVISIBLE".into(),
                ..column("c", "bigint")
            },
            DescribedColumn {
                default: Some("0x".into()),
                ..column("d", "varbinary(9)")
            },
            DescribedColumn {
                default: Some("a?".into()),
                collation: Some(8),
                ..column("e", "varchar(9)")
            },
        ],
        keys: vec![primary(&["c", "b"])],
        collation: None,
        ..DescribedTable::default()
    };
    let columns: [(u8, &[u8], bool); 5] = [
        (3, &[], true),
        (17, &[0], false),
        (8, &[], false),
        (15, &[9, 0], false),
        (15, &[9, 0], false),
    ];
    with_map(&columns, &[], |map| {
        let definition = TableDefinition::from_described(map, &described, mysql()).unwrap();
        assert_eq!(definition.name, TableName::new("shop", "t"));
        assert_eq!(definition.primary_key, [2, 1]);
        let defaults: Vec<_> = (definition.columns.iter())
            .map(|column| column.declared.clone().unwrap().default)
            .collect();
        let expected = [
            Some(DeclaredDefault::Literal("7".into())),
            Some(DeclaredDefault::Expression("CURRENT_TIMESTAMP".into())),
            None,
            // The server shows bytes up to the first zero byte, and unknown characters as question marks.
            None,
            None,
        ];
        assert_eq!(defaults, expected);
        let generated = definition.columns[2].declared.clone().unwrap();
        assert_eq!(generated.expression.as_deref(), Some("(`a` + 1)"));
        // With names in the table map it is the same, but for what is declared.
        let mut named = definition.clone();
        named
            .columns
            .iter_mut()
            .for_each(|column| column.declared = None);
        assert!(definition.is_but_for_declared(&named) && definition != named);
        assert_eq!(named.clone().declared(map, &described, mysql()), definition);
        named.columns[0].name = "z".into();
        assert_eq!(named.clone().declared(map, &described, mysql()), named);
    });
}

#[test]
fn names_of_members_are_read_as_the_server_escapes_them() {
    let text = r"'it''s','a,b','','\\','x\ny\0\r','größe'";
    let expected = ["it's", "a,b", "", "\\", "x\ny\0\r", "größe"];
    assert_eq!(
        members(text).unwrap(),
        expected.map(|name| name.as_bytes().to_vec())
    );
    let mixed = members("'a',x'ff61',x'FF'").unwrap();
    assert_eq!(mixed, [&b"a"[..], b"\xffa", b"\xff"]);
    for damaged in [
        "",
        "a",
        "'a",
        "'a'b'c'",
        "'a',",
        "'a',x'f'",
        "'a',x'fg'",
        "x",
    ] {
        assert_eq!(members(damaged), None, "{damaged}");
    }
    let of = |sql_type: &str| DescribedColumn {
        collation: Some(8),
        ..column("c", sql_type)
    };
    with_map(&[(254, &[247, 1], false)], &[], |map| {
        let definition =
            TableDefinition::from_described(map, &table(&[of("enum('é','b')")]), mysql());
        let column_type = definition.unwrap().columns.remove(0).column_type;
        let members = ["é", "b"].map(|name| name.to_owned().into()).into();
        let expected = ColumnType::Members(Members::Enum { bytes: 1, members });
        assert_eq!(column_type, expected);
        let some =
            TableDefinition::from_described(map, &table(&[of("enum('a?','b',x'ff')")]), mysql());
        let members = vec![
            Member::Lost { shown: "a?".into() },
            Member::Text("b".into()),
            Member::NotText {
                replaced: "\u{fffd}".into(),
            },
        ];
        let expected = ColumnType::Members(Members::Enum { bytes: 1, members });
        let mut some = some.unwrap();
        assert_eq!(some.columns[0].column_type, expected);

        // A table map with names has them whole.
        let whole = vec![
            Member::Text("a\u{1f600}".into()),
            Member::Text("b".into()),
            Member::NotText {
                replaced: "\u{fffd}".into(),
            },
        ];
        some.columns[0].column_type = ColumnType::Members(Members::Enum {
            bytes: 1,
            members: whole,
        });
        some.columns[0].declared = None;
        for shown in ["enum('a?','b',x'ff')", "enum('a?','b','')"] {
            let declared = some.clone().declared(map, &table(&[of(shown)]), mysql());
            assert!(declared.columns[0].declared.is_some() && declared.is_but_for_declared(&some));
        }
    });
}

#[test]
fn text_has_the_character_set_that_the_server_names() {
    let text = DescribedColumn {
        collation: Some(28),
        ..column("c", "char(3)")
    };
    with_map(&[(254, &[0xfe, 6], false)], &[], |map| {
        let definition =
            TableDefinition::from_described(map, &table(std::slice::from_ref(&text)), mysql())
                .unwrap();
        let expected = ColumnType::Text(Text::Char {
            bytes_max: 6,
            charset: Charset::Gbk,
        });
        assert_eq!(definition.columns[0].column_type, expected);
    });
}

#[test]
fn defaults_of_older_servers_and_of_mariadb_are_what_they_are_in_their_words() {
    let literal = |text: &str| Some(DeclaredDefault::Literal(text.to_owned()));
    let expression = |text: &str| Some(DeclaredDefault::Expression(text.to_owned()));
    for (version, sql_type, shown, expected) in [
        (
            "5.7.22",
            "timestamp",
            "CURRENT_TIMESTAMP",
            expression("CURRENT_TIMESTAMP"),
        ),
        (
            "5.7.22",
            "varchar(30)",
            "CURRENT_TIMESTAMP",
            literal("CURRENT_TIMESTAMP"),
        ),
        ("5.7.22", "varchar(30)", "'a'", literal("'a'")),
        ("11.8.6-MariaDB", "varchar(30)", "'a'", literal("a")),
        (
            "11.8.6-MariaDB",
            "varchar(30)",
            "'it''s \\\\'",
            literal("it's \\"),
        ),
        ("11.8.6-MariaDB", "varchar(30)", "''", literal("")),
        ("11.8.6-MariaDB", "varchar(30)", "NULL", None),
        ("11.8.6-MariaDB", "varchar(30)", "'NULL'", literal("NULL")),
        (
            "11.8.6-MariaDB",
            "varchar(30)",
            "concat('a','b')",
            expression("concat('a','b')"),
        ),
        ("11.8.6-MariaDB", "int(11)", "-7", literal("-7")),
        ("11.8.6-MariaDB", "double", "1.5e10", literal("1.5e10")),
        ("11.8.6-MariaDB", "double", "inf", expression("inf")),
        ("11.8.6-MariaDB", "bit(3)", "b'101'", literal("b'101'")),
        (
            "11.8.6-MariaDB",
            "datetime",
            "current_timestamp()",
            expression("current_timestamp()"),
        ),
    ] {
        let column = DescribedColumn {
            sql_type: sql_type.to_owned(),
            default: Some(shown.to_owned()),
            ..DescribedColumn::default()
        };
        let declared = column.declared(Dialect::of_version(version));
        assert_eq!(declared.default, expected, "{version} {sql_type} {shown}");
    }
}

#[test]
fn times_may_be_packed_as_they_were_before_mysql_5_6() {
    for (sql_type, old) in [("timestamp", 7), ("time", 11), ("datetime", 12)] {
        let column = DescribedColumn {
            name: "c".to_owned(),
            sql_type: sql_type.to_owned(),
            ..DescribedColumn::default()
        };
        with_map(&[(old, &[], false)], &[], |map| {
            let definition = TableDefinition::from_described(
                map,
                &table(std::slice::from_ref(&column)),
                mysql(),
            );
            assert_eq!(definition.unwrap().columns[0].column_type.sql(), sql_type);
            // A fraction there was none then.
            let fraction = DescribedColumn {
                sql_type: format!("{sql_type}(3)"),
                ..column.clone()
            };
            let refused = TableDefinition::from_described(map, &table(&[fraction]), mysql());
            assert!(matches!(refused, Err(DefinitionError::Differs { .. })));
        });
    }
}

#[test]
fn what_mariadb_hides_is_found_in_its_table_maps() {
    let mariadb = Dialect::of_version("11.8.6-MariaDB");
    let text = DescribedColumn {
        name: "n".to_owned(),
        sql_type: "int(11)".to_owned(),
        ..DescribedColumn::default()
    };
    let key = DescribedKey {
        name: PRIMARY.to_owned(),
        is_unique: true,
        parts: vec![KeyPart {
            column: Some("n".to_owned()),
            prefix: None,
        }],
        is_declared: false,
    };
    let named = |definition: Result<TableDefinition, DefinitionError>| {
        definition.map(|definition| {
            let columns = definition.columns.iter();
            let names: Vec<_> = columns.map(|column| column.name.clone()).collect();
            (names.join(" "), definition.primary_key)
        })
    };
    let plain = DescribedTable {
        columns: vec![text],
        keys: vec![key],
        ..DescribedTable::default()
    };
    let versioned = DescribedTable {
        is_versioned: true,
        ..plain.clone()
    };
    let int = (3, &[][..], false);
    let hash = (8, &[][..], true);
    let time = (17, &[6][..], false);
    for (columns, described, expected) in [
        (&[int, hash][..], &plain, Some(("n DB_ROW_HASH_1", vec![0]))),
        (
            &[int, time, time],
            &versioned,
            Some(("n row_start row_end", vec![0, 2])),
        ),
        // Neither is guessed of others: as many as there are keys, and of that type.
        (&[int, hash, hash], &plain, None),
        (&[int, time, time], &plain, None),
        (&[int, int], &plain, None),
    ] {
        with_map(columns, &[], |map| {
            let found = named(TableDefinition::from_described(map, described, mariadb));
            let expected = expected.map(|(names, key)| (names.to_owned(), key));
            assert_eq!(found.ok(), expected);
            let on_mysql = TableDefinition::from_described(map, &plain, mysql());
            assert!(columns.len() == 1 || on_mysql.is_err());
        });
    }
}
