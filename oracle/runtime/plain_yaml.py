"""Parsing YAML into plain values, with limits on nesting and on the expansion of aliases."""

from __future__ import annotations

from typing import Any

import yaml

_MOST = 1_000_000  # values, where aliases count as often as they are used
_DEEPEST = 100
"""Largest number of nested levels, far below Python's own limit, which libraries change."""


def parse_yaml(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        ValueError: with a message of one line: not YAML, not plain values, nested too deeply, or
            aliases that stand for more than a million values.
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
    """Refuse text that is nested too deeply; its events are parsed without recursion."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError(f"nested too deeply; expected at most {_DEEPEST} levels")


def _expanded(node: yaml.Node, counts: dict[int, int], above: set[int]) -> int:
    """How many values a node stands for.

    Args:
        node: of a document's graph.
        counts: results for nodes already visited, by identity.
        above: identities of the nodes that contain this one.
    """
    if id(node) in above:
        raise ValueError("an alias refers to a value that contains it; expected plain values")
    if id(node) not in counts:
        above.add(id(node))
        counts[id(node)] = 1 + sum(_expanded(part, counts, above) for part in _parts(node))
        above.discard(id(node))
    return counts[id(node)]


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
