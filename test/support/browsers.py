# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A page in a real browser: Debian's chromium, without a window."""

import contextlib
import io
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

SCENE_WIDTH = 800
"""Width of the scene left of the panel, pixels."""

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
REPORT = Path(__file__).parents[2] / "report"

needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="there is no browser (Debian: apt install chromium chromium-driver)",
)

OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,850"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
)
NOTE_FRESH = """
const timer = setInterval(() => {
  const is_fresh = [...document.querySelectorAll("div")].some(
    one => !one.childElementCount && one.textContent.startsWith("fresh"));
  if (!is_fresh) return;
  window.shown = (performance.timeOrigin + performance.now()) / 1e3;
  clearInterval(timer);
}, 20);
"""
"""Notes when the page has shown first that the planner is fresh, s since 1970."""


HIDE_NOTICES = """
document.addEventListener("DOMContentLoaded", () => {
  const style = document.createElement("style");
  style.textContent = "[class*='mantine-Notifications'] { display: none }";
  document.head.append(style);
});
"""
"""Hides what viser says of drawing in software, which would lie above the scene."""


class Browser:
    """A page, and what is on it by its texts."""

    def __init__(self, wait_until, downloads):
        self._wait_until = wait_until
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for option in OPTIONS:
            options.add_argument(option)
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        # A group of processes of its own, which can be stopped together.
        service = webdriver.ChromeService(DRIVER, popen_kw={"start_new_session": True})
        self.driver = webdriver.Chrome(options, service)
        for script in (NOTE_FRESH, HIDE_NOTICES):
            self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        self.group = service.process.pid

    def close(self, screenshot):
        """End the browser, unless a test has killed it, with a last screenshot."""
        if self.driver.service.process.poll() is None:
            with contextlib.suppress(WebDriverException):
                self.driver.save_screenshot(str(screenshot))
            self.driver.quit()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGKILL)

    def act(self, path, do=lambda element: element.is_displayed() or None):
        """Do something with the first element of a path with which that is possible."""
        done = []

        def attempt():
            # The page may be drawing it anew, or something may still lie above it.
            for element in self.driver.find_elements(By.XPATH, path):
                with contextlib.suppress(WebDriverException):
                    result = do(element)
                    if result is not None:
                        done.append(result)
                        break
            return done

        self._wait_until(attempt, 240.0)
        return done[0]

    def click(self, path):
        self.act(path, lambda element: element.click() or True)

    def press(self, text):
        self.click(f"//button[normalize-space()='{text}']")

    def open_tab(self, text):
        self.click(f"//*[@role='tab'][normalize-space()='{text}']")

    def open_folder(self, text):
        self.click(f"//*[normalize-space(text())='{text}']")

    def tick(self, label):
        """Switch a checkbox."""
        row = f"//label[normalize-space()='{label}']/ancestor::*[.//input[@type='checkbox']][1]"
        script = "arguments[0].click(); return true"
        self.act(
            f"{row}//input[@type='checkbox']",
            lambda box: self.driver.execute_script(script, box),
        )

    def sees(self, text):
        self.act(f"//body//*[contains(normalize-space(text()), '{text}')]")

    def nudge(self, label):
        """Move a slider by a step."""
        self.act(row(label, "slider"), lambda one: one.send_keys(Keys.ARROW_RIGHT) or True)

    def write(self, label, text):
        """Replace the text of an input."""
        keys = Keys.CONTROL + "a" + Keys.NULL + text  # NULL releases CONTROL.
        self.act(row(label, "textbox"), lambda one: one.send_keys(keys) or True)

    def shows(self, label, value):
        """Wait until the number beside a slider is a value."""

        def check(box):
            return float(box.get_attribute("value")) == value or None

        self.act(row(label, "textbox"), check)

    def picture(self):
        """Return the pixels (height, width, 3) of the scene; 0 to 255."""
        return np.asarray(self._screenshot(), float)[:, :SCENE_WIDTH]

    def _screenshot(self):
        png = io.BytesIO(self.driver.get_screenshot_as_png())
        return Image.open(png).convert("RGB")

    def settles(self):
        """Wait until the scene does not change any more."""
        pictures = [np.zeros(0)]

        def is_still(_):
            time.sleep(1.0)
            pictures.append(self.picture())
            return np.array_equal(*pictures[-2:]) or None

        self.act("//body", is_still)

    def middle_of(self, colour=None):
        """
        Return the middle (x, y), pixels, of what has a colour in the scene; wait for it.

        Without a colour, that of all that is not grey, as the grid is.
        """

        def find(_):
            picture = self.picture()
            if colour is None:
                is_it = np.ptp(picture, axis=-1) > 40.0
            else:
                is_it = np.abs(picture - colour).max(-1) < 12.0
            rows, columns = np.nonzero(is_it)
            return (int(np.median(columns)), int(np.median(rows))) if len(rows) > 30 else None

        return self.act("//body", find)

    def drag(self, colour, right, down):
        """Drag what has a colour in the scene with the mouse by pixels."""
        x, y = self.middle_of(colour)
        chain = ActionBuilder(self.driver, duration=500)
        mouse = chain.pointer_action
        mouse.move_to_location(x, y).pointer_down()
        for share in (0.25, 0.5, 0.75, 1.0):
            mouse.pause(0.5).move_to_location(round(x + share * right), round(y + share * down))
        mouse.pause(1.0).pointer_up()
        mouse.move_to_location(5, 5)  # What lies under the mouse has another colour.
        chain.perform()

    def keep_screenshot(self, name, at=None):
        """Write a small screenshot into report/, with an element in the middle of the panel."""
        if at is not None:
            script = "arguments[0].scrollIntoView({block: 'center'}); return true"
            self.act(at, lambda element: self.driver.execute_script(script, element))
        REPORT.mkdir(exist_ok=True)

        screenshot = self.act("//body", lambda _: self._screenshot())
        few_colours = screenshot.quantize(256, Image.Quantize.MAXCOVERAGE, dither=0)
        few_colours.save(REPORT / name, optimize=True)


def row(label, role):
    """Return the path to an input of the panel: its slider, or its box of text."""
    what = "@role='slider'" if role == "slider" else "self::input[not(@type='checkbox')]"
    label = f"//label[substring(., string-length(.) - {len(label) - 1}) = '{label}']"
    return f"{label}/ancestor::*[.//*[{what}]][1]//*[{what}]"
