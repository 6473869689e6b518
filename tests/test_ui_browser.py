"""What people see in MLflow's pages, in a real Chromium.

With MLSDM_SCREENSHOTS=reports pictures of the pages are kept there: ui-runs.png, ui-compare.png and
ui-artifact.png, which shows the path of pytest's folder (--basetemp).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mlsdm.plan.plan import load_plan
from mlsdm.project import default_store
from mlsdm.sweep.driver import Settings
from mlsdm.sweep.sweeping import SweepOutcome, run_plan
from mlsdm.tracking import Store

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: the extra `test`")
pytestmark = [
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="needs chromium and chromedriver on the PATH (Debian: chromium, chromium-driver)",
    ),
    pytest.mark.skipif(os.name != "posix", reason="ends its server with a signal"),
]

SECONDS = 60  # for a page to show what it should
SWEEP = """\
question: What does the filter pass and refuse when it steers to another acceptance rate?
notebook: 02-moral-adaptation
parameters: {n_events: 200, shares: [0.1, 0.5, 0.9]}
sweep:
  engine.moral.target_rate: [0.5, 0.7, 0.9]
seeds: 20
thresholds:
  moral/off_target/share_0.1: {max: 0.06}
  moral/safe_refused/share_0.5: {max: 0.05}
  moral/toxic_passed/share_0.9: {min: 0.28, max: 0.36}
"""
NAMES = {f"target_rate={rate}" for rate in (0.5, 0.7, 0.9)}
SERVE = "import sys; from pathlib import Path; from mlsdm.ui import serve_ui\n"
SERVE += "serve_ui(Path(sys.argv[1]), None, 0)"
# Whether anything is to be seen in the canvases of a chart.
PAINTED = """
return [...document.querySelectorAll('.js-plotly-plot canvas')].some(drawn => {
  const copy = document.createElement('canvas');
  [copy.width, copy.height] = [drawn.width, drawn.height];
  const context = copy.getContext('2d');
  context.drawImage(drawn, 0, 0);
  return context.getImageData(0, 0, copy.width, copy.height).data.some(value => value > 0);
})"""


@dataclass(frozen=True)
class Shown:
    """A sweep, and the links to it that `mlsdm ui` prints while it serves them."""

    store: Store
    sweep: SweepOutcome
    address: str
    links: dict[str, str]

    def run_page(self, run_id: str, page: str = "") -> str:
        base = self.links["runs"].partition("?")[0]
        return f"{base}/{run_id}{page}?workflowType=machine_learning"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    project = tmp_path_factory.mktemp("in a browser")
    for folder in ("notebooks", "experiments"):
        (project / folder).mkdir()
    notebooks = Path(__file__).parent.parent / "notebooks"
    shutil.copy(notebooks / "02-moral-adaptation.ipynb", project / "notebooks")
    path = project / "experiments" / "target-rates.yaml"
    path.write_text(SWEEP)
    store = Store.open(project, default_store(project))
    plan = load_plan(path, project)
    swept = run_plan(store, project, plan, Settings(workers=2, threads=1, warm=True))
    assert [run.status for run in swept.runs] == ["FINISHED"] * 3
    command = [sys.executable, "-c", SERVE, str(project)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        lines = [server.stdout.readline().split() for _ in range(5)]
        assert lines[1] == ["target-rates"]
        yield Shown(store, swept, lines[0][1], {line[0]: line[1] for line in lines[2:]})
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)


class Page:
    """A browser, whose questions are asked again until the answer is yes."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        self.driver.get("about:blank")  # else a page that differs behind the # only stays as it is
        self.driver.get(address)

    def js(self, script: str) -> Any:
        return self.driver.execute_script(script)

    @property
    def text(self) -> str:
        return str(self.js("return document.body ? document.body.innerText : ''"))

    def shows(self, *texts: str) -> bool:
        return self.wait(lambda: all(text in self.text for text in texts), f"{texts} in the page")

    def wait(self, true: Callable[[], object], what: str) -> bool:
        """Return True once it is true; say what the page showed if it never is."""
        from selenium.common.exceptions import TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        try:
            return bool(WebDriverWait(self.driver, SECONDS, 0.2).until(lambda _: true()))
        except TimeoutException:
            raise AssertionError(f"never {what}: {self.text[:2000]}") from None

    def click(self, text: str) -> None:
        by = f"//*[normalize-space(text())={json.dumps(text)}]"
        self.wait(lambda: self.driver.find_elements("xpath", by), f"{text!r} to click on")
        self.driver.find_element("xpath", by).click()

    def image(self, part: str) -> bool:
        """Wait until an image whose address holds `part` is there and could be read."""
        script = (
            "return [...document.images].some(i => decodeURIComponent(i.src)"
            f".includes({json.dumps(part)}) && i.complete && i.naturalWidth > 100)"
        )
        return self.wait(lambda: self.js(script), f"an image of {part}")

    def keep(self, name: str) -> None:
        """Keep a picture of the page, if asked to."""
        if folder := os.environ.get("MLSDM_SCREENSHOTS"):
            self.js("document.activeElement && document.activeElement.blur()")
            self.driver.save_screenshot(str(Path(folder, f"{name}.png")))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, shown: Shown) -> Iterator[Page]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += ["--disable-dev-shm-usage", "--force-device-scale-factor=1"]
    flags += ["--window-size=1400,1000", f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]
    for flag in flags:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        found = Page(driver)
        # A panel that covers a quarter of every page, until it is closed for the first time.
        driver.get(f"{shown.address}/version")
        for name in ("panelOpen", "fab.autoOpenedOnFirstLoad"):
            value = json.dumps(name != "panelOpen")
            found.js(f"localStorage.setItem('mlflow.assistant.{name}_v1', {json.dumps(value)})")
        yield found
    finally:
        driver.quit()


