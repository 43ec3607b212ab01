"""Evidence for the kernel written by hand: determinants, proofs of one set of functions."""

from __future__ import annotations

from fractions import Fraction

import pytest

from identkit.atoms import AtomFunction
from identkit.balls import precision
from identkit.certificates.jets import Differentiator
from identkit.certificates.kernel.field import Unshown
from identkit.certificates.kernel.parts import Part
from identkit.certificates.witness import Witness, determinant
from identkit.conditions import BasisFunction, FunctionSet
from identkit.deadline import Deadline
from identkit.errors import CertificateError
from identkit.expression import parse
from identkit.results import FixedProof, MergedFunction, Options, Relation, SetProof, Term
from identkit.vocabulary import ProofKind, Quantifier, Verdict

WRONG = (CertificateError, Unshown)


def atom_of(text, parameters=("a", "b"), inputs=("x",)):
    return AtomFunction("h", parse(text), inputs, parameters)


def numbers(*values):
    return tuple(map(Fraction, values))


def witness(atom, functions, atoms, points, shared=()):
    """The determinant at these parameters and points, with what its ball says."""
    atoms, points = tuple(numbers(*t) for t in atoms), tuple(numbers(*x) for x in points)
    differentiator = Differentiator(atom, 2)
    with precision(256):
        rows = [
            [v for t in atoms for v in differentiator.values(functions, x, t)]
            + differentiator.values(shared, x, atoms[0])
            for x in points
        ]
        text = determinant(rows).str(20)
    return Witness(atoms, points, 256, text)


GENERIC = ("2", "5/4", "-3/4", "-7/4", "1/3", "-1/5", "5/2")
SETS = {
    ProofKind.BALL_DETERMINANT: (Verdict.YES, Quantifier.ALMOST_EVERY),
    ProofKind.RELATION: (Verdict.NO, Quantifier.EVERY),
    ProofKind.FINITE_DIMENSION: (Verdict.NO, Quantifier.EVERY),
    ProofKind.NONE: (Verdict.UNDECIDED, None),
}


def by(name, first=False):
    """∂h/∂p for one letter, ∂²h/∂p∂q for two."""
    return BasisFunction("h", (), (tuple(name),), first)


def terms(**coefficients):
    """Over derivatives by the names; in capitals they are first derivatives of the rule."""
    return tuple(Term(c, by(n.lower(), n.isupper())) for n, c in coefficients.items())


class Asked:
    """A question about derivatives of h, and proofs that answer it."""

    def __init__(self, text, names, parameters="ab", k=2, shared=(), **rules):
        self.atom = atom_of(text, tuple(parameters))
        self.functions = tuple(by(n.lower(), n.isupper()) for n in names)
        self.set = FunctionSet("by hand", self.functions, shared, **rules)
        self.options = Options(atoms=k)

    def named(self, names):
        return tuple(by(n.lower(), n.isupper()) for n in names)

    def witness(self, names, atoms, points):
        return witness(self.atom, self.named(names), atoms, points, self.set.shared)

    def proof(self, kind, **more):
        verdict, quantifier = SETS[kind]
        kept = more.pop("kept", self.functions if kind != ProofKind.NONE else ())
        empty = {
            **{"title": "by hand", "kind": kind, "verdict": verdict, "quantifier": quantifier},
            **{"atoms": self.options.atoms, "kept": kept, "shared": self.set.shared},
            **{"merged": (), "dropped": (), "relations": (), "witness": None, "witnessed": ()},
            **{"fixed": None, "rank": None, "every_k": False, "every_k_obstacle": None},
            "notes": (),
        }
        return SetProof(**{**empty, **more})

    def related(self, *relations, **more):
        return self.proof(ProofKind.RELATION, relations=tuple(Relation(r, "") for r in relations),
                          **more)  # fmt: skip

    def fixed(self, *combinations, dimension, atoms, **more):
        entry = FixedProof(combinations, dimension, None, "", atoms)
        return self.proof(ProofKind.FINITE_DIMENSION, fixed=entry, **{"atoms": atoms, **more})

    def check(self, proof):
        Part(self.atom, self.set, proof, self.options, "here", Deadline(60)).check()

    def refuses(self, proof, reason, error=WRONG):
        with pytest.raises(error, match=reason):
            self.check(proof)


def merged(function, into, **coefficients):
    return MergedFunction(
        by(function.lower(), function.isupper()),
        by(into.lower(), into.isupper()),
        Relation(terms(**coefficients), ""),
    )


def independent(asked, atoms=(("1", "1/2"), ("-1/2", "2")), **more):
    count = len(atoms) * len(asked.functions) + len(asked.set.shared)
    points = [(v,) for v in GENERIC[:count]]
    entry = witness(asked.atom, asked.functions, atoms, points, asked.set.shared)
    evidence = {
        "witness": entry,
        "witnessed": asked.functions,
        "rank": count,
        "every_k": True,
    }
    return asked.proof(ProofKind.BALL_DETERMINANT, **{**evidence, **more})
