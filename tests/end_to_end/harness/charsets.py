"""What each character of the server's character sets is in Unicode, asked of a real server.

The connector's tables (`connector/core/src/value/charset/tables`) hold exactly this: `test_charsets.py` compares them,
and writes them anew with BINLOG_BRIDGE_RECORD=1. A table: for each byte its character, as a little-endian number of
16 bits; then, for each length of longer sequences, the least and the greatest lead and trail byte, and the characters
of all pairs between them (behind 8F for three bytes). Of gb18030 follow the sequences of four bytes, in order, whose
characters fit 16 bits. D800, which is no character, means none.
"""

import pathlib
import struct

import pymysql

TABLES = pathlib.Path(__file__).resolve().parents[3] / "connector/core/src/value/charset/tables"

SINGLE_BYTE = (
    "armscii8 cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 dec8 geostd8 greek hebrew hp8 keybcs2 koi8r koi8u latin1 "
    "latin2 latin5 latin7 macce macroman swe7 tis620"
).split()
DOUBLE_BYTE = "big5 cp932 euckr gb18030 gb2312 gbk sjis".split()
# Three bytes behind a lead byte of 8F.
TRIPLE_BYTE = "eucjpms ujis".split()
THREE_BYTES_LEAD = "8F"

NONE = 0xD800
# Sequences of four bytes of gb18030 up to that of U+FFFF; those of U+10000 and more are counted anew.
GB18030_LONG = 39420
# Numbers of 16 bits, in one statement.
NUMBERS = "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})"


def record(connection: pymysql.Connection, charset: str) -> bytes:
    """The table of a character set."""
    one = characters(connection, charset, 1)
    table = pack(one)
    if charset in DOUBLE_BYTE + TRIPLE_BYTE:
        pairs = characters(connection, charset, 2)
        # Two characters in a row are not one of two bytes.
        table += rectangle([NONE if one[n >> 8] != NONE else code for n, code in enumerate(pairs)])
    if charset in TRIPLE_BYTE:
        table += rectangle(characters(connection, charset, 2, THREE_BYTES_LEAD))
    if charset == "gb18030":
        table += pack(query(connection, charset, gb18030_long("n"), GB18030_LONG))
    return table


def gb18030_long(number: str, lead: int = 0x81) -> str:
    """The sequence of four bytes of a number, counted from a lead byte on: 126 and 10 values by turns."""
    digits = [f"{lead} + {number} DIV 12600", f"48 + {number} DIV 1260 % 10", f"129 + {number} DIV 10 % 126", f"48 + {number} % 10"]
    return f"CONCAT({', '.join(f'CHAR({digit} USING binary)' for digit in digits)})"


def characters(connection: pymysql.Connection, charset: str, size: int, lead: str = "") -> list[int]:
    """Of each sequence of one or two bytes, after a lead, the character that a client gets."""
    return query(connection, charset, f"UNHEX(CONCAT('{lead}', LPAD(HEX(n), {size * 2}, '0')))", 256**size)


def query(connection: pymysql.Connection, charset: str, code: str, count: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION cte_max_recursion_depth = 65536")
        # What is not of the character set is NULL; what has no place in Unicode is a question mark.
        cursor.execute(
            f"{NUMBERS.format(last=count - 1)} SELECT HEX(CONVERT(CONVERT({code} USING {charset}) USING utf32)), "
            f"HEX({code}) FROM numbers ORDER BY n"
        )
        return [unicode_of(found, asked) for found, asked in cursor.fetchall()]


def unicode_of(found: str | None, asked: str) -> int:
    if found is None or len(found) != 8:
        return NONE
    number = int(found, 16)
    is_lost = number == ord("?") and asked != "3F"
    assert number <= 0xFFFF and number != NONE, f"{asked} is {number:x}, which has no place in a table"
    return NONE if is_lost else number


def rectangle(codes: list[int]) -> bytes:
    used = [n for n, code in enumerate(codes) if code != NONE]
    leads, trails = [n >> 8 for n in used], [n & 0xFF for n in used]
    low, high, first, last = min(leads), max(leads), min(trails), max(trails)
    rows = (codes[lead << 8 | trail] for lead in range(low, high + 1) for trail in range(first, last + 1))
    return bytes([low, high, first, last]) + pack(list(rows))


def pack(codes: list[int]) -> bytes:
    return struct.pack(f"<{len(codes)}H", *codes)


def all_charsets() -> list[str]:
    return SINGLE_BYTE + DOUBLE_BYTE + TRIPLE_BYTE


def write_all(connection: pymysql.Connection) -> None:
    TABLES.mkdir(parents=True, exist_ok=True)
    for charset in all_charsets():
        (TABLES / f"{charset}.bin").write_bytes(record(connection, charset))
