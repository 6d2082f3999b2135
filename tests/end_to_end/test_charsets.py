"""Text in every character set of the server: the connector's tables are what a server answers."""

import os

from harness import charsets
from harness.stack import Stack


def test_charset_tables_are_those_of_the_server(stack: Stack):
    with stack.connect() as connection:
        if os.environ.get("BINLOG_BRIDGE_RECORD"):
            charsets.write_all(connection)
        for charset in charsets.all_charsets():
            assert (charsets.TABLES / f"{charset}.bin").read_bytes() == charsets.record(connection, charset), charset


def test_every_charset_of_the_server_is_known(stack: Stack):
    counted = ["ascii", "binary", "ucs2", "utf16", "utf16le", "utf32", "utf8mb3", "utf8mb4"]
    rows = stack.sql("SELECT character_set_name FROM information_schema.character_sets ORDER BY 1")
    assert [row[0] for row in rows] == sorted(charsets.all_charsets() + counted)
