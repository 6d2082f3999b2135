"""The letters of the Basic Multilingual Plane, which is all that names on a server may have beside ASCII."""

import unicodedata
from collections import defaultdict

NAME_LETTERS_MAX = 64
LETTERS_MIN = 10  # what has fewer are signs, or letters of a script that has more elsewhere


def letters() -> str:
    """All of them, in their order."""
    return "".join(letter for letter in map(chr, range(0x80, 0x10000)) if unicodedata.category(letter).startswith("L"))


def scripts() -> dict[str, str]:
    """The letters of each script, which Unicode names by the first word of each letter's name."""
    found: dict[str, str] = defaultdict(str)
    for letter in letters():
        found[unicodedata.name(letter).split()[0].lower()] += letter
    return {script: letters for script, letters in found.items() if len(letters) >= LETTERS_MIN}


def longest_name(letters: str) -> str:
    """As long as a name may be."""
    return (letters * NAME_LETTERS_MAX)[:NAME_LETTERS_MAX]
