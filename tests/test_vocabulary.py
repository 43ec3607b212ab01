"""The closed vocabularies: their words are texts, and no module spells one out by itself."""

from __future__ import annotations

import ast
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import identkit
from identkit import vocabulary

ENUMS = vocabulary.Word.__subclasses__()
FIELDS = {
    "verdict", "quantifier", "nondegenerate", "atoms_scope", "across_atoms", "agreement", "cause",
}  # fmt: skip
"""Names that mean a word of a vocabulary wherever they stand; ``kind`` and ``status`` do not."""
MODULES = sorted(Path(identkit.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("word", [word for enum in ENUMS for word in enum], ids=repr)
def test_a_word_is_its_text(word):
    text = word.value
    assert type(text) is str
    assert (word, str(word), f"{word}", hash(word)) == (text, text, text, hash(text))
    assert repr(word) == repr(text)
    assert json.dumps({word: [word]}, indent=1) == json.dumps({text: [text]}, indent=1)
    assert pickle.loads(pickle.dumps(word)) is word


def texts(node: ast.expr) -> bool:
    """Whether a text can be the value, or an entry of it."""
    match node:
        case ast.Constant():
            return isinstance(node.value, str)
        case ast.IfExp():
            return texts(node.body) or texts(node.orelse)
        case ast.Tuple() | ast.List() | ast.Set():
            return any(map(texts, node.elts))
    return False


def spelt_out(text: str) -> Iterator[str]:
    """Comparisons and keyword arguments of :data:`FIELDS` with a text where a member belongs."""
    for node in ast.walk(ast.parse(text)):
        sides: list[ast.expr] = []
        if isinstance(node, ast.Compare) and getattr(node.left, "attr", "") in FIELDS:
            sides = node.comparators
        elif isinstance(node, ast.keyword) and node.arg in FIELDS:
            sides = [node.value]
        if any(map(texts, sides)):
            yield ast.unparse(node)


def test_no_module_spells_a_word_out():
    """A typo in a comparison with a text, or in ``dataclasses.replace``, no type checker sees."""
    found = {path.name: list(spelt_out(path.read_text(encoding="utf-8"))) for path in MODULES}
    assert not {name: texts for name, texts in found.items() if texts}


def test_the_search_can_fail():
    assert list(spelt_out("x = replace(found, verdict='yes' if a else b)"))
    assert list(spelt_out("if found.across_atoms in ('open', b): pass"))
    assert not list(spelt_out("if found.verdict == Verdict.YES: pass"))
    assert not list(spelt_out("Proof(verdict=Verdict(data['verdict']))"))
