"""Column types with their edge values, on the kinds of server that have them."""

import json
from dataclasses import dataclass, replace

# As tests/stack/fetch names them, oldest first.
MYSQL = ("mysql55", "mysql56", "mysql57", "mysql8015", "mysql80", "mysql9")
MARIADB = ("mariadb1011", "mariadb")
KINDS = frozenset(MYSQL + MARIADB)

NUMBER = "CAST({} AS CHAR)"
BYTES = "HEX({})"
TEXT = "CONVERT({} USING utf8mb4)"
# SELECT shows six digits of a FLOAT; what it is multiplied by makes a DOUBLE of it.
FLOAT = "{} * 1e0"
BITS = "CAST({} + 0 AS CHAR)"


def since(mysql: str | None, mariadb: str | None) -> frozenset[str]:
    """The kinds from these on; None is for none of that make."""
    return frozenset(MYSQL[MYSQL.index(mysql) if mysql else len(MYSQL) :] + MARIADB[MARIADB.index(mariadb) if mariadb else len(MARIADB) :])


FRACTIONS = since("mysql56", "mariadb1011")
JSON = since("mysql57", None)


@dataclass(frozen=True)
class Column:
    """A column type, the values that go through it (none where the server sets them), how SELECT shows one exactly, and the
    kinds of server that have it."""

    sql: str
    values: list[str]
    select: str = NUMBER
    kinds: frozenset[str] = KINDS
    needs_names: bool = False  # of members in the binlog: the server's description has a question mark for such characters
    left_out_by: frozenset[str] = frozenset()  # of images of updates and deletes, whatever binlog_row_image says

    @property
    def word(self) -> str:
        """The type's first word."""
        return self.sql.split("(")[0].split(" ")[0]

    @property
    def definition(self) -> str:
        return f"{self.sql} NULL" if self.values else self.sql


@dataclass(frozen=True)
class Type:
    """Columns that are of a kind: a line of the matrix."""

    name: str
    columns: list[Column]
    table: str = ""  # behind the columns of the table
    options: str = ""  # of the table
    made_with: tuple[str, str] | None = None  # a global setting with which the table is made
    has_history: bool = False  # rows that ended are kept, and written to the binlog as rows of their own

    def on(self, kind: str, has_names: bool) -> "Type":
        """What a kind of server has of it, whose binlog has the names of members or not."""
        return replace(self, columns=[
            column for column in self.columns if kind in column.kinds and (has_names or not column.needs_names)
        ])


def integers() -> list[Type]:
    return [Type(name, integer(name, size)) for name, size in [("TINYINT", 8), ("SMALLINT", 16), ("MEDIUMINT", 24), ("INT", 32), ("BIGINT", 64)]]


def integer(name: str, bits: int) -> list[Column]:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    signed = [str(value) for value in (low, high, 0, -1, 1, low + 1)]
    unsigned = [str(value) for value in (0, 2**bits - 1, high, high + 1, 1)]
    return [
        Column(name, signed), Column(f"{name} UNSIGNED", unsigned),
        Column(f"{name}(9) ZEROFILL", unsigned, "CAST({} + 0 AS CHAR)"),
    ]


def decimals() -> list[Type]:
    nines = "9" * 35 + "." + "9" * 30
    finer = "9" * 27 + "." + "9" * 38
    return [Type("DECIMAL", [
        Column("DECIMAL(65,30)", [nines, f"-{nines}", "0", "-0." + "0" * 29 + "1", "1", "-128", "255.5"]),
        Column("DECIMAL(65,0)", ["9" * 65, "-" + "9" * 65, "0", "-1", "256"]),
        Column("DECIMAL(30,30)", ["0." + "9" * 30, "-0." + "9" * 30, "0", "0.5"]),
        Column("DECIMAL(1,0)", ["9", "-9", "0"]),
        Column("DECIMAL(9,9)", ["0.999999999", "-0.000000001"]),
        Column("NUMERIC(18,9) UNSIGNED", ["0", "999999999.999999999", "128.000000001"]),
        Column("DECIMAL(10,2) ZEROFILL", ["0", "12345678.91"], "CAST({} + 0 AS CHAR)"),
        Column("DECIMAL(65,38)", [finer, f"-{finer}", "0", "-0." + "0" * 37 + "1"], kinds=since(None, "mariadb1011")),
        Column("DECIMAL(38,38)", ["0." + "9" * 38, "-0." + "9" * 38], kinds=since(None, "mariadb1011")),
    ])]


