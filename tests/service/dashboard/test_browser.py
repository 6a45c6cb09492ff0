"""The dashboard in a real browser: Debian's Chromium, driven by Selenium."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from nyx_plugins import Event, EventKind, PluginFailed, PluginHeader, PluginSystem, SystemStopped
from nyx_plugins.plugins.worker.jail.level import Enforcement
from nyx_plugins.service.dashboard import serve_dashboard
from nyx_plugins.service.dashboard.server import DashboardServer

DATA = 0x52
TOKEN = "correct horse battery"
WAIT_S = 30
DASH = "\u2013"
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-breakpad", "--window-size=1400,1000"),
)


class Page:
    """One open page."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        driver.get(url)

    def find(self, selector: str) -> WebElement:
        """The first element, as soon as it is there."""
        found = self.until(lambda: self.driver.find_elements(By.CSS_SELECTOR, selector), f"{selector} is not there")
        return found[0]  # type: ignore[no-any-return]

    def until(self, condition: Callable[[], Any], else_say: str) -> Any:
        """What the condition gives, as soon as that is something."""
        wait = WebDriverWait(self.driver, WAIT_S, 0.02, (StaleElementReferenceException,))
        return wait.until(lambda _: condition(), else_say)

    def says(self, selector: str, text: str) -> None:
        """Wait until the element holds this text."""
        self.until(lambda: text in self.find(selector).text, f"{selector} does not say {text!r}")

    def ask(self, script: str) -> Any:
        """What a script returns."""
        return self.driver.execute_script(f"return {script}")

    def log(self) -> list[str]:
        """What the browser has complained about since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Return a browser with a home of its own, or skip; where everything has to be tested, fail."""
    programs = [shutil.which("chromium"), shutil.which("chromedriver")]
    if not all(programs):
        reason = "a browser is needed: Debian's packages chromium and chromium-driver"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    home = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = str(programs[0])
    for flag in (*FLAGS, f"--user-data-dir={home / 'profile'}"):
        options.add_argument(flag)  # type: ignore[no-untyped-call]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)}
    driver = webdriver.Chrome(options, Service(str(programs[1]), env=environment))
    yield driver
    driver.quit()


@pytest.fixture
def open_page(driver: webdriver.Chrome) -> Iterator[Callable[..., Page]]:
    """Return a function that serves a system's dashboard and opens it; nothing may have gone wrong in the browser."""
    servers: list[DashboardServer] = []
    driver.get_log("browser")  # type: ignore[no-untyped-call]

    def make(system: Any, token: str | None = None, address: str = "127.0.0.1:0") -> Page:
        servers.append(serve_dashboard(address, system, token))
        page = Page(driver, servers[-1].url)
        page.server = servers[-1]  # type: ignore[attr-defined]
        page.says("#connection", "Live")
        return page

    yield make
    driver.get("about:blank")
    for server in servers:
        server.close()


@pytest.fixture
def clean(driver: webdriver.Chrome) -> Iterator[None]:
    """Fail if the browser has complained about anything."""
    yield
    assert [entry["message"] for entry in driver.get_log("browser")] == []  # type: ignore[no-untyped-call]


@pytest.mark.usefixtures("clean")
def test_an_empty_system_says_what_to_do(fake: Any, open_page: Any) -> None:
    """Without plugins there is no empty table but a hint, and the browser has nothing to complain about."""
    page = open_page(fake)
    page.says("#empty", "No plugins yet")
    page.says("#events-empty", "Nothing has happened")
    assert not page.find("#plugins").is_displayed() and not page.find("#unlock").is_displayed()


@pytest.mark.usefixtures("clean")
@pytest.mark.needs_worker(reason="a worker crashes")
def test_a_crash_is_seen_at_once(system: PluginSystem, fault: Any, open_page: Any) -> None:
    """A plugin that crashes is in the log of events and in its row without anybody reloading the page."""
    system.load(fault("crashing_plugin", plugin_id=3))
    page = open_page(system)
    page.says("[data-plugin='3'] .state", "ready")
    started_s = time.monotonic()
    system.dispatch(DATA, PluginHeader(3, 0, b"crash"))
    page.says("[data-event='crashed']", "worker exited with code 13")
    print(f"the crash was seen after {time.monotonic() - started_s:.3f} s")
    page.says("[data-plugin='3'] [data-column='restarts']", "1")
    print(f"the restart was counted after {time.monotonic() - started_s:.3f} s")
    page.says("[data-plugin='3'] [data-column='dead']", "1")
    page.says("[data-plugin='3'] .state", "ready")


@pytest.mark.usefixtures("clean")
def test_a_plugin_that_has_failed_says_why(fake: Any, stats: Any, open_page: Any) -> None:
    """What its last event told stands in its details too."""
    fake.add(3, stats(state="failed"), state="failed")
    page = open_page(fake)
    page.find("[data-plugin='3'] .toggle").click()
    fake.publish(Event(EventKind.FAILED, 3, "worker not restarted: it exited with code 13"))
    page.says(".details .problem", "worker not restarted: it exited with code 13")


