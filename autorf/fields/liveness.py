"""Which operators of a captured graph lead to its output, in-place changes of shared memory included."""

from __future__ import annotations

from typing import Any

from torch import fx
from torch._ops import OpOverload


def storage_roots(graph: fx.Graph) -> dict[fx.Node, fx.Node]:
    """For every node the node whose memory it shares, itself where it has its own."""
    roots: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        source = node.all_input_nodes[0] if node.all_input_nodes and _shares_memory(node.target) else node
        roots[node] = roots.get(source, node)
    return roots


def live_nodes(graph: fx.Graph, roots: dict[fx.Node, fx.Node]) -> set[fx.Node]:
    """The nodes that the graph's output depends on."""
    live: set[fx.Node] = set()
    live_roots: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        writes = changes_in_place(node.target) and roots[node] in live_roots
        if node.op == "output" or node in live or writes:
            live.update([node, *node.all_input_nodes])
            live_roots.update(roots[used] for used in [node, *node.all_input_nodes])
    return live


def changes_in_place(target: Any) -> bool:
    """Whether an operator writes into its first argument."""
    return isinstance(target, OpOverload) and target._schema.is_mutable


def _shares_memory(target: Any) -> bool:
    if not isinstance(target, OpOverload):
        return getattr(target, "__name__", "") == "getitem"
    returns = target._schema.returns
    return bool(returns) and returns[0].alias_info is not None
