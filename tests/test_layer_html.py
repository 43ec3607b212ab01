"""The page of a layer: sound and self-contained HTML that says what the terminal says."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

pytest.importorskip("matplotlib")
pytest.importorskip("torch")
pytest.importorskip("numba")
import test_rates_page
from test_layer_command import found, source
from test_rates_page import CHROMIUM, NASTY, Browser, Tree

from identkit.cli.main import main
from identkit.report.json_text import schema
from identkit.report.layer_page import page

ONE, OTHER = "mixtral-8x7b", "deepseek-v3"


def nasty():
    made = found(OTHER)
    own = replace(made.architecture, source=NASTY, notes=(f"a note {NASTY}",))
    return replace(made, architecture=own)


@pytest.fixture(scope="module", params=["one", "two", "nasty"])
def text(request):
    layers = {
        "one": [found(ONE)],
        "two": [found(ONE), found(OTHER)],
        "nasty": [nasty(), found(ONE)],
    }
    return page(*layers[request.param])


def test_it_is_sound(text):
    tree = Tree(text)
    test_rates_page.test_it_is_one_document(text, tree)
    test_rates_page.test_ids_are_unique_and_found(tree)
    test_rates_page.test_nothing_is_loaded(text, tree)
    test_rates_page.test_headings_are_in_order(tree)
    assert "onclick" not in re.sub(r"&lt;.*?&gt;", "", text.partition('id="data"')[0])
    assert len(tree.of("script")) == 2
    assert text.count("<table") == text.count("<caption")


def test_it_says_everything():
    """Every gauge with its proof, every reason, every command: words of the findings."""
    made = found(ONE)
    first = replace(made.gauges[0], where="no input is large")
    made = replace(made, gauges=(first, *made.gauges[1:]))
    shown = " ".join("".join(Tree(page(made)).words).split())
    wanted = [g.proof for g in made.gauges] + [g.widths for g in made.gauges]
    wanted += [g.action for g in made.gauges] + [g.where for g in made.gauges if g.where]
    wanted += [n.reason for n in made.absent] + [r for d in made.decided for r in d.reasons]
    wanted += [c.command for c in made.changes] + [c.change for c in made.changes]
    for each in wanted:
        assert " ".join(re.sub(r"n\^-", "n−", each).split()) in shown
    assert f"{made.dimension} dimensions" in shown
    lead = re.search(r'<p class="lead">(.*?)</p>', page(made), flags=re.S)[1]
    assert all(d.rate in lead for d in made.decided)


def test_unproved_gauges_are_called_so():
    made = found(ONE)
    own = replace(made, gauges=tuple(replace(g, proved=False) for g in made.gauges))
    assert page(made).count("<dt>proved</dt>") == len(made.gauges)
    assert "<dt>proved</dt>" not in page(own)
    assert page(own).count("<dt>not proved here</dt>") == len(made.gauges)


def test_the_command(tmp_path, capsys):
    path, little = tmp_path / "a.html", ("--time-limit", "1")
    assert (
        main(["layer", "--compare", source(ONE), source(OTHER), "--html", str(path), *little]) == 0
    )
    assert f"written to {path}" in capsys.readouterr().out
    data = json.loads(Tree(path.read_text(encoding="utf-8")).scripts["data"])
    Draft202012Validator(schema("layer-1")).validate(data)
    assert [layer["architecture"]["source"] for layer in data["layers"]] == [ONE, OTHER]


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1000])
def test_nothing_is_cut_off_in_a_browser(tmp_path, width):
    """The page is as wide as the screen; what is wider scrolls in a region of its own."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    path = tmp_path / "a.html"
    path.write_text(page(found(ONE), found(OTHER)), encoding="utf-8")
    browser = Browser(tmp_path)
    try:
        browser.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=800, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        browser.open(path)
        browser.ask("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        assert browser.ask("document.documentElement.scrollWidth") <= width
        assert browser.ask("document.getElementById('save-data').hidden") is False
    finally:
        browser.close()
