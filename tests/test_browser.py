"""The report in a real browser: no complaint on its console, and tables that sort."""

import re
import shutil
import subprocess

import pandas as pd
import pytest

from xtsupport.report import page

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
CLICK = "<script>{clicks}</script></body>"


@pytest.fixture
def seen(tmp_path):
    """Open a page and click: (what the page is then, console messages)."""
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")

    def look(text: str, *clicks: int, size: str = "1200,900"):
        file = tmp_path / "page.html"
        if clicks:  # a second script is what the page's own policy forbids
            text = re.sub(r'<meta http-equiv="Content-Security-Policy".*?>', "", text, flags=re.S)
            calls = "".join(f"document.querySelectorAll('th button')[{n}].click();" for n in clicks)
            text = text.replace("</body>", CLICK.format(clicks=calls))
        file.write_text(text, encoding="utf-8")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        done = subprocess.run(
            [CHROMIUM, *OPTIONS, profile, f"--window-size={size}", file.as_uri()],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        return done.stdout, re.findall(r".*CONSOLE.*", done.stderr)

    return look


def made() -> str:
    return page.page("A title", [("one", "One", page.table(TABLE))])


def column(text: str, number: int) -> list[str]:
    rows = re.findall(r"<tr>(.*?)</tr>", text.split("<tbody>")[1].split("</tbody>")[0])
    return [re.findall(r"<td[^>]*>(.*?)</td>", row)[number] for row in rows]


@pytest.mark.slow
def test_the_console_stays_empty_and_headings_can_be_clicked(seen):
    text, console = seen(made())
    assert not console
    assert text.count("<button") == 4 and column(text, 0) == TABLE["level"].tolist()


@pytest.mark.slow
def test_the_policy_lets_no_other_script_run(seen):
    evil = made().replace("</body>", "<script>document.title = 'changed'</script></body>")
    text, console = seen(evil)
    assert "<title>A title</title>" in text and "Content Security Policy" in console[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clicks", "levels"),
    [
        ([0], ["Arabic", "Greek", "Hindi", "Turkic"]),
        ([1], ["Turkic", "Hindi", "Arabic", "Greek"]),  # the missing gain last
        ([1, 1], ["Arabic", "Hindi", "Turkic", "Greek"]),  # ... in both directions
        ([2], ["Hindi", "Turkic", "Greek", "Arabic"]),  # by the lower bound
        ([3], ["Arabic", "Turkic", "Hindi", "Greek"]),
    ],
)
def test_a_click_sorts(seen, clicks, levels):
    text, console = seen(made(), *clicks)
    assert column(text, 0) == levels and not console
    assert bool(re.search('<th[^>]*"descending"', text)) == (len(clicks) == 2)
