"""Seeds and generators derived from a key, so that no stream depends on how much another one has drawn."""

from __future__ import annotations

import hashlib

import torch


def derived_seed(*key: object) -> int:
    """64 bits of a key such as (seed, stream, epoch); keys with different parts share nothing."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "little")


def derived_generator(*key: object) -> torch.Generator:
    """A CPU generator seeded by a key.

    Nothing is shared between two keys, so no stream depends on how much another one has drawn.
    """
    return torch.Generator().manual_seed(derived_seed(*key) >> 1)
