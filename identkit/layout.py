"""The layout of parameters: named blocks of numbers, of each atom, of a group, or shared by all.

A gate names its blocks (by default the slope β1 and the offset β0 of the score), every expert adds
its η. From these follow the order of the vector, slices, shapes, names as printed, units, and the
keys of measures, boxes and columns. The vector lists the atoms one after the other, each its blocks
in order, then the groups of atoms where there are some, and then the shared blocks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from identkit.errors import InputError

Axis = Literal["", "d", "t", "r", "q"]
"""How many numbers a block has: one, without an axis; one per input; one per pair of inputs, in
some order or equal; as many as a router of one's own has; one per expert parameter."""
Role = Literal["slope", "weight", "expert", "scale", "variance"]
"""``slope`` and ``weight`` are of the score; ``scale`` and ``variance`` are positive numbers that
divide something."""
POSITIVE: tuple[Role, ...] = ("scale", "variance")

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TAKEN = ("schema", "layout")


@dataclass(frozen=True)
class Block:
    """Numbers that belong together.

    ``name`` is the key in documents, boxes and columns, ``label`` is printed. ``unit`` is a formula
    in the units of x and y, None where it is not known. A block is one of each atom, unless
    ``per_atom`` is False: then all atoms share it, or with ``per_group`` those of a group.

    >>> Block("temperature", "τ", "", "scale", "1", per_atom=False).shape
    '() or (R,)'
    """

    name: str
    label: str
    axis: Axis
    role: Role
    unit: str | None
    per_atom: bool = True
    per_group: bool = False

    @property
    def several(self) -> bool:
        """Whether there are several of it in a measure."""
        return self.per_atom or self.per_group

    @property
    def rank(self) -> int:
        """The axes of the block in one measure."""
        return self.several + (self.axis != "")

    @property
    def shape(self) -> str:
        """The shapes that it has in one measure and in R of them, for a sentence."""
        count = "k" if self.per_atom else "groups"
        axes = [*([count] if self.several else []), *([self.axis] if self.axis else [])]
        one = f"({axes[0]},)" if len(axes) == 1 else f"({', '.join(axes)})"
        many = "(R,)" if not axes else f"({', '.join(['R', *axes])})"
        return f"{one} or {many}"

    def names(self, size: int) -> tuple[str, ...]:
        """Names of its numbers as printed: the label, with an index where there are several."""
        return (self.label,) if size == 1 else tuple(f"{self.label}_{i}" for i in range(size))


SLOPE = Block("beta1", "β1", "d", "slope", "1/x")
OFFSET = Block("beta0", "β0", "", "weight", "1")
EXPERT = Block("eta", "η", "q", "expert", None)
AFFINE = (SLOPE, OFFSET)
"""The blocks of a gate that is a function of the score β1ᵀx + β0 of an atom and of nothing else."""
STANDARD = (*AFFINE, EXPERT)


