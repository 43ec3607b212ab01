"""Forged certificates: every kind of edit of honest ones, with the digest computed anew.

A forgery may be accepted only if what it then says is what a check of the question it names finds,
or less: a question left open for want of time claims nothing. :func:`doubt` decides that by
running the check, so it does not rely on how the verifier compares.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from checked import check

from identkit import Expert, order
from identkit.certificates.store import certificate_document, digest
from identkit.cli import main
from identkit.conditions import CONDITIONS
from identkit.errors import InputError
from identkit.experts import builtin
from identkit.gates import resolve as resolve_gate
from identkit.likelihoods import from_document
from identkit.orders.answer import Orders
from identkit.questions import REQUIREMENTS, plan_of

BASES: dict[str, tuple[str | Expert, str, dict[str, Any]]] = {
    # every kind of proof, premise, second order, coordinates and gate
    "gelu": ("gelu", "sigmoid", {}),
    "softplus": ("softplus", "sigmoid", {"regime": 2}),
    "tanh": ("tanh", "softmax", {}),
    "relu": ("relu", "sigmoid", {}),
    "relu, product": ("relu", "sigmoid", {"condition": "strong", "level": "product"}),
    "relu ffn": ("relu", "sigmoid", {"shape": "ffn"}),
    "linear": ("linear", "softmax", {"atoms": 2}),
    "linear, dense": ("linear", "sigmoid", {"regime": 2}),
    "poly2, shared": ("poly2", "sigmoid", {"condition": "shared-strong"}),
    "tanh, shared": ("tanh", "sigmoid", {"condition": "shared-strong"}),
    "input-free": ("input-free", "sigmoid", {}),
    "coordinates": ("tanh((p + q)*x + p - q)", "softmax", {}),
    "functions": ("a*sin(x) + b*cos(x)", "sigmoid", {}),
    "up to k": ("tanh(tanh(a*x + b))", "sigmoid", {"condition": "weak"}),
    "nothing": ("gelu", "sigmoid", {"max_precision": 64, "atoms": 8, "condition": "strong"}),
    "own gate": ("gelu", "(1 + tanh(s))/2", {}),
    "own normalised gate": ("silu", "normalised exp(s) + 1", {}),
    "too many kinks": (
        "tanh(a*x) + abs(x) + abs(x - 1) + abs(x - 2) + abs(x + 1) + abs(x + 2) + b*x",
        "sigmoid",
        {"condition": "weak"},
    ),
    "dense, strong": ("sigmoid", "sigmoid", {"regime": 2, "require": "strong"}),
    "erf": ("erf(a*x + b)", "softmax", {}),
    "scaled": ("c*sin(a*x)", "sigmoid", {"regime": 1}),
    "two outputs": ("tanh(a*x + b); a*x", "softmax", {"atoms": 2}),
    "a linear output": ("relu(a*x + b); c*x", "sigmoid", {"regime": 1}),
    "dense, two outputs": ("a*x + b; (a*x + b)**2", "sigmoid", {"regime": 2, "atoms": 2}),
    # orders by every kind of bound
    "linear, density": ("linear", "softmax", {"likelihood": "gaussian", "atoms": 2}),
    "a bias": ("tanh(a*x) + c", "softmax", {"likelihood": "gaussian", "atoms": 2}),
    "rank 2": ("a*sin(x) + b*cos(x)", "softmax", {"likelihood": "gaussian", "atoms": 2}),
}
ORDERS = ("linear, density", "a bias", "rank 2", "erf")
"""Those whose rate rests on orders."""
LIGHT = (
    *("tanh", "relu", "linear", "linear, dense", "input-free", "own gate", "functions"),
    *("two outputs", "a linear output", "dense, two outputs"),
)
"""Those that are verified in a fraction of a second."""

CODES = ("second-order-open", "weak-not-asked", "weak-open", "premise-open", "no-expansion")
WORDS = (
    *("yes", "no", "undecided", "every", "almost-every", "open-set", "up-to", "from", "none"),
    *("ball-determinant", "relation", "finite-dimension", "confirmed", "contradicted", "unclaimed"),
    *("open", "premise-fails", "expert", "product", "strong", "weak", "shared-strong", "holds"),
    *("fails", "independent", "dependent", "sigmoid", "softmax", "refits", *CODES),
    *("n^-1/2", "n^-1/4", "1/log n", "slower than n^-1/4", "premise-open", "weak-open"),
)
BALLS = (
    *("nan", "[-1 +/- 1e+10]", "[+/- inf]", "[+/- 1e-30]", "0", "inf", "", "1e-99999999999999"),
    *("[1 +/- 0.999999]", "1", "[1.0 +/- nan]", "x", "[" * 50, "1e999999999999999999999"),
)


@cache
def base(name: str) -> dict[str, Any]:
    """The honest certificate of this name, as a file would hold it."""
    expert, gate, options = BASES[name]
    if isinstance(expert, str) and any(c in expert for c in "(+*"):
        expert = Expert.from_expression(expert)
    result = check(expert, gate, dim=1, **options)
    return json.loads(json.dumps(certificate_document(result)))


@dataclass(frozen=True)
class Forgery:
    """An altered certificate: of which, how, and what the file holds."""

    of: str
    how: str
    document: Any

    def __str__(self) -> str:
        return f"{self.of}: {self.how}"


# -- edits --------------------------------------------------------------------------------------


def nodes(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The paths of everything inside."""
    if path:
        yield path
    if isinstance(value, list):
        value = dict(enumerate(value))
    for key, entry in value.items() if isinstance(value, dict) else ():
        yield from nodes(entry, (*path, key))