def floats() -> list[Type]:
    singles = ["0", "-0e0", "1.5", "-1.1", "3.402823466e38", "-3.402823466e38", "1.175494351e-38", "1e-45", "16777217", "0.1"]
    doubles = ["0", "-0e0", "0.1", "-2.5", "1.7976931348623157e308", "-1.7976931348623157e308", "2.2250738585072014e-308", "5e-324"]
    return [
        Type("FLOAT", [
            Column("FLOAT", singles, FLOAT), Column("FLOAT UNSIGNED", singles[:1] + ["7.25"], FLOAT),
            Column("FLOAT(7,4)", ["999.9999", "-1.25"], FLOAT), Column("FLOAT(53)", doubles, FLOAT),
        ]),
        Type("DOUBLE", [Column("DOUBLE", doubles, FLOAT), Column("REAL", doubles, FLOAT), Column("DOUBLE(20,10) UNSIGNED", ["0", "1.5"], FLOAT)]),
    ]


def bits() -> list[Type]:
    return [Type("BIT", [
        Column(f"BIT({count})", ["0", "1", str(2**count - 1), str(2 ** (count - 1))], BITS) for count in (1, 2, 7, 8, 9, 31, 32, 63, 64)
    ]), Type("BOOL", [Column("BOOL", ["TRUE", "FALSE"])])]


SNAIL, CROSSING = "🐌", "ä€\U0010ffff"
CHARSETS = {
    "utf8mb4": ["", "a", SNAIL, CROSSING, "tail  ", "\x00\x7f", "日本語"],
    "utf8mb3": ["", "ä€日本語"],
    "ascii": ["", "plain"],
    "latin1": ["", "äöüß€\x81ÿ"],
    "latin2": ["łódź"],
    "cp1251": ["Привет"],
    "koi8r": ["Привет"],
    "greek": ["αβγ"],
    "hebrew": ["שלום"],
    "tis620": ["ไทย"],
    "gbk": ["a你好", "丂"],
    "gb2312": ["你好"],
    "gb18030": ["你\x80\uffff" + SNAIL],
    "big5": ["你好"],
    "sjis": ["あｱ\\", "表"],
    "cp932": ["①＼表"],
    "ujis": ["あｱ丂"],
    "eucjpms": ["①ⅰ"],
    "euckr": ["안녕"],
    "ucs2": ["", "aä€"],
    "utf16": ["a" + SNAIL],
    "utf16le": ["a" + SNAIL],
    "utf32": ["a" + SNAIL],
}
CHARSETS_SINCE = {"utf16le": since("mysql56", "mariadb1011"), "gb18030": since("mysql57", None)}


def quoted(text: str) -> str:
    return f"CONVERT(x'{text.encode().hex()}' USING utf8mb4)"


def texts() -> list[Type]:
    types = ["CHAR(10)", "VARCHAR(20)", "VARCHAR(300)", "TEXT"]
    of_charsets = [
        Type(f"CHAR, VARCHAR, TEXT {charset}", [
            Column(f"{each} CHARACTER SET {charset}", [quoted(value) for value in values], TEXT, CHARSETS_SINCE.get(charset, KINDS))
            for each in (types if charset == "utf8mb4" else ["CHAR(10)", "VARCHAR(20)", "TINYTEXT"])
        ])
        for charset, values in CHARSETS.items()
    ]
    long = [f"REPEAT('ä', {count})" for count in (0, 127, 128, 30000)]
    return of_charsets + [
        Type("long texts", [
            Column("CHAR(255)", [f"REPEAT('🐌', {count})" for count in (0, 63, 64, 255)], TEXT),
            Column("MEDIUMTEXT", [*long, "REPEAT('x', 70000)"], TEXT), Column("LONGTEXT", [*long, "REPEAT('x', 200000)"], TEXT),
        ]),
        Type("texts of other forms", [
            Column("VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_german2_ci", [quoted("straße")], TEXT),
            Column("VARCHAR(20) COLLATE utf8mb4_bin", [quoted(SNAIL)], TEXT),
            Column("CHAR(0)", ["''"], TEXT), Column("VARCHAR(0)", ["''"], TEXT),
        ]),
        Type("texts COMPRESSED", [
            Column(f"{each} COMPRESSED", ["''", "'short'", *long[1:3], quoted(SNAIL * 300)], TEXT, since(None, "mariadb1011"))
            for each in ("VARCHAR(300)", "VARCHAR(2000)", "TEXT", "MEDIUMTEXT", "LONGTEXT")
        ] + [Column("VARCHAR(300) COMPRESSED CHARACTER SET latin1", ["''", *long[1:3]], TEXT, since(None, "mariadb1011"))]),
    ]