@dataclass(frozen=True)
class Layout:
    """Blocks, with d = ``dim`` inputs, q = ``parameters`` numbers in η and r in a ``router``.

    ``router`` is the number of parameters of a router of one's own, 0 without one. ``groups`` are
    the sizes of the groups of atoms where blocks are of groups: atoms are listed group by group.

    Raises :class:`~identkit.errors.InputError` for names that cannot be told apart, for a layout
    without η, and for blocks of groups without sizes of these.

    >>> layout = Layout.of(AFFINE, dim=2, parameters=3)
    >>> layout.width, layout.length(4), layout.names(("a0", "a1", "b"))
    (6, 24, ('β1_0', 'β1_1', 'β0', 'a0', 'a1', 'b'))
    """

    blocks: tuple[Block, ...]
    dim: int
    parameters: int
    router: int = 0
    groups: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        names = [b.name for b in self.blocks]
        bad = [n for n in names if not _NAME.fullmatch(n) or n in _TAKEN or names.count(n) > 1]
        if bad:
            raise InputError(
                f"layout: a block cannot be called '{bad[0]}'; give each a name of its own, in "
                "small letters."
            )
        if [b for b in self.blocks if b.role == "expert" or b.axis == "q"] != [EXPERT]:
            raise InputError("layout: the expert's parameters are one block; give EXPERT once.")
        if bool(self.of_groups) != bool(self.groups):
            raise InputError(
                f"layout: {self.of_groups[0].name} is of groups of atoms; give their sizes."
                if self.of_groups
                else "layout: no block is of groups of atoms; leave their sizes out."
            )
        if any(type(size) is not int or size < 1 for size in self.groups):
            raise InputError(
                f"groups: {self._sizes} are no sizes; give whole numbers of at least 1."
            )

    @classmethod
    def of(
        cls,
        gate: Sequence[Block],
        dim: int,
        parameters: int,
        router: int = 0,
        groups: Sequence[int] = (),
    ) -> Layout:
        """The blocks of a gate, and η."""
        return cls((*gate, EXPERT), dim, parameters, router, tuple(groups))

    @property
    def _sizes(self) -> str:
        return ", ".join(map(str, self.groups))

    # -- numbers ------------------------------------------------------------------------------

    @property
    def standard(self) -> bool:
        """Whether atoms are (β1, β0, η) and nothing is shared."""
        return self.blocks == STANDARD

    @property
    def of_atoms(self) -> tuple[Block, ...]:
        """The blocks that each atom has, in the order of the vector."""
        return tuple(b for b in self.blocks if b.per_atom)

    @property
    def of_groups(self) -> tuple[Block, ...]:
        """The blocks that each group of atoms has, in the order of the vector."""
        return tuple(b for b in self.blocks if b.per_group)

    @property
    def of_all(self) -> tuple[Block, ...]:
        """The blocks that all atoms share, in the order of the vector."""
        return tuple(b for b in self.blocks if not b.several)

    @property
    def of_gate(self) -> tuple[Block, ...]:
        """The blocks that are not the expert's."""
        return tuple(b for b in self.blocks if b != EXPERT)

    @property
    def listed(self) -> tuple[Block, ...]:
        """The blocks by name: the order of documents and sentences."""
        return tuple(sorted(self.blocks, key=lambda b: b.name))

    def size(self, block: Block) -> int:
        """How many numbers a block has (of each atom, if it is of atoms)."""
        pairs = self.dim * (self.dim + 1) // 2
        sizes = {"": 1, "d": self.dim, "t": pairs, "r": self.router, "q": self.parameters}
        return sizes[block.axis]

    @property
    def width(self) -> int:
        """The numbers of one atom."""
        return sum(map(self.size, self.of_atoms))

    @property
    def group_width(self) -> int:
        """The numbers of one group."""
        return sum(map(self.size, self.of_groups))

    @property
    def shared(self) -> int:
        """The numbers that all atoms share."""
        return sum(map(self.size, self.of_all))

    @property
    def beside(self) -> int:
        """The numbers after those of the atoms: of groups, and shared."""
        return len(self.groups) * self.group_width + self.shared

    def length(self, atoms: int) -> int:
        """The length of the vector of a measure. Raises InputError for other groups."""
        self.check_atoms(atoms)
        return atoms * self.width + self.beside

    def check_atoms(self, atoms: int) -> None:
        """Raise InputError unless so many atoms are in the groups, if there are any."""
        if self.groups and atoms != sum(self.groups):
            raise InputError(
                f"groups: {self._sizes} are {sum(self.groups)} atoms, not {atoms}; give sizes that "
                "add up to the number of atoms."
            )

    def atoms(self, length: int) -> int | None:
        """The atoms of a vector of this length; None if it is that of no measure."""
        atoms, rest = divmod(length - self.beside, self.width)
        fits = atoms > 0 and not rest and (not self.groups or atoms == sum(self.groups))
        return atoms if fits else None

    def index(self, atom: int, place: int) -> int:
        """Where the vector has the number at a place among those of an atom."""
        return atom * self.width + place

    @property
    def members(self) -> tuple[slice, ...]:
        """The atoms of each group."""
        ends = [sum(self.groups[: g + 1]) for g in range(len(self.groups))]
        return tuple(slice(end - size, end) for end, size in zip(ends, self.groups, strict=True))

    def __contains__(self, name: object) -> bool:
        return any(b.name == name for b in self.blocks)

    def __getitem__(self, name: str) -> slice:
        """Where a block stands among the numbers of an atom, of a group, or of all."""
        block = next(b for b in self.blocks if b.name == name)
        along = self.of_atoms if block.per_atom else self.of_all
        along = self.of_groups if block.per_group else along
        start = sum(map(self.size, along[: along.index(block)]))
        return slice(start, start + self.size(block))

    # -- words --------------------------------------------------------------------------------

    def names(self, parameters: Sequence[str]) -> tuple[str, ...]:
        """The numbers of one atom as printed, in order; η by the expert's names."""
        return tuple(n for b in self.of_atoms for n in self._names(b, parameters))

    @property
    def shared_names(self) -> tuple[str, ...]:
        """The shared numbers as printed, in order."""
        return tuple(n for b in self.of_all for n in b.names(self.size(b)))

    def _names(self, block: Block, parameters: Sequence[str]) -> tuple[str, ...]:
        return tuple(parameters) if block.axis == "q" else block.names(self.size(block))

    def numbers(self, parameters: Sequence[str], atoms: int) -> tuple[tuple[int | None, str], ...]:
        """(atom, name as printed) of every number of the vector; None for the atom of the others.

        Those of a group have its number in their name: ``α0 of group 1``.
        """
        own = self.names(parameters)
        groups = [
            (None, f"{name} of group {g}")
            for g in range(len(self.groups))
            for b in self.of_groups
            for name in b.names(self.size(b))
        ]
        return (
            *((i, name) for i in range(atoms) for name in own),
            *groups,
            *((None, name) for name in self.shared_names),
        )

    def options(self, parameters: Sequence[str], atoms: int) -> tuple[str, ...]:
        """How the bounds of each number of the vector are asked for: by its block, in η by name."""
        own = [
            name if b.axis == "q" else b.name
            for b in self.of_atoms
            for name in self._names(b, parameters)
        ]
        groups = [b.name for b in self.of_groups for _ in range(self.size(b))]
        shared = [b.name for b in self.of_all for _ in range(self.size(b))]
        return (*own * atoms, *groups * len(self.groups), *shared)

    def columns(self, parameters: Sequence[str], atoms: int) -> list[str]:
        """Names of the columns of a vector in tables: ``beta1[0]``, ``eta.a[0]``, ``temperature``.

        The number in brackets is the atom, or the group. Of several numbers each has its index,
        ``beta1_0[0]``.
        """
        own, groups, shared = (
            [c for b in blocks for c in self._columns(b, parameters)]
            for blocks in (self.of_atoms, self.of_groups, self.of_all)
        )
        return [
            *(f"{column}[{i}]" for i in range(atoms) for column in own),
            *(f"{column}[{g}]" for g in range(len(self.groups)) for column in groups),
            *shared,
        ]

    def _columns(self, block: Block, parameters: Sequence[str]) -> list[str]:
        if block.axis == "q":
            return [f"{block.name}.{p}" for p in parameters]
        size = self.size(block)
        return [block.name] if size == 1 else [f"{block.name}_{i}" for i in range(size)]

    def units(self, inputs: Sequence[str], expert: Sequence[str | None]) -> tuple[str | None, ...]:
        """Units of the numbers of an atom, x by the names of the inputs; ``expert``: those of η."""
        found: list[str | None] = []
        for block in self.of_atoms:
            if block.axis == "q":
                found += expert
            elif block.axis == "d" and block.unit is not None:
                found += [re.sub(r"\bx\b", name, block.unit) for name in inputs]
            else:
                found += [block.unit] * self.size(block)
        return tuple(found)

    def shape(self, block: Block, atoms: int) -> tuple[int, ...]:
        """The shape of a block in one measure of so many atoms."""
        count = atoms if block.per_atom else len(self.groups)
        return (*([count] if block.several else []), *([self.size(block)] if block.axis else []))

    def positive(self, block: Block) -> tuple[bool, ...]:
        """Which numbers of a block have to be positive: all, or those x_i x_i of pairs."""
        if block.role not in POSITIVE:
            return (False,) * self.size(block)
        if block.axis != "t":
            return (True,) * self.size(block)
        return tuple(i == j for i in range(self.dim) for j in range(i, self.dim))

    @property
    def formula(self) -> str:
        """The numbers of one atom as a sum, for a sentence."""
        return " + ".join(block.axis or "1" for block in self.of_atoms)

    # -- documents ----------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """The JSON form; a standard layout needs none, it follows from shapes."""
        return {
            "blocks": [_written(b) for b in self.blocks],
            "dim": self.dim,
            "parameters": self.parameters,
            **({"router": self.router} if self.router else {}),
            **({"groups": list(self.groups)} if self.groups else {}),
        }

    @classmethod
    def from_document(cls, document: Any) -> Layout:
        """The inverse of :meth:`document`. Raises InputError for anything else."""
        needed, more = {"blocks", "dim", "parameters"}, {"router", "groups"}
        if not isinstance(document, Mapping) or not needed <= set(document) <= needed | more:
            raise InputError(
                "layout: must hold blocks, dim and parameters, router and groups where there are "
                "some, and nothing else."
            )
        for name in ("dim", "parameters", "router"):
            value = document.get(name, 0)
            if type(value) is not int or value < 0:
                raise InputError(f"layout: {name} is {value!r}, must be a number of them.")
        blocks = document["blocks"]
        if not isinstance(blocks, list):
            raise InputError("layout: blocks must be a list.")
        groups = document.get("groups", [])
        if not isinstance(groups, list):
            raise InputError("layout: groups must be a list of sizes.")
        return cls(
            tuple(map(_block, blocks)),
            document["dim"],
            document["parameters"],
            document.get("router", 0),
            tuple(groups),
        )


