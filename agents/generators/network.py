"""A recurrent network that answers the questions of the grammar, word by word.

Elements, space groups and Wyckoff positions are known to it by their properties as well as by name,
so that it has an opinion about those that no example showed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from agents.generators.grammar import MOST_ATOMS, WORDS, Dialogue, Kind, Question
from agents.spaces.site_description import SiteDescription
from agents.spaces.wyckoff_sites import centring, crystal_system, positions

_WIDTH = 160
_LAYERS = 2
_LEARNED = 16  # numbers that are learned about each Wyckoff position beside its properties
_DROPOUT = 0.1
_NEVER = -1e9
_TABLES = ("element", "group", "position")
_FIELDS = 7  # kind, element, left, group, position, axis, word
_BLURRED: dict[Kind, float] = {Kind.RATIO: 0.5, Kind.ANGLE: 0.3, Kind.COORDINATE: 0.1}
"""Share of an answer that goes to its two neighbours in training: what is near is alike."""
_MOST = max(WORDS.values())


class WyckoffNetwork(nn.Module):
    """Probabilities of answers, given all questions and answers before.

    Its weights begin at random; `loaded` gives trained ones.

    Args:
        tables: of `property_tables`.
    """

    element_table: Tensor
    group_table: Tensor
    position_table: Tensor

    def __init__(self, tables: tuple[Tensor, Tensor, Tensor]) -> None:
        super().__init__()
        elements, groups, sites = tables
        self.register_buffer("element_table", elements)
        self.register_buffer("group_table", groups)
        self.register_buffer("position_table", sites)
        self.kinds = nn.Embedding(len(Kind), _WIDTH)
        self.axes = nn.Embedding(6, _WIDTH)
        self.element_names = nn.Embedding(WORDS[Kind.ELEMENT], _WIDTH)
        self.elements = nn.Linear(elements.shape[1], _WIDTH)
        self.counts = nn.Embedding(WORDS[Kind.COUNT], _WIDTH)
        self.group_names = nn.Embedding(WORDS[Kind.GROUP], _WIDTH)
        self.groups = nn.Linear(groups.shape[1], _WIDTH)
        self.position_names = nn.Embedding(WORDS[Kind.GROUP] * WORDS[Kind.POSITION], _LEARNED)
        self.sites = nn.Linear(sites.shape[2] + _LEARNED, _WIDTH)
        self.ratios = nn.Embedding(WORDS[Kind.RATIO], _WIDTH)
        self.angles = nn.Embedding(WORDS[Kind.ANGLE], _WIDTH)
        self.coordinates = nn.Embedding(WORDS[Kind.COORDINATE], _WIDTH)
        self.dropout = nn.Dropout(_DROPOUT)
        self.memory = nn.GRU(2 * _WIDTH, _WIDTH, _LAYERS, batch_first=True)
        self.heads = nn.ModuleList(nn.Linear(_WIDTH, _WIDTH) for _ in Kind)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(n)) for n in WORDS.values())
        for table in (self.element_names, self.group_names, self.position_names):
            nn.init.normal_(table.weight, std=0.02)

    def _table(self, kind: Kind) -> Tensor:
        """Vectors (words, width) of all answers to a kind of question but positions."""
        if kind is Kind.ELEMENT:
            return self.element_names.weight + self.elements(self.element_table)
        if kind is Kind.GROUP:
            return self.group_names.weight + self.groups(self.group_table)
        tables = {Kind.COUNT: self.counts, Kind.RATIO: self.ratios, Kind.ANGLE: self.angles}
        return tables.get(kind, self.coordinates).weight

    def _position_vectors(self) -> Tensor:
        """Vectors (groups, positions, width)."""
        names = self.position_names.weight.reshape(*self.position_table.shape[:2], _LEARNED)
        return self.sites(torch.cat([self.position_table, names], dim=-1))

    def _inputs(self, sentences: Tensor, tables: dict[Kind, Tensor]) -> Tensor:
        """Vectors (batch, steps, 2 width) of the answers before, and of the questions."""
        kind, element, left, group, position, axis, word = sentences.unbind(-1)
        known = (element > 0).unsqueeze(-1)
        question = self.kinds(kind) + self.counts(left) + tables[Kind.ELEMENT][element] * known
        question = question + tables[Kind.GROUP][group] * (group > 0).unsqueeze(-1)
        of_a_site = (kind == Kind.COORDINATE).unsqueeze(-1)
        question = question + tables[Kind.POSITION][group, position] * of_a_site
        question = question + self.axes(axis) * (kind >= Kind.RATIO).unsqueeze(-1)
        answer = torch.zeros_like(question)
        for each in Kind:
            # Kind by kind, since tables differ in length.
            asked = kind == each
            if asked.any():
                table = tables[each]
                rows = (
                    table[group[asked], word[asked]]
                    if each is Kind.POSITION
                    else table[word[asked]]
                )
                answer = answer.masked_scatter(asked.unsqueeze(-1), rows)
        before = torch.cat([torch.zeros_like(answer[:, :1]), answer[:, :-1]], dim=1)
        return self.dropout(torch.cat([before, question], dim=-1))

    def tables(self) -> dict[Kind, Tensor]:
        """Vectors of the answers by kind of question: (words, width), positions by group."""
        return {
            kind: self._position_vectors() if kind is Kind.POSITION else self._table(kind)
            for kind in Kind
        }

    def logits(
        self, memory: Tensor, kind: Kind, group: Tensor, tables: dict[Kind, Tensor]
    ) -> Tensor:
        """Logarithms of relative probabilities (n, words) of the answers to one kind of question.

        Args:
            memory: (n, width).
            kind: of the questions.
            group: (n,) numbers of the space groups, or zeros.
            tables: of `tables`.
        """
        wanted = self.heads[kind](memory)
        table = tables[kind]
        if kind is Kind.POSITION:
            scores = torch.einsum("nw,npw->np", wanted, table[group])
            exists = self.position_table[group][..., 0] > 0
            return (scores + self.biases[kind]).masked_fill(~exists, _NEVER)
        return wanted @ table.T + self.biases[kind]

    def log_likelihood(self, sentences: Tensor, *, blurred: bool = False) -> Tensor:
        """Logarithm of the probability (batch,) of sentences.

        Args:
            sentences: (batch, steps, fields) as `encoded` gives them.
            blurred: whether neighbouring numbers count as nearly right.
        """
        tables = self.tables()
        memory, _ = self.memory(self._inputs(sentences.clamp(min=0), tables))
        total = tables[Kind.COUNT].new_zeros(len(sentences))
        for kind in Kind:
            rows, steps = torch.nonzero(sentences[..., 0] == kind, as_tuple=True)
            if not len(rows):
                continue
            asked = sentences[rows, steps]
            scores = self.logits(memory[rows, steps], kind, asked[:, 3], tables)
            chances = torch.log_softmax(scores, dim=-1)
            found = chances.gather(1, asked[:, 6:7]).squeeze(1)
            if blurred and kind in _BLURRED:
                share = _BLURRED[kind]
                found = (1 - share) * found + share / 2 * _beside(chances, asked[:, 6], kind)
            total = total.index_add(0, rows, found)
        return total

    @torch.no_grad()
    def step(
        self, asked: Tensor, state: Tensor | None, tables: dict[Kind, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Memory (batch, width) after one more question, and the state to go on from.

        Args:
            asked: (batch, 2, fields), the last question with its answer, and the next one.
            state: of the step before; None at the beginning.
            tables: of `tables`.
        """
        given = self._inputs(asked, tables)[:, 1:]
        if state is None:
            given[..., :_WIDTH] = 0.0  # nothing was answered before
        memory, after = self.memory(given, state)
        return memory[:, 0], after


