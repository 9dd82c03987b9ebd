"""YAML as plain values only, and none that grows without bound when its aliases are followed."""

from __future__ import annotations

from typing import Any

import yaml

_MOST = 1_000_000  # values, each alias counted as often as it is used
_DEEPEST = 100
"""Levels that a text may nest; told before Python's own limit is met, which libraries move."""


def parse_yaml(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        ValueError: on one line: no YAML, not plain values, nested without end, or aliases that
            stand for more than a million values.
    """
    loader = yaml.SafeLoader(text)
    try:
        _check_depth(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _expanded(node, {}, set()) > _MOST:
            raise ValueError(f"its aliases stand for more than {_MOST:,} values; write fewer")
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    finally:
        loader.dispose()


def _check_depth(text: str) -> None:
    """Refuse what nests without end; the events of a text are told without recursion."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError(f"nested too deeply; expected at most {_DEEPEST} levels")


def _expanded(node: yaml.Node, known: dict[int, int], above: set[int]) -> int:
    """How many values a node stands for.

    Args:
        node: of a document's graph.
        known: results by the identity of nodes.
        above: identities of the nodes that hold this one.
    """
    if id(node) in above:
        raise ValueError("an alias refers to what holds it; expected plain values")
    if id(node) not in known:
        above.add(id(node))
        known[id(node)] = 1 + sum(_expanded(part, known, above) for part in _parts(node))
        above.discard(id(node))
    return known[id(node)]


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
