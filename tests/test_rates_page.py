"""The page of rate experiments: valid and self-contained HTML, and what a browser makes of it."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import re
import select
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from itertools import pairwise

import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")
pytest.importorskip("matplotlib")

import identkit
from identkit.certificates.store import digest
from identkit.errors import InputError
from identkit.fit import Model
from identkit.fit.result import Box
from identkit.rates import figures
from identkit.rates.fits import blocks, environment, perform
from identkit.rates.page import page, write_page
from identkit.rates.quantities import checked
from identkit.rates.result import observe
from identkit.rates.setting import Experiment, Setting

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
VOID = {"meta", "br", "link", "img", "hr", "input"}
NASTY = '<b onclick="x()">&amp; \'"</script><script>alert(1)</script>'


@pytest.fixture(scope="module")
def result(one_thread):
    truth = identkit.MixingMeasure([1.0, -1.0], [[0.0], [-4.5]], [[2.2, 0.7], [-4.0, 1.25]])
    setting = Setting(
        Model.of("tanh", "sigmoid"), 1, truth, 3, 0.003, Box(beta0=(-1.5, 4.0)), budgets=(20, 60)
    )
    experiment = Experiment("small", setting, (200, 400, 800), 10, ("local",), control=2)
    rows = [row for block in blocks(experiment) for row in perform(setting, block)]
    return observe(experiment, rows, [environment()])


@pytest.fixture(scope="module")
def other(result):
    """The same experiment with everything a user may type made nasty."""
    model = copy.copy(result.experiment.setting.model)
    expert = copy.copy(model.expert)
    object.__setattr__(expert, "text", f"tanh(a*x + b) {NASTY}")
    object.__setattr__(model, "expert", expert)
    setting = copy.copy(result.experiment.setting)
    object.__setattr__(setting, "model", model)
    experiment = dataclasses.replace(result.experiment, name=NASTY)
    object.__setattr__(experiment, "setting", setting)
    return dataclasses.replace(
        result, experiment=experiment, warnings=(f"a warning {NASTY}",),
        environments=({**result.environments[0], "processor": NASTY},),
    )  # fmt: skip


@pytest.fixture(scope="module")
def text(result, other):
    return page([result, other], title=f"Title {NASTY}", store=f"store {NASTY}")


class Tree(HTMLParser):
    """Tags that balance, with attributes in order, and the text inside."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.words = [], [], []
        self.scripts = {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), (tag, names)
        self.tags.append((tag, dict(attrs), tuple(t for t, _ in self.open)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs), tuple(t for t, _ in self.open)))

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open and self.open[-1][0] == "script":
            self.scripts[self.open[-1][1].get("id")] = data
        elif not self.open or self.open[-1][0] != "style":
            self.words.append(data)

    def of(self, *names):
        return [(tag, attrs, inside) for tag, attrs, inside in self.tags if tag in names]


@pytest.fixture(scope="module")
def tree(text):
    return Tree(text)


def test_it_is_one_document(text, tree):
    assert text.startswith("<!DOCTYPE html>")
    for name in ("html", "head", "body", "main", "title", "h1"):
        assert len([t for t in tree.of(name) if "svg" not in t[2]]) == 1, name
    assert tree.of("html")[0][1]["lang"] == "en"


def test_ids_are_unique_and_found(tree):
    ids = [attrs["id"] for _, attrs, _ in tree.tags if "id" in attrs]
    assert len(set(ids)) == len(ids)
    for _, attrs, _ in tree.tags:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(attrs.get(name, "").split()) <= set(ids)
        if attrs.get("href", "").startswith("#"):
            assert attrs["href"][1:] in ids


def test_nothing_is_loaded(text, tree):
    assert not re.search(r"https?://|url\((?!#)|@import", text)
    for tag, attrs, _ in tree.tags:
        assert tag not in ("link", "iframe", "object", "embed")
        assert not attrs.get("src")
        assert attrs.get("href", "#").startswith(("#", "data:application/json;base64,"))


