"""``make pictures``: take the documentation's pictures from a real run on synthetic customers, in a separate state folder.

``docs/pictures/made_of.json`` keeps a hash of what each picture shows; tests/unit/test_pictures.py reports outdated ones.
"""

import hashlib
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]  # imports nothing from flows/: its settings would apply to the runs
PLACE = ROOT / "docs" / "pictures"
CARDS = "flows/churn/cards"
# The sources of each picture: it is outdated when one of them changes.
MADE_OF = {
    "page.webp": ("bento/static/index.html", "bento/static/page.css", "bento/static/page.js"),
    "training.webp": (f"{CARDS}/training_card.py", f"{CARDS}/card_parts.py"),
    "monitoring.webp": (f"{CARDS}/monitoring_card.py", f"{CARDS}/card_parts.py"),
    "cards.webp": ("scripts/cards.py",),
    "run.svg": ("scripts/run.py", "scripts/summary.py"),
}
WIDTH = 1366  # a laptop's
SECONDS = 10.0  # length of a recording, however long the run was


def hashed(name: str) -> str:
    """A hash of a picture's sources."""
    content = hashlib.sha256()
    for path in MADE_OF[name]:
        content.update((ROOT / path).read_bytes())
    return content.hexdigest()[:16]


def recorded(*words: str) -> list[tuple[float, str]]:
    """A command's output, line by line, with the time of each line in seconds."""
    begun = time.monotonic()
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    lines = [(time.monotonic() - begun, line.rstrip()) for line in process.stdout]
    if process.wait():
        sys.exit("\n".join(line for _, line in lines[-20:]))
    return lines


def terminal(command: str, lines: list[tuple[float, str]]) -> str:
    """The recording as an animated SVG: the end of each step, and the whole summary."""
    shown = [(0.0, f"$ {command}")]
    for second, line in lines:
        if step := re.match(r"\S+ \S+ \[\d+/(\w+)/\d+ \(pid \d+\)\] Task finished", line):
            shown.append((second, f"  {step[1]} finished"))
        elif re.match(r"(Data|Families|Holdout|Verdict|Champion|Bento|Serve) |^ {11}\w", line):
            line = line.split("    # ")[0]
            shown.append((second, line[:118] + ("…" if len(line) > 118 else "")))
    faster = max(shown[-1][0] / SECONDS, 1.0)
    rows = [
        f'<text x="16" y="{30 + 19 * i}" style="animation-delay:{second / faster:.2f}s">{html.escape(text)}</text>'
        for i, (second, text) in enumerate(shown)
    ]
    height = 30 + 19 * len(shown)
    style = (
        "text{font:14px ui-monospace,Menlo,Consolas,monospace;fill:#dfe6ec;white-space:pre;opacity:0;animation:show .01s "
        "forwards}@keyframes show{to{opacity:1}}@media(prefers-reduced-motion){text{animation-delay:0s!important}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1040 {height}" role="img" aria-label="{html.escape(command)}">'
        f'<style>{style}</style><rect width="100%" height="100%" rx="8" fill="#17222c"/>{"".join(rows)}</svg>\n'
    )


@contextmanager
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = shutil.which("chromium") or sys.exit("make pictures needs Chromium and its driver")
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking",
                 f"--window-size={WIDTH},900"):  # fmt: skip
        options.add_argument(word)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def take(driver: Any, address: str, name: str, seconds: float, box: tuple[int, int, int, int]) -> None:
    """Take a picture of a page: the part in ``box`` (left, top, right, bottom, in pixels of a laptop's screen)."""
    from PIL import Image

    driver.set_window_size(WIDTH, box[3] + 200)
    driver.get(address)
    time.sleep(seconds)  # Vega draws, without an event when done
    picture = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB").crop(box)
    picture.save(PLACE / name, "WEBP", quality=80, method=6)


def main() -> None:
    """Run the flows, and take every picture."""
    with tempfile.TemporaryDirectory() as state:
        os.environ["CHURNFLOW_HOME"] = state
        run = ("make", "run")
        (PLACE / "run.svg").write_text(terminal(" ".join(run), recorded(*run)), encoding="utf-8")
        recorded("make", "drift-demo")
        # In a separate process, whose settings are those of the new state folder.
        subprocess.run([sys.executable, __file__, "--pages"], check=True)
    noted = {name: hashed(name) for name in sorted(MADE_OF)}
    (PLACE / "made_of.json").write_text(json.dumps(noted, indent=1) + "\n", encoding="utf-8")


def pages() -> None:
    """Take the pictures of pages, from the state folder named by CHURNFLOW_HOME."""
    sys.path.insert(0, str(ROOT / "scripts"))
    import cards
    import serve
    from churn.serving import bento_server

    PLACE.mkdir(exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), cards.Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    tag = serve.champion_tag("telco")
    with browser() as driver:
        take(driver, f"{address}/", "cards.webp", 1, (180, 0, 1186, 380))
        links = re.findall(r'href="(/card/(\w+)/[^"]*)">(\w+)<', cards.page())
        newest = {name: path for path, flow, name in reversed(links)}
        take(driver, address + newest["training"], "training.webp", 8, (320, 30, 1366, 1480))
        take(driver, address + newest["monitoring"], "monitoring.webp", 8, (320, 30, 1366, 1180))
        with bento_server.served(tag) as url:
            take(driver, url, "page.webp", 4, (0, 0, WIDTH, 980))
    server.shutdown()


if __name__ == "__main__":
    pages() if "--pages" in sys.argv else main()
