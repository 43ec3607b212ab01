"""Reports: LaTeX and HTML that can be pasted, sentences that say what was proved."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from checked import check

from identkit import Expert
from identkit.report import statements
from identkit.report.markup import latex, name_latex

CHECKS = [
    ("gelu", {}),
    ("relu", {"condition": "strong", "level": "product"}),
    ("linear", {}),
    (Expert.from_expression("erf(a*x + beta)"), {}),
    (Expert.from_expression("relu(a*x)"), {}),
]


@pytest.fixture(scope="module", params=CHECKS, ids=lambda c: str(c[0]))
def result(request):
    expert, options = request.param
    return check(expert, "sigmoid", **options)


def test_latex_is_balanced_ascii(result):
    text = latex(result)
    assert text.isascii()
    assert text.count("{") == text.count("}")
    assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0
    assert text.count(r"\[") == text.count(r"\]")
    assert result._repr_latex_() == text


class Balanced(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_balanced(result):
    parser = Balanced()
    parser.feed(result._repr_html_())
    assert parser.open == []


def test_text_fits_80_columns(result):
    assert max(map(len, str(result).splitlines())) <= 80


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a0", "a_{0}"),
        ("b", "b"),
        ("beta", r"\beta"),
        ("β1_0", r"\beta_{1,0}"),
        ("eta", r"\eta"),
        ("slope", r"\mathrm{slope}"),
        ("β0", r"\beta_{0}"),
    ],
)
def test_symbols(name, expected):
    assert name_latex(name) == expected


def test_statements_say_for_which_parameters():
    relu, gelu = (check(n, "softmax", dim=1).results[0] for n in ("relu", "gelu"))
    assert "an open set of the atoms' parameters" in statements.claim(relu.deciding)
    assert "Lebesgue-almost every choice of the atoms' parameters" in statements.claim(
        gelu.deciding
    )
    assert "for every number k of atoms" in statements.claim(gelu.deciding)


def test_statements_do_not_claim_more_atoms_than_proved():
    """Nested exponentials are outside the theorem behind 'every k'."""
    (result,) = check(Expert.from_expression("exp(exp(a*x + b))"), "softmax").results
    assert result.atoms_scope == "up-to"
    claim = statements.claim(result.deciding)
    assert "for k = 3 atoms, hence for fewer" in claim
    assert "larger k is not proved" in claim


def test_relations_in_latex():
    (result,) = check("relu", "softmax", dim=1, condition="strong", level="product").results
    text = latex(check("relu", "softmax", dim=1, condition="strong", level="product"))
    assert r"\partial_{a} h" in text
    assert result.relations[0].text == "a*∂h/∂a + b*∂h/∂b = h"