def binaries() -> list[Type]:
    values = ["''", "x'00'", "x'ff00'", "x'610000'", "x'20'"]
    long = ["REPEAT(x'ff00', 50)", "REPEAT(x'fe', 101)", "REPEAT(x'00', 2000)"]
    return [
        Type("BINARY", [
            Column("BINARY(1)", ["x'00'", "x'ff'", "''"], BYTES), Column("BINARY(5)", values, BYTES),
            Column("BINARY(255)", [*values, "REPEAT(x'ff', 255)"], BYTES), Column("CHAR(5) CHARACTER SET binary", values, BYTES),
            Column("BINARY(0)", ["''"], BYTES),
        ]),
        Type("VARBINARY", [Column("VARBINARY(5)", values, BYTES), Column("VARBINARY(3000)", [*values, "REPEAT(x'fe', 3000)"], BYTES)]),
        Type("BLOB", [
            Column("TINYBLOB", [*values, "REPEAT(x'fe', 255)"], BYTES), Column("BLOB", [*values, "REPEAT(x'fe', 65535)"], BYTES),
            Column("MEDIUMBLOB", [*values, "REPEAT(x'00', 65536)"], BYTES), Column("LONGBLOB", values, BYTES),
        ]),
        Type("VARBINARY, BLOB COMPRESSED", [
            Column(f"{each} COMPRESSED", [*values, *long], BYTES, since(None, "mariadb1011"))
            for each in ("VARBINARY(2000)", "BLOB", "MEDIUMBLOB", "LONGBLOB")
        ] + [Column("TINYBLOB COMPRESSED", [*values, "REPEAT(x'fe', 250)"], BYTES, since(None, "mariadb1011"))]),
    ]


DATES = ["'1970-01-01'", "'1969-12-31'", "'1000-01-01'", "'0001-01-01'", "'9999-12-31'", "'2000-02-29'", "'0000-00-00'", "'2021-02-30'", "'2021-00-10'"]
TIMES = ["'00:00:00'", "'838:59:59'", "'-838:59:59'", "'-00:00:01'", "'24:00:00'", "'23:59:59'", "'-33:00:01'"]
TIMESTAMPS = ["'1970-01-01 00:00:01'", "'0000-00-00'"]


def temporals() -> list[Type]:
    return [
        Type("DATE", [Column("DATE", DATES)]),
        # MySQL 5.6 makes a YEAR of a YEAR(2).
        Type("YEAR", [Column("YEAR", ["0", "1901", "2155", "1970"])]), Type("YEAR(2)", [
            Column("YEAR(2)", ["0", "69", "70", "'00'", "99"], kinds=frozenset({"mysql55", *MARIADB})),
        ]),
        Type("TIME", [Column("TIME", TIMES)]), Type("DATETIME", [Column("DATETIME", [*DATES, "'9999-12-31 23:59:59'"])]),
        Type("TIMESTAMP", [
            Column("TIMESTAMP", [*TIMESTAMPS, "'2038-01-19 03:14:07'"]),
            # In 64 bits, since MariaDB 11.5.
            Column("TIMESTAMP", [*TIMESTAMPS, "'2038-01-19 03:14:08'", "'2106-02-07 06:28:15'"], kinds=since(None, "mariadb")),
        ]),
        Type("TIME(n)", of_fractions(time)), Type("DATETIME(n)", of_fractions(datetime)), Type("TIMESTAMP(n)", of_fractions(timestamp)),
        # As MariaDB stored them up to 5.5, and still does where it is told to.
        *[
            Type(f"{name}(n), old format", of_fractions(of, since(None, "mariadb1011")), made_with=("mysql56_temporal_format", "OFF"))
            for name, of in [("TIME", time), ("DATETIME", datetime), ("TIMESTAMP", timestamp)]
        ],
        # Alone it has as many bytes as one without a fraction.
        Type("DATETIME(6), old format", [datetime(6, ".999999", since(None, "mariadb1011"))], made_with=("mysql56_temporal_format", "OFF")),
    ]