def _written(block: Block) -> dict[str, Any]:
    """The JSON form; ``per_group`` is left out where it is false."""
    document = asdict(block)
    if not block.per_group:
        del document["per_group"]
    return document


def _block(document: Any) -> Block:
    keys = [f.name for f in fields(Block)]
    if not isinstance(document, Mapping) or {*document, "per_group"} != set(keys):
        raise InputError(
            f"layout: a block holds {', '.join(keys[:-1])}, per_group if it is true, and nothing "
            "else."
        )
    for key, allowed in (("axis", get_args(Axis)), ("role", get_args(Role))):
        if document[key] not in allowed:
            known = ", ".join(f"'{a}'" for a in allowed)
            raise InputError(f"layout: {key} is {document[key]!r}, must be one of {known}.")
    texts = [document["name"], document["label"], document["unit"] or ""]
    of = (document["per_atom"], document.get("per_group", False))
    if not all(isinstance(t, str) for t in texts) or any(type(v) is not bool for v in of):
        raise InputError(
            "layout: name, label and unit of a block are text, per_atom and per_group are true or "
            "false."
        )
    if all(of):
        raise InputError(f"layout: {document['name']} cannot be of each atom and of each group.")
    return Block(**document)


def needs_affine(blocks: Sequence[Block], whose: str, what: str) -> None:
    """Raise InputError unless a gate's blocks are β1 and β0 of each atom.

    Whoever computes with the score β1ᵀx + β0 asks here, so that nothing is computed as if other
    blocks were not there.
    """
    if tuple(blocks) == AFFINE:
        return
    shared = [b.name for b in blocks if not b.several]
    kind = f"shared parameters ({', '.join(shared)})"
    if not shared:
        kind = f"the blocks {', '.join(b.name for b in blocks)}"
    raise InputError(
        f"{whose}: no {what} is registered for {kind}; use a gate with beta1 and beta0 alone."
    )