def _beside(chances: Tensor, words: Tensor, kind: Kind) -> Tensor:
    """Sum of the log probabilities of both neighbours of words; coordinates are periodic."""
    number = chances.shape[1]
    total = chances.new_zeros(len(words))
    for shift in (-1, 1):
        moved = words + shift
        moved = moved % number if kind is Kind.COORDINATE else moved.clamp(0, number - 1)
        total = total + chances.gather(1, moved.unsqueeze(1)).squeeze(1)
    return total


def encoded(sentences: Sequence[tuple[Sequence[Question], Sequence[int]]]) -> Tensor:
    """Questions and answers as integers (batch, steps, fields); -1 after the end."""
    longest = max((len(words) for _, words in sentences), default=0)
    table = np.full((len(sentences), longest, _FIELDS), -1, dtype=np.int64)
    for row, (questions, words) in enumerate(sentences):
        for step, (question, word) in enumerate(zip(questions, words, strict=True)):
            table[row, step] = (*_fields(question), word)
    return torch.from_numpy(table)


def _fields(question: Question) -> tuple[int, ...]:
    return (
        question.kind,
        question.element,
        min(question.left, MOST_ATOMS),
        question.group,
        question.position,
        question.axis,
    )


def completed(
    network: WyckoffNetwork,
    dialogues: Sequence[Dialogue],
    rng: np.random.Generator,
    *,
    temperature: float = 1.0,
) -> list[SiteDescription | None]:
    """What a network answers, all dialogues at a time.

    Answers are drawn from its probabilities among those that a question admits: the largest sum of
    a logarithm of a probability and a number of Gumbel's distribution wins.

    Args:
        network: in evaluation mode.
        dialogues: not begun.
        rng: source of all randomness.
        temperature: below 1, the likely becomes likelier.

    Returns:
        Crystals in the order of the dialogues, None where one came to nothing.
    """
    found: list[SiteDescription | None] = [None] * len(dialogues)
    tables = network.tables()
    active = list(range(len(dialogues)))
    questions = {k: next(dialogues[k]) for k in active}
    last = torch.zeros(len(active), _FIELDS, dtype=torch.int64)
    state: Tensor | None = None
    while active:
        asked = torch.tensor([(*_fields(questions[k]), 0) for k in active])
        memory, state = network.step(torch.stack([last, asked], dim=1), state, tables)
        words = _answered(network, memory, [questions[k] for k in active], rng, temperature, tables)
        kept = []
        for row, k in enumerate(active):
            if words[row] < 0:
                continue  # nothing is admitted
            try:
                questions[k] = dialogues[k].send(words[row])
                kept.append(row)
            except StopIteration as end:
                found[k] = end.value
        asked[:, -1] = torch.tensor(words)
        active = [active[row] for row in kept]
        last, state = asked[kept], state[:, kept]
    return found


