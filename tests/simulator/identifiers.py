"""BSUIDs and parent BSUIDs of the simulated accounts."""

import numpy as np

from . import business
from .world import World

SLOTS = len(business.PORTFOLIO_IDS)
# Parents are unique over all enrolled portfolios.
_PARENT_SLOT = SLOTS


def _mix(values: np.ndarray) -> np.ndarray:
    """splitmix64: spreads integers over 64 bits."""
    with np.errstate(over="ignore"):
        z = values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def _tails(keys: np.ndarray, slot: int, seed: int) -> np.ndarray:
    """15 or 16 digits per key, as seen in the wild."""
    mixed = _mix(keys.astype(np.int64) * (SLOTS + 1) + slot + 1 + seed * 1_000_003)
    return mixed % np.uint64(9_000_000_000_000_000) + np.uint64(500_000_000_000_000)


def bsuids(world: World, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """BSUID per account x portfolio (object [A * SLOTS]) and parent per account (object [A]).

    The prefix is the country of the first number of the key: an id never changes its text.
    """
    keys, first = np.unique(world.account_bsuid_key, return_index=True)
    place = np.zeros(int(keys.max()) + 1, np.int64)
    place[keys] = world.number_country[world.account_number[first]]
    prefix = np.array(business.COUNTRIES, dtype=object)[place[world.account_bsuid_key]].tolist()
    out = np.empty((len(prefix), SLOTS), dtype=object)
    for slot in range(SLOTS):
        tails = _tails(world.account_bsuid_key, int(business.OWNERS[slot]), seed).tolist()
        out[:, slot] = [f"{country}.{tail}" for country, tail in zip(prefix, tails, strict=True)]
    tails = _tails(world.account_bsuid_key, _PARENT_SLOT, seed).tolist()
    parents = np.empty(len(prefix), dtype=object)
    parents[:] = [f"{country}.ENT.{tail}" for country, tail in zip(prefix, tails, strict=True)]
    assert len(np.unique(out[:, 0].astype(str))) == len(keys), "BSUIDs collide"
    return out.reshape(-1), parents