def test_the_link_shows_every_run_by_its_name_and_what_varies(page: Page, shown: Shown) -> None:
    page.open(shown.links["runs"])
    assert page.shows(
        *NAMES, "3 matching runs", "engine.moral.target_rate", "verdict", "all come out"
    )
    page.keep("ui-runs")


def test_the_link_draws_the_charts_at_once_and_no_bounds_before_them(
    page: Page, shown: Shown
) -> None:
    page.open(shown.links["charts"])
    bars = "return document.querySelectorAll('.js-plotly-plot .bars .point path').length"
    assert page.wait(lambda: page.js(bars) >= 3, "a chart with a bar for each run")

    def bare() -> bool:
        text = page.text.replace("(?!interval/", "")
        return "moral/off_target" in text and "interval/" not in text

    assert page.wait(bare, "charts of metrics and none of bounds")


def test_the_comparison_of_three_runs_draws_its_chart(page: Page, shown: Shown) -> None:
    experiment = shown.store.experiment("target-rates")
    runs = quote(json.dumps([run.run_id for run in shown.sweep.runs]))
    which = f"runs={runs}&experiments={quote(json.dumps([experiment]))}"
    page.open(f"{shown.address}/#/compare-runs?{which}&workflowType=machine_learning")
    assert page.shows("Comparing 3 Runs from 1 Experiment", *NAMES)
    lines = (
        "const plot = document.querySelector('.js-plotly-plot');"
        "return plot && plot.data ? plot.data[0].dimensions.map(d => [d.label, d.values]) : []"
    )
    assert page.wait(lambda: page.js(lines), "a chart of parallel coordinates")
    drawn = dict(page.js(lines))
    assert sorted(drawn["engine.moral.target_rate"]) == [0.5, 0.7, 0.9]
    assert all(len(values) == 3 for values in drawn.values())
    assert page.wait(lambda: page.js(PAINTED), "lines in it")
    page.keep("ui-compare")
    page.click("Scatter Plot")
    points = (
        "const plot = document.querySelector('.js-plotly-plot');"
        "return plot && plot.data && plot.data[0].x ? plot.data[0].x.map(Number) : []"
    )
    assert page.wait(
        lambda: sorted(page.js(points)) == [0.5, 0.7, 0.9], "a scatter plot of three points"
    )


def test_the_page_of_a_file_shows_the_figure(page: Page, shown: Shown) -> None:
    figure = "figures/moral/errors_by_share.png"
    page.open(shown.run_page(shown.sweep.runs[0].run_id, f"/artifacts/{figure}"))
    assert page.shows(figure, "02-moral-adaptation.ipynb")
    assert page.image("blob:")
    page.keep("ui-artifact")


def test_the_page_of_the_sweep_holds_its_verdicts_its_picture_and_its_means(
    page: Page, shown: Shown
) -> None:
    page.open(shown.links["sweep"])
    assert page.shows("What does the filter pass and refuse", "Verdict:")
    page.click("Show more")
    assert page.shows("Thresholds", "mean [95 % interval]", "moral/off_target/share_0.1", "<= 0.06")
    cells = "return [...document.querySelectorAll('td')].map(cell => cell.innerText)"
    verdicts = [text for text in page.js(cells) if text in ("met", "not met", "undecided")]
    assert verdicts == [row.verdict for row in sorted(shown.sweep.checks, key=lambda r: r.ok)]
    assert page.image(
        f"get-artifact?path=figures/moral/errors_by_share.png&run_uuid={shown.sweep.run_id}"
    )
    page.open(shown.run_page(shown.sweep.run_id, "/model-metrics"))
    points = "return document.querySelectorAll('.js-plotly-plot .scatterlayer .point').length"
    assert page.wait(lambda: page.js(points) >= 3, "the means as a course over the points")