def of_fractions(of, kinds: frozenset[str] = FRACTIONS) -> list[Column]:
    return [of(digits, f".{'9' * digits}" if digits else "", kinds) for digits in range(7)]


def time(digits: int, fraction: str, kinds: frozenset[str]) -> Column:
    return Column(f"TIME({digits})", [*TIMES, f"'838:59:58{fraction}'", f"'-838:59:58{fraction}'", f"'-00:00:00{fraction}'"], kinds=kinds)


def datetime(digits: int, fraction: str, kinds: frozenset[str]) -> Column:
    return Column(f"DATETIME({digits})", [*DATES, f"'9999-12-31 23:59:59{fraction}'", f"'1969-12-31 23:59:59{fraction}'"], kinds=kinds)


def timestamp(digits: int, fraction: str, kinds: frozenset[str]) -> Column:
    return Column(f"TIMESTAMP({digits})", [*TIMESTAMPS, f"'2038-01-19 03:14:07{fraction}'", f"'2024-02-29 01:02:03{fraction}'"], kinds=kinds)


def members() -> list[Type]:
    small = "'small','it''s','ä🐌','x y'"
    many = ",".join(f"'member {number}'" for number in range(1, 301))
    flags = ",".join(f"'f{number}'" for number in range(1, 65))
    return [
        Type("ENUM", [
            Column(f"ENUM({small})", ["'small'", "'it''s'", quoted("ä🐌"), "'no member'", "4"], TEXT, needs_names=True),
            Column(f"ENUM({small.replace(SNAIL, '')})", ["'small'", "'it''s'", quoted("ä"), "'no member'", "4"], TEXT),
            Column(f"ENUM({many})", ["1", "255", "256", "300"], TEXT),
        ]),
        Type("SET", [
            Column("SET('a','b','c')", ["''", "'a'", "'a,c'", "7"], TEXT), Column(f"SET({flags})", ["0", "1", "18446744073709551615", "9223372036854775808"], TEXT),
            Column("SET('a','b','c','d','e','f','g','h','i')", ["256", "511"], TEXT),
        ]),
        Type("ENUM, SET of charsets", [
            Column("ENUM('ä','ö') CHARACTER SET latin1", ["1", "2"], TEXT), Column("ENUM('あ') CHARACTER SET sjis", ["1"], TEXT),
            Column("ENUM('ä','🐌') CHARACTER SET utf16", ["1", "2"], TEXT, needs_names=True), Column("SET('ä','🐌') CHARACTER SET utf32", ["3"], TEXT, needs_names=True),
            Column("ENUM('ä','ö') CHARACTER SET utf16", ["1", "2"], TEXT), Column("SET('ä','ö') CHARACTER SET utf32", ["3"], TEXT),
            Column("ENUM('a','') CHARACTER SET binary", ["1", "2"], TEXT), Column("ENUM('ä') CHARACTER SET utf8mb3", ["1"], TEXT),
            Column("SET('你','好') CHARACTER SET gbk", ["3", "2"], TEXT),
        ]),
    ]