@pytest.mark.usefixtures("clean")
def test_hostile_texts_stay_texts(fake: Any, stats: Any, open_page: Any) -> None:
    """Names and reasons that look like markup are shown as they are, and what is invisible in them is spelt out."""
    bad = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"
    fake.add(1, stats(), name=bad)
    fake.add(2, stats(), name="\u202egpj.exe\x1b[31m" + "long" * 1000)
    page = open_page(fake)
    page.says("[data-plugin='1'] .name", bad)
    fake.publish(Event(EventKind.CRASHED, 1, bad + "\n\u2066x" + "y" * 100_000))
    page.says("[data-event='crashed'] .reason", bad + "\\u000a\\u2066xy")
    page.says("[data-event='crashed'] .who", bad)
    page.says("[data-plugin='2'] .name", "\\u202egpj.exe\\u001b[31mlong")
    assert page.ask("window.hacked") is None
    assert page.ask("document.querySelectorAll('img').length") == 1
    assert page.ask("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.usefixtures("clean")
def test_details_open_by_keyboard(fake: Any, stats: Any, open_page: Any) -> None:
    """The first stop of the Tab key leads to the plugins; Enter opens a row, which keeps the focus and stays open."""
    fake.add(1, stats(accepted=1234, capacity=100, peak=7, actor_pid=4711))
    fake.add(2, stats())
    page = open_page(fake)
    toggle = page.find("[data-plugin='1'] .toggle")
    toggle.send_keys(Keys.ENTER)
    page.says(".details", "7 of 100 frames")
    assert "4711" in page.find(".details").text and "1,234" in page.find(".details").text
    fake.add(0, stats())
    page.find("[data-plugin='0']")
    assert toggle.get_attribute("aria-expanded") == "true" and page.driver.switch_to.active_element == toggle
    toggle.send_keys(Keys.ENTER)
    page.until(lambda: not page.driver.find_elements(By.CSS_SELECTOR, ".details"), "the details are still there")


@pytest.mark.usefixtures("clean")
def test_it_shows_who_has_signed_and_how_well_plugins_are_confined(fake: Any, stats: Any, open_page: Any) -> None:
    """The level stands above all, with what is missing on demand; the key stands in a plugin's details."""
    fake.enforcement = Enforcement("partial", {"net": "an old kernel"})
    fake.add(1, stats())
    fake.infos[1] = attrs.evolve(fake.infos[1], signed_by="ed25519:" + "A" * 44)
    page = open_page(fake)
    page.says("#facts", "policies enforced: partial")
    assert page.find("#facts").get_attribute("title") == "Not enforced: net: an old kernel"
    page.find("[data-plugin='1'] .toggle").click()
    page.says(".details", "ed25519:" + "A" * 44)


@pytest.mark.usefixtures("clean")
def test_the_table_can_be_sorted_and_filtered(fake: Any, stats: Any, open_page: Any) -> None:
    """What is wanted stands on top, or alone."""
    for plugin_id, restarts in ((1, 5), (2, 0), (3, 9)):
        fake.add(plugin_id, stats(restarts=restarts), name=f"name{plugin_id}")
    page = open_page(fake)
    rows = "[...document.querySelectorAll('[data-plugin]')].map(row => row.dataset.plugin).join()"
    page.until(lambda: page.ask(rows) == "1,2,3", "the plugins are not in order")
    for order, sort in (("3,1,2", "descending"), ("2,1,3", "ascending"), ("1,2,3", None)):
        page.find("th[data-column='restarts'] button").click()
        assert page.ask(rows) == order
        assert page.find("th[data-column='restarts']").get_attribute("aria-sort") == sort
    page.find("#filter").send_keys("NAME3")
    assert page.ask(rows) == "3"
    page.find("#filter").send_keys("x")
    page.says("#nothing", "No plugin matches")


def test_the_token_unlocks_actions(fake: Any, stats: Any, open_page: Any) -> None:
    """A wrong token is refused in words; with the right one each button does what it says; locking takes it back."""
    fake.add(7, stats())
    page = open_page(fake, TOKEN)
    page.find("[data-plugin='7'] .toggle").click()
    page.says(".permissions", "control")
    assert not page.driver.find_elements(By.CSS_SELECTOR, ".details button")
    page.find("#unlock").click()
    page.find("#token").send_keys("wrong", Keys.ENTER)
    page.says("#token-error", "This is not the token.")
    page.find("#token").clear()
    page.find("#token").send_keys(TOKEN, Keys.ENTER)
    page.find("[data-action='pause']").click()
    page.find("[data-action='permission control']").click()
    page.find("[data-action='permission handshake']").click()
    page.find("[data-action='unload']").click()
    page.says("#confirm-title", "Unload echo (7)?")
    page.find("#confirm-dialog [value='no']").click()
    page.find("[data-action='unload']").click()
    page.find("#confirm-yes").click()
    expected = {("pause", 7), ("revoke", 7, "control"), ("grant", 7, "handshake"), ("unload", 7)}
    page.until(lambda: set(fake.done) == expected and len(fake.done) == 4, "not all was done once")
    assert page.ask("document.cookie") == "" and page.ask("localStorage.length") == 0
    page.driver.refresh()
    page.says("#unlock", "Lock actions")
    page.find("#unlock").click()
    page.says("#unlock", "Unlock actions")
    assert page.ask("sessionStorage.length") == 0
    assert [line for line in page.log() if "401" not in line] == []


@pytest.mark.usefixtures("clean")
def test_what_is_refused_is_told_where_it_was_asked(fake: Any, stats: Any, open_page: Any) -> None:
    """The system's words appear beside the buttons, and go with the next success."""
    fake.add(7, stats())
    fake.refusal = SystemStopped("it was closed")
    page = open_page(fake, TOKEN)
    page.ask(f"sessionStorage.setItem('nyx-plugins token', '{TOKEN}')")
    page.driver.refresh()
    page.find("[data-plugin='7'] .toggle").click()
    page.find("[data-action='pause']").click()
    page.says(".details .error", "the plugin system has stopped: it was closed.")
    assert all("503" in line for line in page.log())
    fake.refusal = None
    page.find("[data-action='pause']").click()
    page.until(lambda: not page.find(".details .error").is_displayed(), "the error is still there")


@pytest.mark.usefixtures("clean")
def test_a_system_that_stops_is_told(fake: Any, stats: Any, open_page: Any) -> None:
    """The page says that the system has stopped and why, and keeps what it showed last."""
    fake.add(7, stats())
    page = open_page(fake)
    page.find("[data-plugin='7']")
    fake.stopped = SystemStopped("its host process ended")
    page.says("#connection", "Stopped")
    page.says("#banner", "The system has stopped: its host process ended.")
    assert page.find("[data-plugin='7']").is_displayed()


def test_a_service_that_comes_back_is_found(fake: Any, stats: Any, open_page: Any) -> None:
    """A page that is left open says that the service has ended, and goes on by itself when there is one again."""
    page = open_page(fake)
    page.server.close()
    page.says("#connection", "Stopped")
    fake.add(7, stats())
    again = serve_dashboard(f"127.0.0.1:{page.server.place.port}", fake)
    try:
        page.says("#connection", "Live")
        page.find("[data-plugin='7']")
        assert not page.find("#banner").is_displayed()
    finally:
        page.driver.get("about:blank")
        again.close()
    assert all("ERR_" in line for line in page.log())


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(("width", "height"), [(320, 640), (800, 600), (2560, 1440)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off(fake: Any, stats: Any, open_page: Any, width: int, height: int, scheme: str) -> None:
    """On a telephone and on a wide screen, in light and in dark, the page fits and its texts can be read."""
    fake.add(7, stats(restarts=10**12, accepted=10**15, in_mailbox=100_000, capacity=100_000), name="n" * 64)
    fake.add(8, PluginFailed(8, "x" * 500), state="failed")
    page = open_page(fake)
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
    try:
        page.find("[data-plugin='7'] .toggle").send_keys(Keys.ENTER)
        page.find(".details")
        assert page.ask("document.documentElement.scrollWidth") <= width
        assert page.ask(_LOW_CONTRAST) == []
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


# Texts whose contrast with what is behind them is below 4.5 (WCAG AA), with their contrast.
_LOW_CONTRAST = """(() => {
  const rgba = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const over = ([r, g, b, a], below) => [r, g, b].map((c, i) => c * a + below[i] * (1 - a));
  const behind = (node) => {
    const layers = [];
    for (; node; node = node.parentElement) layers.push(rgba(getComputedStyle(node).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const low = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || node.disabled || !node.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const ground = behind(node);
    const pair = [light(ground), light(over(rgba(getComputedStyle(node).color), ground))].sort((a, b) => b - a);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (contrast < 4.5) low.push(`${node.className} ${node.textContent}: ${contrast.toFixed(2)}`);
  }
  return low;
})()"""


@pytest.mark.usefixtures("clean")
def test_numbers_are_written_as_people_read_them(fake: Any, open_page: Any) -> None:
    """Units, thousands, and a dash for what is not known."""
    page = open_page(fake)
    cases = {
        "count": [[0, "0"], [1234, "1,234"], [123456, "123.5K"], [None, DASH]],
        "rate": [[0, "0"], [0.44, "0.4"], [9.96, "10"], [1234.5, "1,235"], [None, DASH]],
        "percent": [[0, "0 %"], [0.26, "0.3 %"], [99.9, "100 %"], [None, DASH]],
        "bytes": [[0, "0 B"], [1023, "1,023 B"], [13_841_203, "13.2 MiB"], [2**60, "1,048,576 TiB"], [None, DASH]],
        "latency": [[0.0001, "0.1 ms"], [0.25, "250 ms"], [2.5, "2.5 s"], [None, DASH]],
        "duration": [[0, "0 s"], [61, "1 min 1 s"], [3600, "1 h"], [90_061, "1 d 1 h"], [None, DASH]],
    }
    script = (
        "const [cases, done] = arguments;"
        "import('/format.js').then((format) => done(cases.map(([name, value]) => [name, value, format[name](value)])))"
    )
    expected = [[name, value, text] for name, pairs in cases.items() for value, text in pairs]
    assert page.driver.execute_async_script(script, expected) == expected
