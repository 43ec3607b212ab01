"""Facial reduction on spaces of moments written down by hand, so that every step is known."""

from __future__ import annotations

from itertools import combinations_with_replacement
from types import SimpleNamespace

import pytest

from identkit.degeneracy.cone import Direction, Face, coordinate_directions, face_of
from identkit.degeneracy.nullspace import value
from identkit.normal_form import Field

FIELD = Field(("x",), ("a",), [])
NAMES = ("u", "v", "w")


class Space:
    """First moments and second moments of three coordinates."""

    coordinates = NAMES
    null = False

    def __init__(self):
        pairs = [*((n,) for n in NAMES), *combinations_with_replacement(NAMES, 2)]
        self.moments = [SimpleNamespace(pair=p) for p in pairs]

    def index(self, *pair):
        return next(i for i, m in enumerate(self.moments) if m.pair == tuple(sorted(pair)))


SPACE = Space()


def moments(**entries):
    """A vector of moments, ``uv=2`` for M[u,v] = 2 and ``u=1`` for m[u]."""
    return {SPACE.index(*name): FIELD.constant(n) for name, n in entries.items()}


def face(*vectors):
    return Face(SPACE, FIELD, lambda e: not e.is_zero, [*vectors])


def direction(**entries):
    return Direction("y", tuple((n, FIELD.constant(c)) for n, c in entries.items()), "form")


def number(functional, vector):
    return int(FIELD.to_sympy(value(functional, vector, FIELD)))


def written(vectors):
    """Vectors as they are given to ``moments``, without zeros."""
    return [
        {
            "".join(SPACE.moments[i].pair): int(FIELD.to_sympy(c))
            for i, c in v.items()
            if not c.is_zero
        }
        for v in vectors
    ]


def coordinates():
    return coordinate_directions(SPACE, FIELD)


def test_coordinate_directions():
    found = coordinates()
    assert [d.label for d in found] == [*NAMES]
    assert [d.entries for d in found] == [((n, FIELD.one),) for n in NAMES]
    assert {d.reason for d in found} == {"coordinate"}


def test_quadratic_and_bilinear_forms():
    m = moments(uu=2, uv=3, vv=5, uw=7, vw=11, ww=13, u=100)
    y, z = direction(u=1, v=-2), direction(v=4, w=1)
    assert number(face().quadratic(y), m) == 2 - 2 * 2 * 3 + 4 * 5
    assert number(face().bilinear(y, z), m) == 4 * 3 + 7 - 2 * 4 * 5 - 2 * 11
    assert number(face().bilinear(z, y), m) == number(face().bilinear(y, z), m)


def test_the_rows_of_m_times_y():
    m = moments(uu=2, uv=3, vv=5, uw=7, vw=11, ww=13)
    rows = face().rows(direction(u=1, w=-1))
    assert [number(row, m) for row in rows] == [2 - 7, 3 - 11, 7 - 13]


@pytest.mark.parametrize(
    ("left", "y", "seen"),
    [
        ([moments(vv=1)], direction(u=1), True),
        ([moments(uu=1)], direction(u=1), False),
        ([moments(vv=1), moments(uu=1)], direction(u=1), False),  # one that shows is not enough
        ([moments(uu=1, uv=-1, vv=1)], direction(u=1, v=1), True),
        ([moments(uu=1, uv=-1, vv=1)], direction(u=1, v=-1), False),
        ([moments(u=1)], direction(u=1), True),  # first moments are no part of M
        ([], direction(u=1), True),
    ],
)
def test_what_shows_directly(left, y, seen):
    assert face(*left).shows_directly(y) is seen


def test_a_direction_without_square_has_no_row_either():
    """M_uu = 0 and M ⪰ 0: then M_uv = 0, and M_vv with it, as v is bound to uv."""
    f = face(moments(uv=1, vv=1), moments(ww=1))
    f.annihilate(direction(u=1))
    assert written(f.vectors) == [{"ww": 1}]
    assert [d.label for d in f.visible] == ["y"]


def test_restriction_combines_vectors():
    f = face(moments(uu=1, vv=1), moments(uu=1, ww=1))
    f.restrict_to([moments(uu=1)])
    (left,) = f.vectors
    assert number(moments(uu=1), left) == 0
    assert number(moments(vv=1), left) == -number(moments(ww=1), left) != 0


def test_reduction_goes_on_until_nothing_changes():
    """Only w shows at first; without M_uw then v does, without M_uv then u does."""
    f = face(moments(vv=1, uw=1), moments(uu=1, uv=1))
    f.reduce([direction_of("u"), direction_of("v"), direction_of("w")])
    assert [d.label for d in f.visible] == ["w", "v", "u"]
    assert f.vectors == []


def direction_of(name):
    return Direction(name, ((name, FIELD.one),), "coordinate")


def test_reduction_stops_where_moments_stay_invisible():
    f = face(moments(uu=1), moments(vv=1, uv=1), moments(w=1))
    given = coordinates()
    f.reduce(given)
    assert [d.label for d in f.visible] == ["w"]
    assert len(given) == 3  # the caller's list is not used up
    assert len(f.vectors) == 3


def test_first_moments_alone():
    """m_u − m_v is invisible without any second moment; m_u + M_uu and m_v + M_uu are not."""
    f = face(moments(u=1, uu=1), moments(v=1, uu=1), moments(vv=1))
    (found,) = f.first_order()
    assert number(moments(u=1), found) == -number(moments(v=1), found) != 0
    assert not any(number(moments(**{p: 1}), found) for p in ("uu", "vv", "uv"))
    assert len(f.vectors) == 3  # the face itself is left as it is
    assert f.first_order() != []
    assert face(moments(uu=1)).first_order() == []
    assert written(face(moments(w=1)).first_order()) == [{"w": 1}]


def test_the_face_of_a_null_space_does_not_share_its_list():
    family = SimpleNamespace(field=FIELD, is_nonzero=lambda e: not e.is_zero)
    null = SimpleNamespace(family=family, space=SPACE, vectors=[moments(vv=1, uv=1)])
    f = face_of(null)
    assert (f.space, f.field, f.vectors) == (SPACE, FIELD, null.vectors)
    f.reduce(coordinates())
    assert len(null.vectors) == 1
    assert f.visible[0].label == "u"