def at(value: Any, path: tuple) -> Any:
    for key in path:
        value = value[key]
    return value


def put(document: Any, path: tuple, value: Any) -> None:
    at(document, path[:-1])[path[-1]] = value


def leaves(document: Any) -> list[tuple]:
    """Paths of values without inner ones, the digest aside."""
    empty = (None, [], {})
    return [
        p
        for p in nodes(document)
        if not isinstance(at(document, p), dict | list) or at(document, p) in empty
        if p != ("digest",)
    ]


def another(value: Any, key: Any, rng: random.Random) -> Any:
    """A value in place of this one: of its type and plausible more often than not."""
    odd = [None, True, False, 0, -1, 3, 10**400, "", "x", [], {}, ["h"], "\x1b[2J", "é" * 30_000]
    if rng.random() < 0.1:
        return rng.choice(odd)
    if key == "determinant":
        return rng.choice(BALLS)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice([value + 1, value - 1, 2 * value, 0, -value, 65_536, 64, 128, 256])
    if isinstance(value, str):
        near = [value + "0", value[:-1], value.replace("a", "b"), f"{value} ", f"-{value}"]
        return rng.choice([*near, *rng.choices(WORDS, k=8), "1/3", "7", "2*a", "0"])
    return rng.choice([*WORDS, None, 0, 1, 2, "h", []])


def _leaf(document: Any, rng: random.Random) -> str:
    path = rng.choice(leaves(document))
    value = another(at(document, path), path[-1], rng)
    put(document, path, value)
    return f"{path} = {value!r:.60}"


def _pair(document: Any, rng: random.Random) -> str:
    """Two leaves of one object, or of the same name."""
    paths = leaves(document)
    first = rng.choice(paths)
    kin = [p for p in paths if p != first and (p[:-1] == first[:-1] or p[-1] == first[-1])]
    said = []
    for path in (first, *(rng.sample(kin, 1) if kin else ())):
        value = another(at(document, path), path[-1], rng)
        put(document, path, value)
        said.append(f"{path} = {value!r:.60}")
    return "; ".join(said)


def _remove(document: Any, rng: random.Random) -> str:
    path = rng.choice([p for p in nodes(document) if p != ("digest",)])
    del at(document, path[:-1])[path[-1]]
    return f"without {path}"


