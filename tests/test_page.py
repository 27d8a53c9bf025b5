"""The page in a real browser: a quiet console, tables that sort and narrow, nothing hostile."""

import http.server
import re
import shutil
import subprocess
import threading

import pandas as pd
import pytest

from xtsupport.report import page
from xtsupport.report.page import Block, Cell, board, folded, paragraph

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr", "--v=0", "--virtual-time-budget=2000", "--dump-dom",
]  # fmt: skip
TABLE = pd.DataFrame(
    {
        "level": ["Turkic", "Arabic", "Greek", "Hindi"],
        "gain": [-1.5, 10.2, float("nan"), 9.0],
        "interval": ["\u22123.0 to +1.0", "+2.0 to +12.0", "+0.5 to +2.0", "\u221211.0 to +2.0"],
        "p": ["0.020", "< 0.001", "1.000", "0.500"],
    }
)
pytestmark = pytest.mark.slow


@pytest.fixture
def seen(tmp_path):
    """Open a page and do something: (what the page is then, console messages)."""
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")

    def look(text: str, action: str = ""):
        file = tmp_path / "page.html"
        if action:  # a second script is what the page's own policy forbids
            text = re.sub(r'<meta http-equiv="Content-Security-Policy".*?>', "", text, flags=re.S)
            text = text.replace("</body>", f"<script>{action}</script></body>")
        file.write_text(text, encoding="utf-8")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        done = subprocess.run(
            [CHROMIUM, *OPTIONS, profile, "--window-size=390,900", file.as_uri()],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        return done.stdout, re.findall(r".*CONSOLE.*", done.stderr)

    return look


def made(text: str = "A title", blocks=(), **changes) -> str:
    """A study's page that says `text` wherever data can say something."""
    section = {"id": "one", "heading": text, "blocks": blocks or [page.table(TABLE)]}
    values = {
        "title": text, "heading": text, "eyebrow": text, "warnings": [text], "limits": [text],
        "lead": [{"text": text, "verdict": ""}, {"text": text, "verdict": "improves"}],
        "facts": [(text, text)], "pictures": [], "scores": [paragraph(text)],
        "sections": [section], "links": [(text, "significance.csv")],
    }  # fmt: skip
    return page.render("study.html", **values | changes)


def test_the_console_stays_empty_and_the_policy_lets_no_other_script_run(seen):
    text, console = seen(made())
    assert not console and text.count("<button") == 4
    evil = made().replace("</body>", "<script>document.title = 'changed'</script></body>")
    text, console = seen(evil)
    assert "<title>A title</title>" in text and "Content Security Policy" in console[0]


def test_a_click_on_a_heading_sorts(seen):
    """Clicks on one heading after the other; after each, the first column is written down."""
    clicks = (
        "const told = [];"
        "for (const n of [0, 1, 1, 2, 3]) {"
        " document.querySelectorAll('th button')[n].click();"
        " told.push([...document.querySelectorAll('td:first-child')].map(c => c.textContent[0])"
        ".join('')); }"
        "document.title = told.join(' ');"
    )
    text, console = seen(made(), clicks)
    # by name; by gain, the missing one last, in both directions; by the lower bound; by p
    assert "<title>AGHT THAG AHTG HTGA ATHG</title>" in text and not console


def test_choices_narrow_every_table_of_their_section_and_links_unfold(seen):
    rows = [[Cell("German"), Cell("SQuAD")], [Cell("Thai"), Cell("SQuAD")],
            [Cell("Thai"), Cell("MNLI")]]  # fmt: skip
    tables = [folded(f"T{n}", board(["language", "condition"], rows, (0, 1)), name=f"t{n}")
              for n in (1, 2)]  # fmt: skip
    act = (
        "const [one, two] = document.querySelectorAll('select');"
        "one.value = 'Thai'; one.dispatchEvent(new Event('change'));"
        "two.value = 'SQuAD'; two.dispatchEvent(new Event('change'));"
        "location.hash = '#t2'; window.dispatchEvent(new Event('hashchange'));"
    )
    text, console = seen(made(blocks=tables), act)
    assert not console and len(re.findall(r"<tr hidden", text)) == 4
    assert re.search(r'<details id="t2" open', text)
    assert not re.search(r'<details id="t1" open', text)


def test_hostile_names_neither_run_nor_fetch(seen):
    """Every place that data can reach holds markup, a closing tag, an event, an address."""
    asked: list[str] = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *given):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    there = f"http://127.0.0.1:{server.server_port}/x.png"
    evil = (
        f"</title></style></script><script>document.title='run'</script><img src='{there}' "
        f"onerror=\"document.title='run'\"><link rel=stylesheet href={there}>{{{{ 7*7 }}}} '\">"
    )
    frame = pd.DataFrame({evil: [evil, "a"], "n": [1.0, 2.0]})
    blocks = [
        page.table(frame), page.bullets([evil]), Block("code", evil),
        folded(evil, board([evil], [[Cell(evil, evil, "n", "one")]], (0,))),
        Block("picture", evil, picture={"title": evil, "hint": evil, "width": 9,
                                        "source": "data:image/png;base64,"}),
    ]  # fmt: skip
    text, console = seen(made(evil, blocks))
    server.shutdown()
    title = re.search(r"<title>(.*?)</title>", text, re.S)
    assert title and "document.title" in title[1] and "run</title>" not in text
    assert not asked and not console
    assert text.count("<script") == 1 and "<link" not in text and "49" not in text
    assert [src[:5] for src in re.findall(r'<img src="([^"]*)"', text)] == ["data:"]
