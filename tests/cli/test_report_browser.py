"""report.html in Debian's Chromium, headless."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gancli.files import image_io
from gancli.files.run_folder import RunDir
from gancli.report import page

pytestmark = pytest.mark.debian
CHROMIUM = Path("/usr/bin/chromium")
NIMGS = (0, 1000, 2000, 3000, 4000)
SIZES = [(width, scheme) for width in (1280, 360) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    assert CHROMIUM.exists(), "apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


def make_run(name: str) -> RunDir:
    run = RunDir.create(Path("runs"), name)
    data = {
        "name": "<script>document.title='taken over'</script>",
        "n_train": 1000,
        "class_names": ["<img src=x onerror=x>"],
    }
    run.write_json(run.config, {"preset": name, "data": {**data, "class_counts": [9]}, "ideals": {"d_loss": 1.39}})
    lines = [{"kind": "tick", "nimg": nimg, "d_loss": nimg / 1000, "g_loss": 1.0} for nimg in NIMGS]
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for nimg in NIMGS:
        image_io.write_png(run.frame(nimg), np.full((16, 24), nimg // 20, np.uint8))
    image_io.write_png(run.reals, np.full((16, 24), 9, np.uint8))
    return run


class Opened:
    """A page in the browser, with its requests and its errors."""

    def __init__(self, browser: Any, path: Path, width: int = 1280, scheme: str = "light") -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 700}, color_scheme=scheme)
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(path.absolute().as_uri())
        self.uri = path.absolute().as_uri()

    def state(self) -> tuple[str, str, str, str]:
        """The moment shown, the grey of the first frame, the place of the marker, and the first value."""
        return (
            self.page.inner_text("#moment"),
            self.page.evaluate(
                """async () => {
                    const frame = document.querySelector(".frame");
                    await frame.decode();
                    const context = document.createElement("canvas").getContext("2d");
                    context.drawImage(frame, 0, 0);
                    return String(context.getImageData(0, 0, 1, 1).data[0]);
                }"""
            ),
            self.page.evaluate("document.querySelector('.marker').style.left"),
            self.page.inner_text(".now >> nth=0"),
        )

    def check_alone(self) -> None:
        assert [uri for uri in self.asked if not uri.startswith("data:")] == [self.uri]
        assert self.said == []


def test_a_run_without_frames_keeps_its_picture_while_others_move(browser: Any) -> None:
    still, moving = make_run("classic"), make_run("quick")
    shutil.rmtree(still.frames)
    image_io.write_png(still.samples, np.full((16, 24), 99, np.uint8))
    Path("both.html").write_bytes(page.render_report([still, moving]))
    opened = Opened(browser, Path("both.html"))
    pictures = "[...document.querySelectorAll('figure img')].map((image) => image.src)"
    before = opened.page.evaluate(pictures)
    opened.page.fill("#scrubber", "0")
    after = opened.page.evaluate(pictures)
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False]
    opened.page.fill("#scrubber", str(len(NIMGS) - 1))
    assert opened.page.evaluate(pictures) == before
    opened.check_alone()


def test_scrubbing_by_mouse_and_keys_changes_frame_marker_and_values(browser: Any) -> None:
    opened = Opened(browser, page.write_report(make_run("quick")))
    last, first = ("4.0 kimg · epoch 4.0", "200", "100%", "4.00"), ("0.0 kimg · epoch 0.0", "0", "0%", "0.00")
    second = ("1.0 kimg · epoch 1.0", "50", "25%", "1.00")
    assert opened.state() == last
    opened.page.fill("#scrubber", "0")
    assert opened.state() == first
    opened.page.press("#scrubber", "ArrowRight")
    assert opened.state() == second
    opened.page.press("#scrubber", "End")
    assert opened.state() == last
    opened.page.evaluate("document.activeElement.blur()")
    opened.page.keyboard.press("ArrowLeft")
    assert opened.state() == ("3.0 kimg · epoch 3.0", "150", "75%", "3.00")
    plot = opened.page.locator(".plot").first
    plot.click(position={"x": 0.27 * plot.bounding_box()["width"], "y": 20})
    assert opened.state() == second
    opened.check_alone()


def test_the_play_button_runs_from_the_start_to_the_end_and_stops(browser: Any) -> None:
    opened = Opened(browser, page.write_report(make_run("quick")))
    opened.page.evaluate(
        """() => {
            window.seen = [];
            const [play, moment] = ["#play", "#moment"].map((name) => document.querySelector(name));
            new MutationObserver(() => {
                const n = seen.push(`${play.getAttribute("aria-label")} at ${moment.textContent}`);
                document.documentElement.dataset.seen = n;
            }).observe(document.body, { subtree: true, childList: true, attributes: true });
        }"""
    )
    opened.page.focus("#play")
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_selector("html[data-seen='5']", state="attached")
    told = [f"Pause at {kimg}.0 kimg · epoch {kimg}.0" for kimg in range(4)]
    assert opened.page.evaluate("seen") == [*told, "Play at 4.0 kimg · epoch 4.0"]
    opened.check_alone()


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_it_fits_any_screen_light_or_dark_and_runs_no_code_from_a_file(browser: Any, width: int, scheme: str) -> None:
    runs = [make_run("quick"), make_run("classic")]
    both = Path("both.html")
    both.write_bytes(page.render_report(runs))
    for path in (page.write_report(runs[0]), both):
        opened = Opened(browser, path, width, scheme)
        assert opened.page.evaluate("document.documentElement.scrollWidth") == width
        paper = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 18, 18)"}[scheme]
        assert opened.page.title() != "taken over"
        opened.page.screenshot(path=f"{path.stem}-{width}-{scheme}.png", full_page=True)
        opened.check_alone()


def test_keys_reach_every_control(browser: Any) -> None:
    opened = Opened(browser, page.write_report(make_run("quick")))
    reached = set()
    for _ in range(12):
        opened.page.keyboard.press("Tab")
        reached.add(opened.page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"play", "scrubber", "SUMMARY"} <= reached


def test_the_page_reloads_from_disk_until_its_run_ends(browser: Any) -> None:
    run, act = make_run("quick"), "void setTimeout(window.act)"
    with run.lock():
        opened = Opened(browser, page.write_report(run))
        shown = opened.page
        shown.add_init_script("window.setInterval = (act, ms) => { Object.assign(window, { act, ms }); }")
        shown.reload()
        assert shown.evaluate("window.ms") == 1000 * page.RELOAD_S
        shown.evaluate("document.querySelector('details').open = false; window.scrollTo(0, 120)")
        with shown.expect_event("load"):
            shown.evaluate(act)
        assert not shown.evaluate("document.querySelector('details').open")
        shown.wait_for_function("window.scrollY === 120")
        shown.fill("#scrubber", "1")
        shown.evaluate("window.isOld = true")
        shown.evaluate(act)
        shown.wait_for_timeout(300)
        assert shown.evaluate("window.isOld")  # an earlier moment is on the screen
        run.events.write_text('{"event": "finished", "nimg": 4000}\n')
        page.write_report(run)
    shown.fill("#scrubber", "4")
    with shown.expect_event("load"):
        shown.evaluate(act)
    assert "finished" in shown.inner_text(".facts")
    assert not shown.evaluate("'act' in window")  # the run has ended
    assert {uri for uri in opened.asked if not uri.startswith("data:")} == {opened.uri}
    assert opened.said == []


def test_the_page_of_a_killed_run_stops_reloading_and_says_how_to_continue(browser: Any) -> None:
    run = make_run("quick")
    with run.lock():
        path = page.write_report(run)
    opened = Opened(browser, path)
    shown, written_s = opened.page, time.time()
    assert not shown.is_visible("#silent")
    shown.clock.install(time=written_s + 1.1 * page.SHORTEST_PATIENCE_S)
    shown.reload()
    shown.evaluate("window.isOld = true")
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(written_s))
    assert shown.inner_text("#silent") == (
        f"This run has not written since {date}. If it was stopped, continue it with gancli train --resume {run.path}"
    )
    shown.clock.run_for(10 * 1000 * page.RELOAD_S)
    shown.wait_for_timeout(300)
    assert shown.evaluate("window.isOld")
    assert opened.said == []


def test_the_page_of_a_run_that_was_written_in_time_keeps_reloading(browser: Any) -> None:
    run = make_run("quick")
    with run.lock():
        path = page.write_report(run)
    shown = Opened(browser, path).page
    shown.clock.install(time=time.time() + 0.9 * page.SHORTEST_PATIENCE_S)
    shown.reload()
    with shown.expect_event("load"):
        shown.clock.run_for(1000 * page.RELOAD_S)
    assert not shown.is_visible("#silent")
