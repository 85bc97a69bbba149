"""Hostile bundles, each made from a good one by somebody who knows the format: names and makers; and many at once.

`hostile_archives` and `hostile_contents` fill the dictionary. Whatever they change, seals, hashes and checksums around
it are right, so that the thing itself has to be found.
"""

import random

import forging

HOSTILE = {}  # makers by name
KINDS = {}  # sets of the names before they are numbered, by the file that has them


def hostile(*cases):
    """Register a maker: a function from the bytes of a good bundle, and a case where there are any, to bad ones."""

    def register(make):
        KINDS.setdefault(make.__module__, set()).add(make.__name__)
        for index, case in enumerate(cases):
            HOSTILE[f"{make.__name__}_{index}"] = lambda good, case=case: make(good, case)
        if not cases:
            HOSTILE[make.__name__] = make
        return make

    return register


def truncated(good, step):
    """Give the bundle cut at every `step`-th byte; the same, sealed again; and its arrays cut, and all set right."""
    for length in range(0, len(good), step):
        yield good[:length]
        yield forging.sealed(good[:length] + b"0" * 64)
    whole = forging.members_of(good)["weights.safetensors"]
    for length in range(0, len(whole), step):
        yield forging.changed(good, weights_safetensors=whole[:length])


def flipped(good, count, seed):
    """Give the bundle with one bit flipped anywhere."""
    dice = random.Random(seed)
    for _ in range(count):
        altered = bytearray(good)
        altered[dice.randrange(len(good))] ^= 1 << dice.randrange(8)
        yield bytes(altered)


def flipped_and_resealed(good, count, seed):
    """Give the bundle with bits flipped in a member or in a record, text more often than numbers, and all set right."""
    dice = random.Random(seed)
    whole = forging.members_of(good)
    for _ in range(count):
        name = dice.choice((*("classifier.json", "weights.safetensors") * 2, "archive"))
        altered = bytearray(good if name == "archive" else whole[name])
        ends = {"archive": len(good) - 64, "weights.safetensors": dice.choice((2_000, len(altered)))}
        for _ in range(dice.choice((1, 1, 2, 8))):
            altered[dice.randrange(ends.get(name, len(altered)))] ^= 1 << dice.randrange(8)
        data = bytes(altered)
        yield forging.sealed(data) if name == "archive" else forging.forged({**whole, name: data})