def _empty(document: Any, rng: random.Random) -> str:
    """A list of statements emptied or shortened, wherever it is repeated."""
    lists = [p for p in nodes(document) if isinstance(at(document, p), list) and at(document, p)]
    name = rng.choice(lists)[-1]
    keep = rng.choice([slice(0, 0), slice(1, None), slice(0, -1)])
    for path in (p for p in lists if p[-1] == name):
        with contextlib.suppress(KeyError, IndexError, TypeError):
            put(document, path, at(document, path)[keep])
    return f"every {name} cut to {keep}"


def _add(document: Any, rng: random.Random) -> str:
    places = [p for p in nodes(document) if isinstance(at(document, p), dict | list)]
    path = rng.choice(places)
    target = at(document, path)
    if isinstance(target, dict):
        target[rng.choice(["notes", "every_k_obstacle", "seconds", "requirement", "x"])] = "true"
    else:
        target.insert(rng.randrange(len(target) + 1), rng.choice([*target, "h", None, {}]))
    return f"more in {path}"


def _swap(document: Any, rng: random.Random, others: tuple[str, ...]) -> str:
    """The same field of another certificate, or two entries of a list exchanged."""
    other = rng.choice(others)
    paths = [p for p in nodes(document) if p != ("digest",) and len(p) <= 5]
    path = rng.choice(paths)
    with contextlib.suppress(LookupError, TypeError):
        put(document, path, copy.deepcopy(at(base(other), path)))
        return f"{path} of {other}"
    return _leaf(document, rng)


def _permute(document: Any, rng: random.Random) -> str:
    lists = [
        p for p in nodes(document) if isinstance(at(document, p), list) and len(at(document, p)) > 1
    ]
    if not lists:
        return _leaf(document, rng)
    path = rng.choice(lists)
    target = at(document, path)
    i, j = rng.sample(range(len(target)), 2)
    target[i], target[j] = target[j], target[i]
    return f"entries {i}, {j} of {path} exchanged"


# -- edits that know what a certificate means ---------------------------------------------------


def _any_result(document: Any, rng: random.Random) -> dict[str, Any]:
    return rng.choice(document["results"])


def _open_premise(document: Any, rng: random.Random) -> str:
    """The premise without its refits, the rate of the theorem beside it."""
    entry = _any_result(document, rng)
    entry.update(refits=[], premise=rng.choice(["undecided", "holds", None]))
    derived = rng.choice(["n^-1/2", "undecided", "n^-1/4"])
    entry["rate"] = {"derived": derived, "cause": rng.choice([None, *CODES])}
    return "premise without refits"


def _open_honestly(document: Any, rng: random.Random) -> str:
    """Something left open that was not, as an honest file would have it: nothing is claimed."""
    for entry in document["results"]:
        second = entry["certificate"]["second_order"]
        if entry["refits"]:
            entry.update(refits=[], premise="undecided")
            if entry["condition"] == "weak" and entry["verdict"] == "yes":
                entry["rate"] = {"derived": "undecided", "cause": "premise-open"}
        if rng.random() < 0.5:
            entry["exceptional"] = []
        if second is not None and entry["rate"] is not None and rng.random() < 0.7:
            lists = ("families", "invisible", "visible", "independent")
            second.update(verdict="undecided", quantifier=None, across_atoms="open")
            second.update(dual=None, determinant=None, witness=None, **{key: [] for key in lists})
            entry["nondegenerate"] = "undecided"
            entry["rate"] = {"derived": "undecided", "cause": "second-order-open"}
    return "left open"


def _second(document: Any, rng: random.Random) -> str:
    """Evidence of second order, taken away or claimed."""
    found = [s for r in document["results"] if (s := r["certificate"]["second_order"])]
    if not found:
        return _leaf(document, rng)
    second, what = rng.choice(found), rng.randrange(7)
    if what == 0:
        second["across_atoms"] = rng.choice(["independent", "open"])
    elif what == 1 and second["visible"]:
        second["visible"].pop(rng.randrange(len(second["visible"])))
    elif what == 2 and second["invisible"]:
        second["invisible"].pop(rng.randrange(len(second["invisible"])))
    elif what == 3 and second["families"]:
        family = rng.choice(second["families"])
        key = rng.choice(["r1", "r2", "parameter"])
        family[key] = rng.choice(["1", "0", "exp(s)", "s", "a", "x", "1 + s", "t"])
    elif what == 4:
        second["quantifier"] = rng.choice(["every", "almost-every", "open-set"])
    elif what == 5:
        second["visible"].append([[rng.choice(["a", "b", "β1"]), rng.choice(["1", "a", "-b"])]])
    else:
        second["invisible"].append([["m0", "1"]])
    return f"second order {what}"