def _answered(
    network: WyckoffNetwork,
    memory: Tensor,
    questions: Sequence[Question],
    rng: np.random.Generator,
    temperature: float,
    tables: dict[Kind, Tensor],
) -> list[int]:
    """One answer to each question; -1 where none is possible."""
    noise = rng.gumbel(size=(len(questions), _MOST))
    words = [-1] * len(questions)
    for kind in {question.kind for question in questions}:
        rows = [row for row, question in enumerate(questions) if question.kind == kind]
        groups = torch.tensor([questions[row].group for row in rows])
        with torch.no_grad():
            scores = torch.log_softmax(network.logits(memory[rows], kind, groups, tables), dim=-1)
        noisy = scores.numpy() / temperature + noise[rows, : scores.shape[1]]
        for row, order in zip(rows, np.argsort(-noisy, axis=1), strict=True):
            words[row] = next((int(w) for w in order if questions[row].admits(int(w))), -1)
    return words


def saved(network: WyckoffNetwork, path: Path) -> None:
    """Write the weights in half precision."""
    save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, path)


def loaded(path: Path) -> WyckoffNetwork:
    """A network with the weights of a file, in evaluation mode."""
    weights = {name: values.float() for name, values in load_file(path).items()}
    element, group, position = (
        weights[f"{name}_table"] for name in ("element", "group", "position")
    )
    network = WyckoffNetwork((element, group, position)).float()
    network.load_state_dict(weights)
    return network.eval()


def property_tables() -> tuple[Tensor, Tensor, Tensor]:
    """Properties of elements, space groups and Wyckoff positions, which takes some seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pymatgen, about heavy elements
        return _element_table(), _group_table(), _position_table()


def _element_table() -> Tensor:
    """Properties of the elements by atomic number, about 0 and 1; the first row means the end."""
    from pymatgen.core.periodic_table import Element

    from agents.chemistry.chemistry import electronegativity, oxidation_states

    table = np.zeros((WORDS[Kind.ELEMENT], 30))
    for z in range(1, len(table)):
        element = Element.from_Z(z)
        radius = float(element.atomic_radius or element.atomic_radius_calculated or 1.6)
        block = ["s", "p", "d", "f"].index(element.block)
        charges = [0.0] * 13
        for charge in oxidation_states(element.symbol, "any"):
            charges[charge + 4] = 1.0
        table[z, :9] = (
            1.0,
            element.group / 18,
            element.row / 7,
            np.nan_to_num(electronegativity(element.symbol), nan=1.5) / 4,
            radius / 2.5,
            element.mendeleev_no / 103,
            float(element.is_metal),
            float(element.is_metalloid),
            z / 100,
        )
        table[z, 9 + block] = 1.0
        table[z, 13:26] = charges
        table[z, 26:30] = [element.group == g for g in (1, 2, 16, 17)]
    return torch.tensor(table, dtype=torch.float32)


def _group_table() -> Tensor:
    """Properties of the space groups by number: system, centring, order of the point group."""
    table = np.zeros((WORDS[Kind.GROUP], 12))
    for group in range(1, len(table)):
        order = positions(group)[0].multiplicity / centring(group)
        table[group, crystal_system(group)] = 1.0
        table[group, 6 + (1, 2, 3, 4).index(centring(group))] = 1.0
        table[group, 10:] = np.log(order) / 4, np.log2(len(positions(group))) / 5
    return torch.tensor(table, dtype=torch.float32)


def _position_table() -> Tensor:
    """Properties of Wyckoff positions (groups, positions, properties), the first 1 if it exists."""
    table = np.zeros((WORDS[Kind.GROUP], WORDS[Kind.POSITION], 14))
    for group in range(1, len(table)):
        whole = positions(group)[0].multiplicity
        for index, position in enumerate(positions(group)):
            multiplicity = position.multiplicity // centring(group)
            table[group, index, 0] = 1.0
            table[group, index, 1 + position.freedom] = 1.0
            table[group, index, 5] = np.log(multiplicity) / 4
            table[group, index, 6] = np.log(whole / position.multiplicity) / 4
            table[group, index, 7] = float(index == 0)
            for bit in range(6):
                table[group, index, 8 + bit] = float(multiplicity == 2**bit)
    return torch.tensor(table, dtype=torch.float32)
