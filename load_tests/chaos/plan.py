"""What is decided by the seed: who is killed and when, and what else happens to the plugins. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import attrs

SHORTEST_S, LONGEST_S = 0.1, 0.5
# How often several are killed at once, and how many at the most.
SETS = 0.2
MOST_AT_ONCE = 5


@attrs.frozen
class Strike:
    """After ``after_s`` seconds these are killed: of each role named the one at a place among those who have it."""

    after_s: float
    victims: tuple[tuple[str, int], ...]


@attrs.frozen
class Deed:
    """After ``after_s`` seconds something happens to a plugin, for ``for_s`` seconds if it is something that lasts."""

    after_s: float
    what: str
    plugin: int
    for_s: float
    choice: int
    """For deeds that have something to choose: any number."""


def strikes(seed: int, roles: Sequence[str]) -> Iterator[Strike]:
    """Yield strikes without end."""
    chance = random.Random(f"{seed}:strikes")
    while True:
        count = chance.randint(2, MOST_AT_ONCE) if chance.random() < SETS else 1
        victims = tuple((chance.choice(roles), chance.randrange(1 << 16)) for _ in range(count))
        yield Strike(chance.uniform(SHORTEST_S, LONGEST_S), victims)


def deeds(seed: int, kinds: Sequence[str], plugins: Sequence[int]) -> Iterator[Deed]:
    """Yield deeds without end."""
    chance = random.Random(f"{seed}:deeds:{plugins[0]}")
    while True:
        yield Deed(
            chance.uniform(0.05, 0.4),
            chance.choice(kinds),
            chance.choice(plugins),
            chance.uniform(0.05, 0.5),
            chance.randrange(1 << 16),
        )