def _rate(document: Any, rng: random.Random) -> str:
    entry = _any_result(document, rng)
    derived = rng.choice(["n^-1/2", "n^-1/4", "undecided", "no consistent estimator"])
    entry["rate"] = {"derived": derived, "cause": rng.choice([None, None, *CODES])}
    return f"rate {derived}"


def _regime(document: Any, rng: random.Random) -> str:
    entry = _any_result(document, rng)
    entry["regime"] = rng.choice([None, 1, 2, 3])
    if rng.random() < 0.7:
        entry.update(rate=None, premise=None, refits=None, nondegenerate=None)
        entry["certificate"]["second_order"] = None
    return f"regime {entry['regime']}"


def _every_k(document: Any, rng: random.Random) -> str:
    entry = _any_result(document, rng)
    part = rng.choice(entry["certificate"]["parts"])
    part["every_k"] = not part["every_k"]
    entry["atoms_scope"] = rng.choice(["every", "up-to"])
    return f"every_k {part['every_k']}"


def _nothing(document: Any, rng: random.Random) -> str:
    """A proof replaced by none, consistently."""
    entry = _any_result(document, rng)
    for part in entry["certificate"]["parts"]:
        part.update(kind="none", verdict="undecided", relations=[], witness=None, fixed=None)
        part.update(rank=None, quantifier=None, every_k=False, kept=[], merged=[], dropped=[])
        part["atoms"] = document["options"]["atoms"]
    entry.update(verdict="undecided", quantifier=None, atoms_scope="none")
    entry["atoms"] = document["options"]["atoms"]
    if entry["rate"] is not None and entry["certificate"]["second_order"] is None:
        entry["rate"] = {"derived": "undecided", "cause": rng.choice(["weak-open", None])}
        entry["nondegenerate"] = "undecided"
    return "nothing proved"


def _flip(document: Any, rng: random.Random) -> str:
    """The verdict turned, wherever it is said."""
    entry = _any_result(document, rng)
    verdict = rng.choice(["yes", "no", "undecided"])
    entry["verdict"] = verdict
    for part in entry["certificate"]["parts"]:
        part["verdict"] = verdict
    return f"verdict {verdict}"


def _options(document: Any, rng: random.Random) -> str:
    options = document["options"]
    key, value = rng.choice(
        [
            ("domain", ["-5", "5"]),
            ("domain", ["-6/2", "3"]),
            ("domain", ["-1", "3"]),
            ("domain", ["3", "-3"]),
            ("atoms", 2),
            ("atoms", 50),
            ("max_precision", 65_536),
            ("max_precision", 128),
        ]
    )
    options[key] = value
    if rng.random() < 0.3:
        document["seed"] = rng.choice([1, 2**63 - 1, 2**63])
    return f"{key} {value}"


def _asked(document: Any, rng: random.Random) -> str:
    """Results dropped, repeated or in another order, or under another gate."""
    results = document["results"]
    what = rng.randrange(4)
    if what == 0 and len(results) > 1:
        results.pop(rng.randrange(len(results)))
    elif what == 1:
        results.append(copy.deepcopy(rng.choice(results)))
    elif what == 2:
        results.reverse()
    else:
        document["gate"] = rng.choice(["sigmoid", "softmax", "exp(s)", "(1 + tanh(s))/2", "1"])
    return f"results {what}, gate {document['gate']}"


