"""The service's page in a real browser, as a retention manager uses it: Chromium, headless, loading nothing from outside."""

import csv
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from churn.campaigns import planning, synthetic, verdicts
from churn.cards import manager_page
from churn.serving import batch_scoring, bento_server
from churn.settings.core import from_dict
from churn.settings.score import CampaignConfig
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromium-driver are not installed")

UNLABELLED = """return [...document.querySelectorAll("input, select, button, textarea")].filter(
  (e) => !e.labels?.length && !e.getAttribute("aria-label") && !e.textContent.trim()).map((e) => e.outerHTML)"""
LOADED = 'return performance.getEntriesByType("resource").map((entry) => entry.name)'


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = Options()
    options.binary_location = str(CHROMIUM)
    profile, downloads = tmp_path_factory.mktemp("profile"), tmp_path_factory.mktemp("downloads")
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1300,1300", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 f"--user-data-dir={profile}"):  # fmt: skip
        options.add_argument(word)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.downloads = downloads
    yield driver
    driver.quit()


@pytest.fixture(scope="module", params=["the champion", "another data set"])
def page(request: pytest.FixtureRequest, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The page, open and filled in."""
    if request.param == "the champion":
        trained = request.getfixturevalue("trained")
        with bento_server.served(trained.train.bento, CHURNFLOW_PREDICTIONS=str(tmp_path_factory.mktemp("log"))) as url:
            yield _opened(browser, url)
    else:
        yield _opened(browser, request.getfixturevalue("other").url)


def _opened(browser: Any, url: str) -> SimpleNamespace:
    browser.get(url)
    found = SimpleNamespace(
        browser=browser, url=url, one=lambda css: browser.find_element(By.CSS_SELECTOR, css),
        all=lambda css: browser.find_elements(By.CSS_SELECTOR, css),
    )  # fmt: skip
    _until(browser, lambda: "%" in found.one("#probability").text)
    return found


def _until(browser: Any, done: Callable[[], Any], seconds: float = 15) -> Any:
    # The page replaces its rows when an answer comes: one that was just found may be gone.
    wait = WebDriverWait(browser, seconds, 0.05, ignored_exceptions=[StaleElementReferenceException])
    return wait.until(lambda _: done())


def test_an_example_shows_its_probability_and_reasons(page: SimpleNamespace) -> None:
    examples = Select(page.one("#example"))
    for option in reversed(examples.options):
        examples.select_by_value(option.get_attribute("value"))
        said = option.text.split("(")[1].rstrip(")")
        _until(page.browser, lambda said=said: page.one("#probability").text == said)
    points = [float(cell.text.replace("\N{MINUS SIGN}", "-")) for cell in page.all("#reasons td.number")]
    bars = [bar.size["width"] for bar in page.all("#reasons .bar span")]
    assert len(points) == len(bars) >= 5
    assert [abs(p) for p in points] == sorted((abs(p) for p in points), reverse=True)
    assert bars[0] == max(bars) > 20
    leaves = float(page.one("#gauge").get_attribute("aria-valuenow")) >= float(
        page.browser.execute_script("return model.threshold")
    )
    assert page.one("#decision").text == ("Likely to leave" if leaves else "Likely to stay")


def test_a_slider_changes_the_answer_from_the_keyboard(page: SimpleNamespace) -> None:
    before = [cell.text for cell in page.all("#reasons td")]
    sliders = page.all("#customer input[type=range]")
    assert sliders
    for slider in sliders:
        exact = slider.find_element(By.XPATH, "preceding-sibling::input")
        value = exact.get_attribute("value")
        slider.send_keys(Keys.HOME if float(value or 0) > 0 else Keys.END)
        assert exact.get_attribute("value") != value
    _until(page.browser, lambda: [cell.text for cell in page.all("#reasons td")] != before)
    assert page.one("#notice").get_attribute("hidden")


def test_a_refused_value_is_marked_and_explained(page: SimpleNamespace) -> None:
    exact = page.one("#customer input[type=number]")
    page.browser.execute_script(
        "arguments[0].value = '1e39'; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))", exact
    )
    _until(page.browser, lambda: exact.get_attribute("aria-invalid") == "true")
    assert exact.get_attribute("name") in page.one("#notice").text
    Select(page.one("#example")).select_by_index(1)
    _until(page.browser, lambda: exact.get_attribute("aria-invalid") == "false")


def test_everything_is_reached_with_the_tab_key_and_has_a_label(page: SimpleNamespace) -> None:
    assert page.browser.execute_script(UNLABELLED) == []
    page.browser.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    wanted = {e.id for e in page.all("a[href], input, select, button") if e.is_displayed()}
    reached = set()
    for _ in range(len(wanted) + 3):
        webdriver.ActionChains(page.browser).send_keys(Keys.TAB).perform()
        reached.add(page.browser.switch_to.active_element.id)
    assert wanted <= reached


def test_a_file_comes_back_ranked_as_a_download(page: SimpleNamespace, tmp_path: Path) -> None:
    examples = page.browser.execute_script("return model.examples")
    names = list(examples[0])
    given = tmp_path / "customers.csv"
    with given.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["Account, name", *names])
        for i, customer in enumerate(examples * 3):
            values = ["" if customer[name] is None else customer[name] for name in names]
            writer.writerow([f'The "{i}" Müller, AG', *values])
    page.one("#file").send_keys(str(given))
    _until(page.browser, lambda: page.one("#download").is_displayed())
    assert "15 customers" in page.one("#file-state").text
    target = page.browser.downloads / "ranked.csv"
    target.unlink(missing_ok=True)
    page.one("#download").click()
    _until(page.browser, target.is_file)
    time.sleep(0.1)
    with target.open(newline="", encoding="utf-8") as found:
        rows = list(csv.DictReader(found))
    assert list(rows[0]) == ["rank", "probability", "decision", "prediction_id", "Account, name", *names]
    assert [row["rank"] for row in rows] == [str(i) for i in range(1, 16)]
    shares = [float(row["probability"]) for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert {row["Account, name"] for row in rows} == {f'The "{i}" Müller, AG' for i in range(15)}
    dressed = tmp_path / "spreadsheet.csv"  # as a spreadsheet saves it: semicolons, UTF-16, blank rows at the end
    with given.open(newline="", encoding="utf-8") as plain, dressed.open("w", newline="", encoding="utf-16") as out:
        csv.writer(out, delimiter=";").writerows([*csv.reader(plain), [""] * 3, [""] * 3])
    page.one("#file").send_keys(str(dressed))
    _until(page.browser, lambda: "2 rows with nothing in any cell left out" in page.one("#notes").text)
    _until(page.browser, lambda: "15 customers" in page.one("#file-state").text)
    assert "read as UTF-16" in page.one("#notes").text
    assert page.one("#ranked tbody tr td:nth-child(3)").text == rows[0]["Account, name"]
    broken = tmp_path / "broken.csv"
    needed = page.browser.execute_script("return model.schema.required[0]")
    broken.write_text(given.read_text(encoding="utf-8").replace(needed, "nothing"), encoding="utf-8")
    page.one("#file").send_keys(str(broken))
    _until(page.browser, lambda: needed in page.one("#notice").text)


def test_a_downloaded_list_computes_nothing(page: SimpleNamespace, tmp_path: Path) -> None:
    examples = page.browser.execute_script("return model.examples")
    names, hostile = list(examples[0]), ["=1+1", "+a", "-a", "@a", "=a"]
    given = tmp_path / "hostile.csv"
    with given.open("w", newline="", encoding="utf-8") as out:
        rows = [[text, -i, *("" if one[name] is None else one[name] for name in names)]
                for i, (text, one) in enumerate(zip(hostile, examples, strict=True))]  # fmt: skip
        csv.writer(out).writerows([["=cmd", "balance", *names], *rows])
    page.one("#file").send_keys(str(given))
    _until(
        page.browser,
        lambda: page.one("#file-state").text.startswith("5 customers,") and page.one("#download").is_displayed(),
    )
    target = page.browser.downloads / "ranked.csv"
    target.unlink(missing_ok=True)
    page.one("#download").click()
    _until(page.browser, target.is_file)
    time.sleep(0.1)
    with target.open(newline="", encoding="utf-8") as found:
        ranked = list(csv.DictReader(found))
    assert {row["'=cmd"] for row in ranked} == {f"'{text}" for text in hostile}
    assert {row["balance"] for row in ranked} == {"0", "-1", "-2", "-3", "-4"}, "numbers stay numbers"


def test_a_prediction_can_be_recorded_and_nothing_comes_from_outside(page: SimpleNamespace) -> None:
    page.browser.execute_script("arguments[0].click()", page.one("#predict"))
    _until(page.browser, lambda: "Recorded as" in page.one("#recorded").text)
    assert [name for name in page.browser.execute_script(LOADED) if not name.startswith((page.url, "blob:"))] == []
    severe = [line for line in page.browser.get_log("browser") if line["level"] == "SEVERE"]
    assert [line for line in severe if "422" not in line["message"]] == []


def test_the_api_page_sends_its_examples(page: SimpleNamespace) -> None:
    page.browser.get(f"{page.url}/docs")
    _until(page.browser, lambda: len(page.all("main section > details")) >= 7)
    for operation in page.all("main section > details"):
        page.browser.execute_script("arguments[0].open = true", operation)
        operation.find_element(By.XPATH, ".//button").click()
        answers = operation.find_elements(By.XPATH, "./pre")
        _until(page.browser, lambda answers=answers: answers[-1].text.startswith("20"))


def test_the_manager_page_of_a_campaign_follows_the_budget_on_a_phone_and_on_paper(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of its own: the numbers are those of the customers it lists, and an id cannot end the data."""
    monkeypatch.setenv("CHURNFLOW_SCORES", str(tmp_path))
    monkeypatch.setattr(batch_scoring, "scorer", lambda model: SimpleNamespace(worth=None))
    truth = synthetic.population(500, 1)
    offered = truth.table[[]].assign(id=truth.table.customer_id, probability=truth.alone, uplift=truth.uplift)
    offered = offered.assign(worth=truth.uplift, suppressed=False, recent=False, group="", prediction_id="p")
    offered.loc[offered.uplift.idxmax(), "id"] = "</script><b>x"
    tables = {
        "targeting": {"contacts": 60, "control": 0.25, "ranking": "uplift"},
        "offer": [{"name": "call", "cost": 4.0}],
    }
    rule = from_dict(CampaignConfig, {**tables, "report": {"margin": 120.0}}, "campaign.toml")
    known = offered.iloc[:0].assign(arm="", offer="", cost=0.0, share=0.0, stratum=0)
    plan = planning.draft(offered, known.drop(columns=["worth", "suppressed", "recent", "group"]), "spring", rule)
    people: Any = SimpleNamespace(name="people")
    verdicts.keep_verdict(people, "winter", ["Campaign winter, call: helped. <i>21 %</i> against 30 %"])
    browser.set_window_size(500, 900)
    browser.get(f"file://{manager_page.manager_page(plan, None, people, rule)}")  # type: ignore[arg-type]

    def said(name: str) -> str:
        return browser.find_element(By.ID, name).text

    assert (said("contacts"), said("cost"), said("kept"), said("profit")) == ("60", "240", "18.0", "1,920")
    slider = browser.find_element(By.ID, "budget")
    browser.execute_script("arguments[0].value = 10; arguments[0].dispatchEvent(new Event('input'))", slider)
    assert (said("contacts"), said("kept"), said("profit")) == ("10", "3.0", "320")
    assert len(browser.find_elements(By.CSS_SELECTOR, "#list tr")) == 10
    assert "helped. <i>21 %</i> against 30 %" in browser.find_element(By.TAG_NAME, "body").text
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.execute_script(UNLABELLED) == []
    assert browser.execute_script(LOADED) == []
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not slider.is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    browser.set_window_size(1300, 1300)