def json_values() -> list[Type]:
    deep = "[" * 99 + "1" + "]" * 99
    big = json.dumps({f"key {number}": "x" * number for number in range(400)})
    texts = [
        "null", "true", "false", "0", "-1", "32767", "-32769", "2147483648", "-9223372036854775808", "18446744073709551615", "1e400".replace("400", "300"),
        "1.5", "1e-7", "123456789012345678901234567890", '""', '"\\u0001\\u0000\\u001f\\"\\\\\\/\\b\\f\\n\\r\\t\u007f ä🐌"', "[]", "{}", "[[], {}, [1, [2, {\"a\": null}]]]",
        '{"b": 1, "a": 2, "aa": 3, "": 4, "ä": 5}', big, json.dumps(list(range(30000))), json.dumps("y" * 70000),
    ]
    built = [
        "JSON_ARRAY(1.50, -0.05, 12345678901234567890.123456789, 99999999999999999999999999999999999.999999999999999999999999999999)",
        "JSON_ARRAY(CAST('2015-01-15' AS DATE), CAST('2015-01-15 23:24:25.12' AS DATETIME(2)), CAST('0000-00-00' AS DATETIME))",
        "JSON_ARRAY(CAST('-12:01:02.5' AS TIME(1)), CAST('838:59:59' AS TIME), CAST('-33:00:00.000001' AS TIME(6)), CAST('31:00:00' AS TIME))",
        "JSON_ARRAY(CAST('2015-01-15 23:24:25' AS DATETIME), x'0102ff', b'101', 0.1e0, 1e16, 1.25e-16)",
        "JSON_OBJECT('point', ST_GeomFromText('POINT(1.5 -2.25)'), 'bytes', CAST('ä' AS BINARY))",
        "JSON_ARRAY(CAST(TIMESTAMP'2015-01-15 23:24:25.000001' AS JSON), CAST(x'7e' AS JSON), CAST(CAST(18446744073709551615 AS UNSIGNED) AS JSON))",
    ]
    whole = [quoted("-0.0"), quoted("[1.0, 1e2]"), "JSON_ARRAY(1e0, 1e15, -3e0)", "JSON_OBJECT('point', ST_GeomFromText('POINT(1 2)'))"]
    return [
        Type("JSON", [
            Column("JSON", [quoted(text) for text in [*texts, deep]] + built, kinds=JSON),
            Column("JSON", ["JSON_OBJECT('year', CAST(2020 AS YEAR))"], kinds=since("mysql80", None)),
            # A LONGTEXT that MariaDB checks: not for values deeper than 32.
            Column("JSON", [quoted(text) for text in texts], TEXT, since(None, "mariadb1011")),
        ]),
        Type("JSON, doubles that are whole numbers", [Column("JSON", whole, kinds=JSON)]),
        Type("JSON, long bytes", [Column("JSON", ["JSON_ARRAY(REPEAT(x'00ff10', 60))"], kinds=JSON)]),
    ]


def geometries() -> list[Type]:
    shapes = {
        "POINT": "POINT(1 2)", "LINESTRING": "LINESTRING(0 0,1 1,2 -2)", "POLYGON": "POLYGON((0 0,10 0,10 10,0 10,0 0),(5 5,7 5,7 7,5 7,5 5))",
        "MULTIPOINT": "MULTIPOINT((0 0),(1 1))", "MULTILINESTRING": "MULTILINESTRING((0 0,1 1),(2 2,3 3))",
        "MULTIPOLYGON": "MULTIPOLYGON(((0 0,1 0,1 1,0 0)))", "GEOMETRYCOLLECTION": "GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))",
    }
    columns = []
    # Where points have parentheses since MySQL 5.7, and the function a prefix since 5.6.
    for function, kinds in [("GeomFromText", frozenset({"mysql55"})), ("ST_GeomFromText", since("mysql56", "mariadb1011"))]:
        columns += [Column(name, [f"{function}('{text}')", f"{function}('{text}', 4326)"], BYTES, kinds) for name, text in shapes.items()]
        columns.append(Column("GEOMETRY", [f"{function}('{text}', 3857)" for text in shapes.values()], BYTES, kinds))
    return [Type("GEOMETRY and its kin", [
        *columns, Column("GEOMETRY", ["ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')"], BYTES, since("mysql8015", "mariadb1011")),
        Column("POINT SRID 4326", ["ST_GeomFromText('POINT(-90 180)', 4326)"], BYTES, since("mysql8015", None)),
    ])]