def _witness(document: Any, rng: random.Random) -> str:
    parts = [p for r in document["results"] for p in r["certificate"]["parts"] if p["witness"]]
    if not parts:
        return _leaf(document, rng)
    witness = rng.choice(parts)["witness"]
    what = rng.randrange(5)
    if what == 0:
        witness["determinant"] = rng.choice(BALLS)
    elif what == 1:
        witness["points"][0] = witness["points"][-1]
    elif what == 2:
        witness["atoms"][0] = witness["atoms"][-1]
    elif what == 3:
        witness["precision"] = document["options"]["max_precision"] = rng.choice([4096, 65_536])
    else:
        witness["points"][0] = [f"1/{10 ** rng.choice([3, 30, 300, 3000])}"]
    return f"witness {what}"


def _relation(document: Any, rng: random.Random) -> str:
    """A term of a relation or of a merge."""
    entry = _any_result(document, rng)
    parts = entry["certificate"]["parts"]
    relations = [r for p in parts for r in (*p["relations"], *(m["relation"] for m in p["merged"]))]
    if not relations:
        return _leaf(document, rng)
    term = rng.choice(rng.choice(relations)["terms"])
    old, new = term["coefficient"], rng.choice(["2", "a", "-1", "a - a", "x", "0", "1/2"])
    term["coefficient"] = new
    return f"coefficient {old} -> {new}"


def _expert(document: Any, rng: random.Random) -> str:
    expert = document["expert"]
    what = rng.randrange(5)
    if what == 0:
        expert["expression"] = expert["expression"].replace("x", "x ", 1)
    elif what == 1:
        expert["parameters"] = expert["parameters"][::-1]
    elif what == 2:
        expert.update(name="custom", shape=None)
    elif what == 3:
        expert["expression"] += " # tanh(a*x)"
    else:
        expert["name"] = rng.choice(["gelu", "relu", "linear", "tanh", "custom"])
    return f"expert {what}"


def _large(document: Any, rng: random.Random) -> str:
    parts = rng.choice(document["results"])["certificate"]["parts"]
    what = rng.randrange(5)
    if what == 0:
        parts *= 20_000
    elif what == 1:
        document["results"] *= 5_000
    elif what == 2:
        parts[0]["relations"] = [{"text": "h = 0", "terms": []}] * 50_000
    elif what == 3:
        deep: Any = []
        for _ in range(400):
            deep = [deep]
        parts[0]["kept"] = deep
    else:
        document["expert"]["expression"] = "+".join(["a*x"] * 100_000)
    return f"large {what}"


BLIND = (_leaf, _leaf, _leaf, _pair, _pair, _remove, _empty, _add, _permute)
MEANT: tuple[Callable[[Any, random.Random], str], ...] = (
    *(_open_premise, _open_honestly, _second, _rate, _regime, _every_k, _nothing, _flip),
    *(_options, _asked, _witness, _relation, _expert, _large),
)


def cases(count: int, seed: int, names: tuple[str, ...] = tuple(BASES)) -> Iterator[Forgery]:
    """``count`` forgeries: blind edits, swaps between certificates and meant ones, one or two."""
    rng = random.Random(seed)
    while count > 0:
        name = rng.choice(names)
        document = copy.deepcopy(base(name))
        said = []
        for _ in range(rng.choice([1, 1, 2])):
            if said and said[-1].startswith("large"):
                break  # as large as files of this kind get
            kind = rng.random()
            # after a first edit the second may find no place any more
            with contextlib.suppress(*((LookupError, TypeError, AttributeError) if said else ())):
                if kind < 0.5:
                    said.append(rng.choice(BLIND)(document, rng))
                elif kind < 0.6:
                    said.append(_swap(document, rng, names))
                else:
                    said.append(rng.choice(MEANT)(document, rng))
        if document == base(name):  # an edit that changes nothing is no forgery
            continue
        if rng.random() < 0.97:
            document["digest"] = digest(document)
        count -= 1
        yield Forgery(name, "; ".join(said), document)


# -- whether acceptance is right ----------------------------------------------------------------


def attempt(case: Forgery, folder: Path) -> str:
    """``accepted`` or ``refused``. Raises AssertionError for a traceback or a wrong acceptance."""
    path = folder / "forged.json"
    path.write_text(json.dumps(case.document), encoding="utf-8")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["verify", str(path), "--json"])
    if code != 0:
        said = err.getvalue()
        one = said.startswith("identkit: ") and said.count("\n") == 1 and len(said) < 600
        assert code in (1, 2), f"{case}: {code}"
        assert one, f"{case}: {said[:900]}"
        assert not out.getvalue(), f"{case}: {out.getvalue()}"
        return "refused"
    wrong = doubt(case.document) or misprint(case.document, json.loads(out.getvalue()))
    assert wrong is None, f"{case}: accepted, but {wrong}"
    return "accepted"


