# SPDX-License-Identifier: Apache-2.0
"""Order of the layers, and faults of the order."""

from __future__ import annotations

import random

import pytest

from ie_ctypes.errors import ModelError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import Graph, Node, Port


def network(*edges: tuple[str, str]) -> Graph:
    """A graph of one-output layers; layers appear in the order in which the edges name them."""
    nodes: dict[str, Node] = {}
    for producer, consumer in edges:
        for name in (producer, consumer):
            if name not in nodes:
                nodes[name] = Node(id=len(nodes), name=name, type="X", outputs=[Port(0)])
        target = nodes[consumer]
        target.inputs.append(Port(len(target.inputs)))
        target.sources.append((nodes[producer], 0))
    return Graph(nodes=list(nodes.values()), source="net.xml")


def names(graph: Graph) -> list[str]:
    return [n.name for n in graph.order()]


def test_order_is_the_documented_one() -> None:
    assert names(network(("a", "sum"), ("b", "sum"), ("sum", "pw"), ("sum", "pw2"))) == ["b", "a", "sum", "pw2", "pw"]


def test_consumers_are_visited_by_name_not_by_place_in_the_file() -> None:
    assert names(network(("a", "z"), ("a", "y"))) == ["a", "z", "y"]
    assert names(network(("a", "y"), ("a", "z"))) == ["a", "z", "y"]


def test_outputs_are_visited_in_turn() -> None:
    net = NetworkBuilder.legacy()
    split = net.layer("Split", "split", [net.input("x", (1, 2))], [(1, 1), (1, 1)])
    net.layer("ReLU", "a", [(split, 1)], [(1, 1)])
    net.layer("ReLU", "b", [(split, 0)], [(1, 1)])
    assert names(net.graph()) == ["x", "split", "a", "b"]


def test_every_layer_follows_its_producers() -> None:
    rng = random.Random(5)
    for _ in range(50):
        count = rng.randint(2, 30)
        edges = [(str(rng.randrange(i)), str(i)) for i in range(1, count) for _ in range(rng.randint(1, 3))]
        graph = network(*edges)
        rng.shuffle(graph.nodes)
        place = {id(n): i for i, n in enumerate(graph.order())}
        assert len(place) == len(graph.nodes)
        assert all(place[id(s[0])] < place[id(n)] for n in graph.nodes for s in n.sources if s is not None)


@pytest.mark.parametrize(
    "edges",
    [
        [("a", "b"), ("b", "c"), ("c", "b")],
        [("b", "c"), ("c", "b"), ("c", "d"), ("d", "e")],
        [("a", "d"), ("b", "c"), ("c", "b"), ("c", "d")],
    ],
)
def test_a_cycle_is_an_error_that_names_a_layer_of_it(edges: list[tuple[str, str]]) -> None:
    with pytest.raises(ModelError, match=r"net.xml: layer [bc] is part of a cycle"):
        network(*edges).order()
    with pytest.raises(ModelError, match=r"net.xml: layer [bc] is part of a cycle"):
        network(*edges).check_order()


def test_layers_before_their_producers_are_no_fault() -> None:
    graph = network(("a", "b"), ("b", "c"))
    graph.nodes.reverse()
    graph.check_order()
    assert [n.name for n in graph.nodes] == ["c", "b", "a"]


def test_a_layer_that_feeds_itself_is_a_cycle() -> None:
    with pytest.raises(ModelError, match="layer a is part of a cycle"):
        network(("a", "a")).order()


def test_long_chains_and_wide_fans_need_no_recursion() -> None:
    chain = network(*((str(i), str(i + 1)) for i in range(20_000)))
    assert names(chain) == [str(i) for i in range(20_001)]
    assert len(network(*(("x", str(i)) for i in range(20_000))).order()) == 20_001


def test_a_result_never_hides_the_layer_of_its_name() -> None:
    net = NetworkBuilder.opset()
    x = net.input("x", (1,))
    graph = net.graph()
    graph.nodes.insert(0, Node(id=9, name="x", type="Result", inputs=[Port(0)], sources=[(x, 0)]))
    found = graph.node("x")
    assert found is not None
    assert found.type == "Parameter"
    assert graph.node("y") is None
