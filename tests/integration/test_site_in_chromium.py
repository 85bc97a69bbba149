"""The documentation in a real browser: quiet, from this host alone, readable for everyone, and found by its search."""

import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from importlib.resources import files
from pathlib import Path

import chromium
import pytest

pytestmark = [
    pytest.mark.slow,  # every page, twice
    pytest.mark.skipif(chromium.found() is None, reason=f"none of {', '.join(chromium.NAMES)} is installed"),
]
ROOT = Path(__file__).resolve().parents[2]
# One page of each kind goes before axe, which takes seconds for each; the others differ from these in words.
JUDGED = {
    "index.html",
    "comparison",
    "concepts/decisions",
    "gallery",
    "gallery/06_plots",
    "how-to/command-line",
    "reference/metrics",
    "tutorials/shipping",
}
RULES = ["wcag2a", "wcag2aa"]
AXE = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
SETTINGS = {"desktop, light": (1280, False), "phone, dark": (400, True)}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def host(site):
    """Its address, served from this process."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module", params=SETTINGS.values(), ids=SETTINGS)
def look(request, host):
    """Opens a page, at the width and in the colours of a desktop and of a phone."""
    width, dark = request.param
    with chromium.Chromium() as browser:

        def opened(page):
            browser.open(host + page, width=width, dark=dark)
            browser.ask("new Promise(done => setTimeout(done, 100))")
            return browser

        yield opened


def addresses(site):
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("index.html"))


def test_every_page_is_quiet_and_fits_its_window_and_one_of_each_kind_passes_axe(look, site, host):
    wrong = []
    for page in addresses(site):
        browser = look(page)
        wide = browser.ask("document.documentElement.scrollWidth > window.innerWidth")
        unnamed = browser.ask("[...document.images].filter(one => !one.alt.trim()).map(one => one.src)")
        told = [
            *browser.told("Runtime.exceptionThrown"),
            *browser.told("Runtime.consoleAPICalled"),
            *browser.told("Log.entryAdded"),
        ]
        urls = {request["request"]["url"] for request in browser.told("Network.requestWillBeSent")}
        foreign = sorted(url for url in urls if not url.startswith((host, "data:")))
        if told or foreign or wide or unnamed:
            wrong.append((page, told, foreign, wide, unnamed))
        if page.removesuffix("/index.html") not in JUDGED:
            continue
        browser.call("Runtime.evaluate", expression=f"{AXE};0")
        found = json.loads(
            browser.ask(f"axe.run(document, {{runOnly: {RULES}}}).then(found => JSON.stringify(found.violations))")
        )
        wrong += [(page, one["id"], node["html"], node["failureSummary"]) for one in found for node in one["nodes"][:3]]
    assert not wrong


def test_the_second_look_is_a_dark_one(look, request):
    scheme = look("index.html").ask("document.body.getAttribute('data-md-color-scheme')")
    assert scheme == ("slate" if "dark" in request.node.callspec.id else "default")


FIND = """(async () => {{
    const box = document.querySelector(".md-search__input"), list = document.querySelector(".md-search__scrollwrap");
    box.focus();
    box.value = {word};
    box.dispatchEvent(new Event("input", {{bubbles: true}}));
    box.dispatchEvent(new KeyboardEvent("keyup", {{bubbles: true}}));
    for (let tries = 0; tries < 200; tries += 1) {{
        if ([...document.querySelectorAll(".md-search-result__link")].some(one => one.hash === {entry})) return true;
        list.scrollTop = list.scrollHeight;  // more of what it found is drawn as one scrolls
        await new Promise(done => setTimeout(done, 25));
    }}
    return false;
}})()"""


def test_search_finds_every_documented_name(host):
    """Those are all public names: tests/test_docs.py holds the reference against the rooms."""
    pages = sorted((ROOT / "docs" / "reference").glob("*.md"))
    names = [
        name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(names) > 100
    with chromium.Chromium() as browser:
        browser.open(host)
        missing = [
            name
            for name in names
            if not browser.ask(FIND.format(word=json.dumps(name.rpartition(".")[2]), entry=json.dumps(f"#{name}")))
        ]
    assert not missing