@cache
def _honest(question: str) -> dict[str, Any] | None:
    """The certificate that a check of this question gives."""
    asked = json.loads(question)
    likelihood = from_document(asked["likelihood"])
    gate, data = resolve_gate(asked["gate"], likelihood), asked["expert"]
    plan = [tuple(pair) for pair in asked["plan"]]
    regimes = (None, *(r.number for r in gate.regimes))
    names = (None, *(c.name for c in CONDITIONS))
    expert = (
        Expert.from_expression(
            data["expression"], dim=data["dim"], parameters=tuple(data["parameters"])
        )
        if data["name"] == "custom"
        else builtin(data["name"], data["shape"], data["dim"])
    )
    levels = (None, "expert", "product")
    for regime, name, require, level in product(regimes, names, (None, *REQUIREMENTS), levels):
        try:
            if plan_of(gate, regime, name, require) != plan:
                continue
            result = check(
                expert,
                gate,
                regime=regime,
                condition=name,
                require=require,
                level=level,
                atoms=asked["atoms"],
                domain=asked["domain"],
                seed=asked["seed"],
                max_precision=asked["max_precision"],
            )
        except InputError:
            continue
        if [r.level for r in result.results] == asked["levels"]:
            return json.loads(json.dumps(certificate_document(result)))
    return None


def doubt(document: dict[str, Any]) -> str | None:
    """What an accepted file says beyond a check of its question; None if nothing.

    The file's other evidence may be another proof of the same statement: determinants at other
    points, relations with other multiples. It has been verified; here only statements count.
    """
    results = document["results"]
    honest = _honest(
        json.dumps(
            {
                **{key: document[key] for key in ("gate", "expert", "seed")},
                "likelihood": document.get("likelihood"),
                **document["options"],
                "plan": [(r["regime"], r["condition"]) for r in results],
                "levels": [r["level"] for r in results],
            }
        )
    )
    if honest is None:
        return "no check asks for these results"
    for found, true in zip(results, honest["results"], strict=True):
        wrong = _beyond(found, true) or _faster(document, found)
        if wrong is not None:
            return f"{found['condition']}: {wrong}"
    return None


def misprint(document: dict[str, Any], printed: dict[str, Any]) -> str | None:
    """Where the verifier prints something else than the file says; None if nowhere."""
    for found, said in zip(document["results"], printed["results"], strict=True):
        rate = found["rate"] or {"derived": None, "cause": None}
        same = ("regime", "condition", "level", "verdict", "atoms", "quantifier", "atoms_scope")
        shown = {
            **{key: found[key] for key in (*same, "nondegenerate", "coordinates", "premise")},
            **{"rate": rate["derived"], "rate_cause": rate["cause"]},
        }
        if {key: said[key] for key in shown} != shown:
            return f"verify printed {said} of {shown}"
    asked = (document["expert"], document["gate"], document["options"]["domain"])
    if (printed["expert"], printed["gate"], printed["domain"]) != asked:
        return "verify printed another question"
    return None


QUANTIFIERS = (None, "open-set", "almost-every", "every")
SCOPES = ("none", "up-to", "from", "every")
ALONE = " for one true atom"
RATES = {
    "n^-1/4": ("n^-1/4 for one true atom",),
    "no consistent estimator": ("slower than n^-1/4",),
}
"""Rates -> what says less."""


def _weaker(found: dict[str, Any], true: dict[str, Any], where: str) -> str | None:
    """Where a record with a verdict claims more than the true one."""
    if found["verdict"] == "undecided":
        return None
    if found["verdict"] != true["verdict"]:
        return f"{where} is {found['verdict']}, not {true['verdict']}"
    order = QUANTIFIERS.index
    if order(found["quantifier"]) > order(true["quantifier"]):
        return f"{where} holds for {found['quantifier']}"
    return None