def test_headings_are_in_order(tree):
    levels = [int(tag[1]) for tag, _, _ in tree.of("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_tables_have_captions_and_scopes(tree, text):
    assert text.count("<table") == text.count("<caption") > 8
    for _, attrs, inside in tree.of("th"):
        assert attrs["scope"] in ("row", "col", "rowgroup"), inside
    for table in re.findall(r"<table.*?</table>", text, flags=re.S):
        # every row spans the same number of columns
        columns = len(re.findall(r'<th scope="col"', table))
        for group in re.findall(r"<tbody.*?</tbody>", table, flags=re.S):
            held = 0
            for row in re.findall(r"<tr.*?</tr>", group, flags=re.S):
                cells = re.findall(r"<t[hd]([^>]*)>", row)
                wide = [int(n) for c in cells for n in re.findall(r'colspan="(\d+)"', c)]
                rows = [int(n) for c in cells for n in re.findall(r'rowspan="(\d+)"', c)]
                assert len(cells) - len(wide) + sum(wide) + (held > 0) == columns
                held = max(rows[0] - 1 if rows else held - 1, 0)


def test_pictures_have_words(tree, text):
    pictures = re.findall(r"<svg\b.*?</svg>", text, flags=re.S)
    assert len(pictures) > 8
    for picture in pictures:
        assert 'role="img"' in picture
        assert re.search(r"<title[^>]*>[^<]+</title>", picture)
    assert text.count("<figure") == text.count("<figcaption") == 3
    assert not tree.of("img")


def test_what_users_type_is_text(tree, text):
    assert "<b onclick" not in text
    assert "alert(1)</script>" not in text
    shown = "".join(tree.words)
    for start in ("Title ", "store ", "a warning ", "tanh(a*x + b) "):
        assert start + NASTY in shown
    assert f"({NASTY})" in shown  # equal titles are told apart by names
    assert len(tree.of("script")) == 2


def test_verdicts_have_words_beside_symbols(text):
    for kind, mark, word in (("ok", "✓", "consistent"), ("bad", "✗", "inconsistent")):
        assert (
            f'<span class="v {kind}"><span aria-hidden="true">{mark}</span> {word}</span>' in text
        )
    for forbidden in ("confirmed by", "proves the rate", "verified by simulation"):
        assert forbidden not in text


def test_table_has_every_main_quantity(result, tree, text):
    rows = re.search(r'<table id="table-verdicts".*?</table>', text, flags=re.S)[0]
    for key in figures.main_quantities(result):
        found = result.line(key).slope
        assert f"{found.value:.3f}".replace("-", "−") in rows
        assert figures.described(key).label in rows
    assert rows.count("strong: <b>yes</b>") == rows.count("nondegenerate: <b>yes</b>") == 2


def test_setting_is_spelled_out(tree):
    shown = "".join(tree.words)
    assert "beta1 in [−10, 10]; beta0 in [−1.5, 4]; eta in [−10, 10]" in shown
    assert "h(x) = tanh(a*x + b), sigmoid gate, d = 1; k* = 2 true atoms, k = 3 fitted" in shown
    assert "10 replicates from local starts and 2 replicates from away starts" in shown


def test_summary_counts(result, text):
    lead = re.search(r'<p class="lead">(.*?)</p>', text, flags=re.S)[1]
    judged = [result.verdict(k).against_derived for k in figures.main_quantities(result)] * 2
    assert f"<b>{judged.count('consistent')} consistent</b>" in lead.split("derived rates: ")[1]
    assert f"2 experiments with {2 * result.fits:,} fits" in lead


def test_data_and_certificates_are_in_it(result, tree):
    data = json.loads(tree.scripts["data"])
    assert [r["schema"] for r in data["results"]] == ["identkit.rates/1"] * 2
    assert data["results"][0] == json.loads(json.dumps(result.to_dict()))
    links = [a for _, a, _ in tree.of("a") if "download" in a]
    assert [a["download"] for a in links] == ["certificate-1.json", "certificate-2.json"]
    document = json.loads(base64.b64decode(links[0]["href"].partition("base64,")[2]))
    assert document["schema"] == "identkit.certificate/3"
    assert document["digest"] == digest(document)


def test_certificate_is_that_of_the_check(result):
    s = result.experiment.setting
    low, high = s.domain
    again = identkit.check(s.model.expert, s.model.gate, regime=1, domain=(repr(low), repr(high)))
    assert again.certificate() == checked(result.experiment.setting).certificate()


def test_it_repeats_to_the_byte(result, other, text, tmp_path):
    path = tmp_path / "page.html"
    write_page(path, [result, other], title=f"Title {NASTY}", store=f"store {NASTY}")
    assert path.read_bytes() == text.encode()


def test_before_the_first_fit_and_in_between(result):
    empty = observe(result.experiment, [])
    words = "".join(Tree(page([empty], title="x")).words)
    assert "no fits yet" in words
    assert "0 of 72 fits" in words
    with pytest.raises(InputError, match="no fits yet"):
        figures.rate_figure(empty)


def test_input_errors(result, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no results"):
        page([], title="empty")
    monkeypatch.setattr(sys.modules["identkit.rates.page"], "page", lambda *a, **k: "")
    with pytest.raises(InputError, match="cannot be written"):
        write_page(tmp_path / "nowhere" / "a.html", [result], title="x")


# -- in a browser ---------------------------------------------------------------------------


class Browser:
    """Headless Chromium by its debugging pipe: fd 3 takes commands, fd 4 gives answers."""

    def __init__(self, profile):
        command = (
            f"exec {CHROMIUM} --headless=new --no-sandbox --disable-gpu --no-first-run "
            f"--user-data-dir={profile} --remote-debugging-pipe 3<&0 4>&1 >/dev/null 2>&1"
        )
        self.process = subprocess.Popen(
            ["bash", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.buffer, self.events, self.number, self.session = b"", [], 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.process.stdin.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def read(self):
        deadline = time.monotonic() + 30
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], deadline - time.monotonic())
            if not ready:
                raise TimeoutError("Chromium does not answer")
            piece = self.process.stdout.read(1 << 16)
            if not piece:
                raise EOFError("Chromium ended")
            self.buffer += piece
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def open(self, path):
        self.call("Page.navigate", url=path.as_uri())
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self.read())

    def ask(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key, code, text=""):
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code, "text": text}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def browser(text, tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    folder = tmp_path_factory.mktemp("browser")
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    found = Browser(folder / "profile")
    try:
        found.open(path)
        yield found
    finally:
        found.close()


def test_browser_loads_it_quietly(browser):
    heard = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    said = [e for e in browser.events if e.get("method") in heard]
    assert said == []
    asked = [
        e["params"]["request"]["url"] for e in browser.events
        if e.get("method") == "Network.requestWillBeSent"
    ]  # fmt: skip
    assert len(asked) == 1
    assert asked[0].startswith("file:")
    assert browser.ask("document.getElementById('save-data').hidden") is False


def test_keyboard_opens_sections(browser):
    browser.press("Tab", 9)
    assert browser.ask("document.activeElement.className") == "skip"
    browser.ask("document.querySelector('main > section > details summary').focus()")
    for opened in (True, False):
        browser.press("Enter", 13, "\r")
        assert browser.ask("document.querySelector('main > section > details').open") is opened
    # by Tab alone, from the skip link on
    browser.ask("document.querySelector('.skip').focus()")
    reached = []
    for _ in range(40):
        browser.press("Tab", 9)
        reached.append(browser.ask("document.activeElement.tagName"))
    assert "SUMMARY" in reached


def test_link_to_an_experiment_opens_it(browser):
    browser.ask("location.hash = '#experiment-2'")
    assert browser.ask("document.getElementById('experiment-2').parentElement.open") is True
    browser.ask(
        "location.hash = ''; document.querySelectorAll('details').forEach(d => d.open = false)"
    )


def test_printing_opens_all_and_closes_again(browser):
    count = "document.querySelectorAll('details[open]').length"
    browser.ask("dispatchEvent(new Event('beforeprint'))")
    assert browser.ask(count) == browser.ask("document.querySelectorAll('details').length") > 0
    browser.ask("dispatchEvent(new Event('afterprint'))")
    assert browser.ask(count) == 0


@pytest.mark.parametrize("width", [360, 1280])
def test_page_is_not_wider_than_the_window(browser, width):
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1,
        mobile=False,
    )  # fmt: skip
    browser.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.ask("document.documentElement.scrollWidth") <= width
    browser.ask("document.querySelectorAll('details').forEach(d => d.open = false)")
    browser.call("Emulation.clearDeviceMetricsOverride")


CONTRAST = """
(() => {
  const numbers = c => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = numbers(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  document.querySelectorAll('details').forEach(d => { d.open = true; });
  const low = [];
  for (const e of document.querySelectorAll('body *')) {
    if (['SCRIPT', 'STYLE'].includes(e.tagName)) continue;
    const inSvg = e.tagName === 'text';
    if (!inSvg && e.closest('svg')) continue;
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const style = getComputedStyle(e);
    const colour = numbers(inSvg ? style.fill : style.color);
    const [a, b] = [light(colour), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)}`);
  }
  document.querySelectorAll('details').forEach(d => { d.open = false; });
  return [...new Set(low)];
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser, scheme):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.call("Emulation.setEmulatedMedia", features=[feature])
    ground = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(247, 247, 245)") == (scheme == "light")
    assert browser.ask(CONTRAST) == []
    paper = "getComputedStyle(document.querySelector('figure')).backgroundColor"
    assert browser.ask(paper) == "rgb(255, 255, 255)"  # figures are drawn for white
