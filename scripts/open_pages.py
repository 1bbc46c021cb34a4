"""``make open``: open Churnflow's available pages in the browser, and print the command for each that is unavailable."""

import urllib.request
import webbrowser

import _flows  # noqa: F401 - first: it finds flows/
import cards
from churn.serving import client
from churn.settings import commands
from churn.settings.environment import ROOT

PAGES = (
    ("the service", f"{client.USUAL}/", commands.say("serve")),
    ("MLflow", "http://127.0.0.1:5000/", commands.say("mlflow")),
    ("runs and cards", f"http://127.0.0.1:{cards.PORT}/", commands.say("cards")),
)


def answers(address: str) -> bool:
    """Whether a page is available."""
    try:
        with urllib.request.urlopen(address, timeout=5):  # nosec B310 - loopback
            return True
    except OSError:
        return False


def main() -> None:
    """Open the pages."""
    site = ROOT / "site" / "index.html"
    there = [(name, address, answers(address), command) for name, address, command in PAGES]
    there.append(("the documentation", site.as_uri(), site.is_file(), "make docs"))
    for name, address, answered, command in there:
        print(f"{name:<18} {address if answered else f'is not available; start with: {command}'}")
        if answered:
            webbrowser.open(address)


if __name__ == "__main__":
    main()
