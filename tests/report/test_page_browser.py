"""The page in Chromium without a network: it is drawn, sorts and filters, and no name becomes an element."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest

from benchgate.report.page import write
from tests.report.pages import EVIL, FORMULA, a_cell, rounds, saved

DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(DRIVER is None, reason="needs Chromium: apt-get install chromium chromium-driver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,9000",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
# Answers when every figure is drawn: the page unpacks plotly.js in the background.
DRAWN = """
const done = arguments[0];
const look = () => {
  const figures = [...document.querySelectorAll(".plot")];
  if (figures.length && figures.every((plot) => plot.querySelector(".main-svg"))) done(figures.length);
};
new MutationObserver(look).observe(document.documentElement, { childList: true, subtree: true });
look();
"""
# axe looks at a page as it is drawn; of what it finds the names and weights are enough.
AXE = """
const done = arguments[0];
axe.run().then((found) => done({
  passes: found.passes.length,
  violations: found.violations.map((rule) => ({ id: rule.id, impact: rule.impact })),
}));
"""


class Browser:
    """One page, by the WebDriver protocol of a chromedriver at `address`."""

    def __init__(self, address, profile):
        options = {"args": [*FLAGS, f"--user-data-dir={profile}"]}
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "timeouts": {"script": 60_000},
        }
        self.address = f"{address}/session"
        self.address += f"/{self.ask('', capabilities={'alwaysMatch': wanted})['sessionId']}"

    def ask(self, path, method="POST", **said):
        data = json.dumps(said).encode() if method == "POST" else None
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=90) as answer:
            return json.load(answer)["value"]

    def run(self, script):
        return self.ask("/execute/sync", script=script, args=[])

    def requests(self):
        events = [json.loads(entry["message"])["message"] for entry in self.ask("/se/log", type="performance")]
        urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        # Of Chromium's own new tab, which is there first.
        return {url for url in urls if not url.startswith(("chrome", "data:"))}


@pytest.fixture
def browser(tmp_path):
    with subprocess.Popen([str(DRIVER), "--port=0"], stdout=subprocess.PIPE, text=True) as driver:
        try:
            port = next(found[1] for line in driver.stdout if (found := re.search(r"on port (\d+)\.", line)))
            one = Browser(f"http://127.0.0.1:{port}", tmp_path / "profile")
            yield one
            one.ask("", method="DELETE")
        finally:
            driver.terminate()


def test_the_page_is_drawn_sorts_and_filters_and_names_do_nothing(tmp_path, browser):
    pytest.importorskip("plotly", reason="plotly is not installed; pip install 'benchgate[report]'")
    records = [a_cell(), a_cell("int8", size=100.0), a_cell(model=EVIL), a_cell(model=FORMULA)]
    path = saved(tmp_path / "a.json", records, rounds={records[0].key: rounds(30)})
    write([path], tmp_path / "r.html")
    page = (tmp_path / "r.html").as_uri()
    browser.ask("/url", url=page)
    assert browser.ask("/execute/async", script=DRAWN, args=[]) > 5
    schemes = "return [...document.querySelectorAll('#table tbody tr')].map((row) => row.children[1].textContent)"
    assert browser.run(schemes) == ["fp32", "int8", "fp32", "fp32"]
    browser.run("[...document.querySelectorAll('#table th button')].find((b) => b.textContent === 'disk').click()")
    assert browser.run(schemes)[0] == "int8"
    assert browser.run("return document.querySelector('[aria-sort]').getAttribute('aria-sort')") == "ascending"
    browser.run(
        "const field = document.querySelector('#filters input'); field.value = 'onerror'; "
        "field.dispatchEvent(new Event('input'))"
    )
    assert browser.run("return document.querySelector('#table tbody td').textContent") == EVIL
    assert browser.run("return document.querySelectorAll('img, .plot a').length") == 0
    assert FORMULA in browser.run("return document.querySelector('.figures').parentNode.parentNode.textContent")
    assert browser.ask("/se/log", type="browser") == []
    assert browser.requests() == {page}


def test_a_runtime_keeps_its_colour_and_names_do_not_cover_each_other(tmp_path, browser):
    pytest.importorskip("plotly", reason="plotly is not installed; pip install 'benchgate[report]'")
    order = [("lm", "fp32", "onnx"), ("other", "fp32", "torch"), ("other", "int8", "onnx")]
    order += [("lm", scheme, "torch") for scheme in ("int8", "bf16", "fp16", "int4", "int2")]
    cells = [dict(zip(("model", "scheme", "runtime"), one, strict=True), device="cpu") for one in order]
    records = [a_cell(cell=cell, key=f"t.py::test_it[{'-'.join(cell.values())}]") for cell in cells]
    write([saved(tmp_path / "a.json", records)], tmp_path / "r.html")
    browser.ask("/url", url=(tmp_path / "r.html").as_uri())
    browser.ask("/execute/async", script=DRAWN, args=[])
    traces = browser.run(
        "return [...document.querySelectorAll('.plot')].flatMap((plot) => plot.data)"
        ".map((one) => ({ name: one.name, colour: one.error_x?.color ?? one.error_y?.color, bars: one.marker.color,"
        " text: one.text, n: one.x.length }))"
    )
    bars = {(one["name"], one["bars"]) for one in traces if isinstance(one["bars"], str)}
    assert sorted(name for name, _ in bars) == ["onnx", "torch"]
    named = [one for one in traces if one["text"]]
    # All of "lm" lie on one point: there is room for a name above it and one below.
    assert sum(bool(text) for one in named for text in one["text"]) == 2 + 2
    assert sum(one["n"] for one in named) == len(order)


def test_nobody_is_shut_out(tmp_path, browser):
    """axe-core finds nothing serious, in the light and in the dark, wide and on a telephone."""
    axe = importlib.util.find_spec("axe_playwright_python")
    if axe is None:
        pytest.skip("needs axe-core: pip install --no-deps axe-playwright-python (only its axe.min.js is used)")
    pytest.importorskip("plotly", reason="plotly is not installed; pip install 'benchgate[report]'")
    records = [a_cell(), a_cell("int8", size=100.0)]
    path = saved(tmp_path / "a.json", records, rounds={records[0].key: rounds(30)})
    write([path], tmp_path / "r.html")
    script = Path(axe.submodule_search_locations[0], "axe.min.js").read_text(encoding="utf-8")
    for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light")):
        browser.ask("/window/rect", width=width, height=9000)
        browser.ask("/url", url=(tmp_path / "r.html").as_uri())
        assert browser.ask("/execute/async", script=DRAWN, args=[]) > 3
        if scheme == "dark":
            browser.run("document.getElementById('theme').click()")
        browser.run(script)
        found = browser.ask("/execute/async", script=AXE, args=[])
        serious = [rule["id"] for rule in found["violations"] if rule["impact"] in ("serious", "critical")]
        assert (scheme, width, serious) == (scheme, width, [])
        assert found["passes"] > 20
    browser.run("document.body.append(document.createElement('img'))")
    found = browser.ask("/execute/async", script=AXE, args=[])
    assert "image-alt" in {rule["id"] for rule in found["violations"]}
