"""Stratified splits that are decided by what an image is called, never by where it stands in a list."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls.errors import ConfigurationError


def check_fractions(fractions: Any) -> tuple[float, ...]:
    """Check that `fractions` are at least two numbers above 0 that sum to 1."""
    try:
        parts = tuple(float(fraction) for fraction in fractions)
    except (TypeError, ValueError):
        parts = ()
    if len(parts) < 2 or min(parts) <= 0 or abs(sum(parts) - 1) > 1e-6:
        message = (
            f"fractions={fractions!r} is not accepted. Accepted: two or more numbers above 0 that sum to 1, "
            "such as (0.8, 0.2) or (0.7, 0.15, 0.15)."
        )
        raise ConfigurationError(message)
    return parts


def stratified(
    strata: Sequence[Hashable], ids: Sequence[str], fractions: tuple[float, ...], *, seed: int, groups: Any = None
) -> list[NDArray[np.int64]]:
    """Split positions 0..N-1 so that every part has about the same share of every stratum.

    A unit is one image, or all images of one group. Units are dealt in the order of a hash of (seed, name), each to
    the part that still misses most, and every part gets one unit of a stratum before any gets a second, as far as
    they go: with as many units as parts, no part lacks the stratum.

    Args:
        strata: N class codes (or label combinations).
        ids: N names; the name of an image decides its place in the order.
        fractions: The share of each part, summing to 1.
        seed: Another seed, another split.
        groups: N group names; a group is never divided. None: every image is its own group.

    Returns:
        One sorted array of positions for each fraction.
    """
    units: dict[Hashable, list[int]] = defaultdict(list)
    for position, name in enumerate(ids if groups is None else groups):
        units[position if groups is None else name].append(position)
    by_stratum: dict[Hashable, list[tuple[bytes, list[int]]]] = defaultdict(list)
    for unit, members in units.items():
        name = ids[members[0]] if groups is None else unit
        counts = Counter(strata[member] for member in members)
        stratum = max(counts, key=lambda one: (counts[one], str(one)))  # the commonest, whatever the order
        order = hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()
        by_stratum[stratum].append((order, members))
    parts: list[list[int]] = [[] for _ in fractions]
    for dealt in by_stratum.values():
        dealt.sort(key=lambda unit: unit[0])
        total = sum(len(members) for _, members in dealt)
        missing = [fraction * total for fraction in fractions]
        for turn, (_, members) in enumerate(dealt):
            candidates = list(range(len(parts)))
            if turn < len(parts) <= len(dealt):
                candidates = [part for part in candidates if missing[part] == fractions[part] * total]
            part = max(candidates, key=missing.__getitem__)
            parts[part].extend(members)
            missing[part] -= len(members)
    return [np.array(sorted(part), dtype=np.int64) for part in parts]
