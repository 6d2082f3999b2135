"""Plants defects in changes that were really recorded, and says what a check must find then."""

import dataclasses
import random
from collections import Counter, defaultdict

from .ledger import Change, Kind


def plant(kind: Kind, changes: list[Change], chance: random.Random) -> tuple[list[Change], Counter[Kind]]:
    """The changes with one defect of the kind somewhere in them, and how many problems of which kind that makes.

    The changes are those of whole transfers, each in the order of its partition."""
    return {
        Kind.LOST: lose_a_transfer, Kind.DOUBLED: double_a_change, Kind.TORN: tear_a_transfer,
        Kind.ORDER: swap_two_changes, Kind.WRONG: alter_a_change,
    }[kind](changes, chance)


def lose_a_transfer(changes: list[Change], chance: random.Random) -> tuple[list[Change], Counter[Kind]]:
    transaction = chance.choice(changes).transaction
    return [change for change in changes if change.transaction != transaction], Counter({Kind.LOST: 2})


def tear_a_transfer(changes: list[Change], chance: random.Random) -> tuple[list[Change], Counter[Kind]]:
    """Half of a transfer is lost, so the other half is torn."""
    at = chance.randrange(len(changes))
    return changes[:at] + changes[at + 1 :], Counter({Kind.TORN: 1, Kind.LOST: 1})


def double_a_change(changes: list[Change], chance: random.Random) -> tuple[list[Change], Counter[Kind]]:
    """It comes once more at the end, as from a producer that sent a batch again."""
    change = chance.choice(changes)
    offset = max(each.offset for each in changes if each.partition == change.partition) + 1
    return [*changes, dataclasses.replace(change, offset=offset)], Counter({Kind.DOUBLED: 1})


def swap_two_changes(changes: list[Change], chance: random.Random) -> tuple[list[Change], Counter[Kind]]:
    """Neighbours in a partition."""
    places = defaultdict(list)
    for at, change in enumerate(changes):
        places[change.partition].append(at)
    of_partition = chance.choice([each for each in places.values() if len(each) > 1])
    number = chance.randrange(len(of_partition) - 1)
    first, second = of_partition[number : number + 2]
    swapped = changes.copy()
    swapped[first], swapped[second] = changes[second], changes[first]
    return swapped, Counter({Kind.ORDER: 1})


def alter_a_change(changes: list[Change], chance: random.Random) -> tuple[list[Change], Counter[Kind]]:
    """Another balance than the table had: the next one, or the table, says otherwise, and the transfer does not add up."""
    at = chance.randrange(len(changes))
    balance, version = changes[at].after
    altered = dataclasses.replace(changes[at], after=(balance + 1, version))
    return [*changes[:at], altered, *changes[at + 1 :]], Counter({Kind.WRONG: 1, Kind.TORN: 1})
