"""A real browser without a window: `open_browser` here, or this file as a program where a test puts it.

python browser.py URL FILE        keeps a screenshot of the page at URL in FILE, renewed every second, until killed
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import cv2
import numpy as np
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service

WIDTH, HEIGHT = 1600, 900
PATIENCE = 120.0
# Software rendering: the page draws with WebGL, and there is no graphics card.
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    f"--window-size={WIDTH},{HEIGHT}",
)


def open_browser() -> webdriver.Chrome:
    """Chromium, to be ended by `quit`."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for word in _OPTIONS:
        options.add_argument(word)
    started = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    started.set_page_load_timeout(PATIENCE)
    return started


def screenshot(browser: webdriver.Chrome) -> np.ndarray | None:
    """uint8 (H, W, 3) RGB, or None if the page was too busy drawing."""
    try:
        png = np.frombuffer(browser.get_screenshot_as_png(), np.uint8)
    except TimeoutException:
        return None
    return cv2.cvtColor(cv2.imdecode(png, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _keep_screenshot(url: str, file: Path) -> None:
    browser = open_browser()
    browser.get(url)
    while True:
        time.sleep(1.0)
        screen = screenshot(browser)
        if screen is not None:
            cv2.imwrite(str(file.with_suffix(".new.png")), screen[..., ::-1])
            file.with_suffix(".new.png").replace(file)


if __name__ == "__main__":
    _keep_screenshot(sys.argv[1], Path(sys.argv[2]))