def vectors() -> list[Type]:
    return [Type("VECTOR", [
        Column("VECTOR(3)", ["x'0000803f0000004000004040'", "x'00000080cdcccc3dffff7f7f'"], BYTES, since("mysql9", "mariadb")),
        Column("VECTOR(1)", ["x'0000803f'", "x'01000000'"], BYTES, since("mysql9", "mariadb")),
        Column("VECTOR(1500)", ["REPEAT(x'0000803f', 1500)"], BYTES, since("mysql9", "mariadb")),
    ])]


def addresses() -> list[Type]:
    return [
        Type("UUID", [Column("UUID", [
            "'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
            # Version 7, whose bytes are stored in their own order.
            "'018f4e3a-7b2c-7def-8123-456789abcdef'", "'{FFFE4567-E89B-42D3-B456-42665544000A}'",
        ], kinds=since(None, "mariadb1011"))]),
        Type("INET4", [Column("INET4", ["'0.0.0.0'", "'255.255.255.255'", "'10.0.0.1'"], kinds=since(None, "mariadb1011"))]),
        Type("INET6", [Column("INET6", [
            "'::'", "'::1'", "'2001:db8::ff00:42:8329'", "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'", "'::ffff:192.0.2.128'", "'::192.0.2.128'",
            "'1:0:0:2:0:0:0:3'", "'1:2:3:4:5:6:7::'", "'2001:db8:0:1:1:1:1:1'",
        ], kinds=since(None, "mariadb1011"))]),
    ]


def forms() -> list[Type]:
    """Columns and tables of other forms."""
    generated, left_out_by, versioned = since("mysql57", "mariadb1011"), since(None, "mariadb"), since(None, "mariadb1011")
    numbers, words = Column("INT", ["1", "-7"]), Column("VARCHAR(20)", ["'a'", quoted("ä€")], TEXT)
    return [
        *[
            Type(f"generated {each}", [
                replace(numbers, kinds=generated), Column(f"INT GENERATED ALWAYS AS (c0 * 2) {each}", [], kinds=generated, left_out_by=left_out_by),
                replace(words, kinds=generated), Column(f"VARCHAR(40) GENERATED ALWAYS AS (CONCAT(c2, c2)) {each}", [], TEXT, generated, left_out_by=left_out_by),
                replace(numbers, kinds=generated),
            ])
            for each in ("STORED", "VIRTUAL")
        ],
        Type("INVISIBLE", [
            replace(each, sql=f"{each.sql}{invisible}", kinds=since("mysql80", "mariadb1011"))
            for each in (numbers, words) for invisible in (" INVISIBLE", "")
        ]),
        Type("a key of an expression", [replace(each, kinds=since("mysql8015", None)) for each in (numbers, words)], table=", KEY ((c0 + 1))"),
        Type("a key of several values", [
            Column("JSON", ["'[1, 2]'", "'[]'"], kinds=since("mysql80", None)), replace(numbers, kinds=since("mysql80", None)),
        ], table=", KEY ((CAST(c0 AS UNSIGNED ARRAY)))"),
        Type("system versioning", [replace(each, kinds=versioned) for each in (numbers, words)], options="WITH SYSTEM VERSIONING", has_history=True),
        Type("system versioning, named", [
            *[replace(each, kinds=versioned) for each in (numbers, words)],
            *[Column(f"TIMESTAMP(6) GENERATED ALWAYS AS ROW {each}", [], kinds=versioned) for each in ("START", "END")],
        ], table=", PERIOD FOR SYSTEM_TIME (c2, c3)", options="WITH SYSTEM VERSIONING", has_history=True),
        Type("MyISAM", [numbers, words, Column("BIT(9)", ["0", "511"], BITS), Column("BLOB", ["''", "x'00'"], BYTES)], options="ENGINE=MyISAM"),
    ]


FAMILIES: dict[str, list[Type]] = {
    "integers": integers(), "decimals": decimals(), "floats": floats(), "bits": bits(), "texts": texts(), "binaries": binaries(),
    "temporals": temporals(), "members": members(), "json": json_values(), "geometries": geometries(), "vectors": vectors(),
    "addresses": addresses(), "forms": forms(),
}