OF_A_CELL = tuple(f"for cells of {n}{alone}" for n in range(2, 7) for alone in ("", ALONE))


@cache
def _orders(data: str, gate: str, likelihood: str, cell: int) -> Orders:
    expert = json.loads(data)
    found = (
        Expert.from_expression(expert["expression"], parameters=tuple(expert["parameters"]))
        if expert["name"] == "custom"
        else builtin(expert["name"], expert["shape"], expert["dim"])
    )
    return order(found, gate, likelihood=likelihood, cell=cell)


def _faster(document: dict[str, Any], found: dict[str, Any]) -> str | None:
    """Where bounds of orders say more than those found for cells of that size."""
    stored = found.get("orders")
    if stored is None:
        return None
    likelihood = from_document(document.get("likelihood")).name
    expert = json.dumps(document["expert"])
    true = _orders(expert, document["gate"], likelihood, stored["cell"])
    if [d["direction"] for d in stored["directions"]] != [d.direction for d in true.directions]:
        return "directions"
    for d, real in zip(stored["directions"], true.directions, strict=True):
        if Fraction(d["lower"]["order"]) > real.lower.order:
            return f"{d['direction']} has an order of {d['lower']['order']} at least"
        upper = d["upper"]
        if upper and (real.upper is None or Fraction(upper["order"]) < real.upper.order):
            return f"{d['direction']} has an order of {upper['order']} at most"
    return None


def _unordered(entry: dict[str, Any]) -> dict[str, Any]:
    """An identity without the order of its terms, nor that of a substitution, which say nothing."""
    terms = sorted((c, sorted(images)) for c, images in entry["terms"])
    return {**entry, "terms": terms, "slopes": sorted(entry["slopes"])}


def _beyond(found: dict[str, Any], true: dict[str, Any]) -> str | None:
    """What one result says that a check does not; it may say less."""
    for part, real in zip(found["certificate"]["parts"], true["certificate"]["parts"], strict=True):
        if part["kind"] == "none":
            continue
        for key in ("title", "kind", "atoms", "kept", "shared", "dropped"):
            if part[key] != real[key]:
                return f"a part's {key} is {part[key]}, not {real[key]}"
        if part["every_k"] and not real["every_k"]:
            return "a part is about every k"
        if part["rank"] is not None and part["rank"] != real["rank"]:
            return f"a part's rank is {part['rank']}, not {real['rank']}"
        wrong = _weaker(part, real, "a part")
        if wrong:
            return wrong
    second, analysed = (r["certificate"]["second_order"] for r in (found, true))
    if (second is None) != (analysed is None):
        return "second order"
    if second is not None:
        wrong = _weaker(second, analysed, "second order")
        if wrong or (second["across_atoms"], analysed["across_atoms"]) == ("independent", "open"):
            return wrong or "cells are independent"
    wrong = _weaker(found, true, "the result")
    if wrong:
        return wrong
    if found["coordinates"] != true["coordinates"]:
        return "coordinates"
    if SCOPES.index(found["atoms_scope"]) > SCOPES.index(true["atoms_scope"]):
        return f"the scope is {found['atoms_scope']}"
    known = [_unordered(e) for e in true["exceptional"]]
    if any(_unordered(e) not in known for e in found["exceptional"]):
        return "exceptional parameters"
    for key, nothing in (("nondegenerate", "undecided"), ("premise", "undecided")):
        if found[key] not in (true[key], nothing) or (found[key] is None) != (true[key] is None):
            return f"{key} is {found[key]}, not {true[key]}"
    if (found["rate"] is None) != (true["rate"] is None):
        return "rate"
    if found["rate"] is not None:
        said, real = found["rate"]["derived"], true["rate"]["derived"]
        less = ("slower than n^-1/4",) if real.endswith(OF_A_CELL) else ()
        follows = "orders" in found  # from them, which are compared by themselves
        if said not in ("undecided", real, *RATES.get(real, ()), *less) and not follows:
            return f"rate {said}, not {real}"
    return None
