"""How the connector ends by itself: its exit code, and the sentences of cause and remedy."""

from .connector import Connector, error_and_remedy

INVALID, REFUSED, HALTED = 2, 3, 4


def refused(connector: Connector, code: int, *words: str, seconds: float = 30) -> tuple[str, str]:
    """Starts it and expects it to end with this code, naming these words in cause or remedy."""
    connector.start()
    return ended(connector, code, *words, seconds=seconds)


def ended(connector: Connector, code: int, *words: str, seconds: float = 30) -> tuple[str, str]:
    found = connector.wait_exit(seconds)
    assert found == code, f"ended with {found} instead of {code}; it printed:\n{connector.tail()}"
    error, remedy = error_and_remedy(connector.stderr())
    for word in words:
        assert word.lower() in (error + remedy).lower(), f"{word!r} is in neither of\n{error}\n{remedy}"
    return error, remedy
