# SPDX-License-Identifier: Apache-2.0
"""Faulty layers of real files: whatever an attribute, a blob or a missing input says, lowering succeeds or names the fault."""

from __future__ import annotations

import random

import corpus
import pytest

from ie_ctypes.errors import IEError
from ie_ctypes.model.network import Network, is_input

VALUES = (
    "",
    "0",
    "-1",
    "1",
    "3",
    "99999999999999",
    "x",
    "nan",
    "-inf",
    "1e30",
    "0.5",
    "true",
    "1,1",
    "-1,-1",
    "5,5,5,5,5",
    ",",
    "max",
    "valid",
)
SEEDS = range(8)


def mutate(net: Network, rng: random.Random) -> None:
    """One fault in one layer: an attribute changed or gone, an input gone, a blob cut short."""
    node = rng.choice([n for n in net.graph.nodes if not is_input(n) and n.type != "Result"])
    choice = rng.random()
    if choice < 0.6 and node.params:
        node.params[rng.choice(sorted(node.params))] = rng.choice(VALUES)
    elif choice < 0.75 and node.params:
        del node.params[rng.choice(sorted(node.params))]
    elif choice < 0.85 and node.sources:
        node.sources.pop(rng.randrange(len(node.sources)))
    elif node.blobs:
        blob = node.blobs[rng.choice(sorted(node.blobs))]
        blob.data = blob.data[: len(blob.data) // 2]


@pytest.mark.skipif(not corpus.ROOT.is_dir(), reason=f"the conformance corpus is not at {corpus.ROOT}; set IE_TEST_DATA")
@pytest.mark.parametrize("seed", SEEDS)
def test_mutated_networks_lower_or_fail_cleanly(seed):
    rng = random.Random(seed)
    paths = [line.split("\t")[0] for line in (corpus.ROOT / "dev.txt").read_text().splitlines() if line and line[0] != "#"]
    refused = 0
    for path in rng.sample(paths, 100):
        net = corpus.network(corpus.load(path))
        mutate(net, rng)
        try:
            net.lower()
        except IEError:
            refused += 1
    assert refused > 10
