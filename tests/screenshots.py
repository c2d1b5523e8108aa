"""Full-page screenshots of a report: ``python tests/screenshots.py reports/2026-Q3 /tmp/shots``."""

from __future__ import annotations

import argparse
import base64
import shutil
from pathlib import Path

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WIDTHS = {"laptop": 1440, "tablet": 1000, "phone": 390}
MODES = (("laptop", "light"), ("laptop", "dark"), ("tablet", "light"), ("phone", "light"), ("phone", "dark"))


def find_chromium() -> tuple[str | None, str | None]:
    """Return the paths of Chromium (or Chrome) and of chromedriver, None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None), shutil.which("chromedriver")


def start_browser():
    """Return a headless Chromium driver that logs requests (`performance`) and the console (`browser`)."""
    from selenium import webdriver

    chromium, chromedriver = find_chromium()
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    for flag in FLAGS:
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))


def set_screen(driver, width: int, height: int = 900, theme: str = "light") -> None:
    """Show `width` x `height` CSS pixels (a real window cannot be as narrow as a phone) in a theme of the system."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": theme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def open_page(driver, url: str) -> None:
    """Open a page afresh and wait until it, and no longer the one before it, is whole."""
    from selenium.webdriver.support.ui import WebDriverWait

    driver.execute_script("window.isOld = true")
    driver.get("about:blank")  # where only the #part differs, the browser would stay on the page
    driver.get(url)
    is_there = "!window.isOld && location.pathname === new URL(arguments[0]).pathname"
    is_whole = f"return {is_there} && document.readyState === 'complete'"
    WebDriverWait(driver, 60).until(lambda driver: driver.execute_script(is_whole, url))


def list_pages(report: Path) -> list[Path]:
    """Return the pages of a report, and the list of all quarters beside it, as absolute paths."""
    report = Path(report).resolve()
    pages = sorted(report.glob("*.html"))
    quarters = report.parent / "index.html"
    return [*pages, quarters] if quarters.exists() else pages


def save_screenshot(driver, path: Path) -> None:
    """Write the whole open page, not only the window, as PNG."""
    size = driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    area = {"captureBeyondViewport": True, "clip": {**size, "scale": 1}}
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", area)
    path.write_bytes(base64.b64decode(shot["data"]))


def save_print(driver, path: Path) -> None:
    """Write the open page as it would be printed on A4."""
    paper = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": False, "preferCSSPageSize": True}
    path.write_bytes(base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", paper)["data"]))


def main() -> None:
    """Write one picture a page, width and theme, and each page as it is printed; print where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="folder of one quarter")
    parser.add_argument("out", type=Path, help="folder for the pictures")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    driver = start_browser()
    try:
        for page in list_pages(arguments.report):
            name = page.stem if page.parent == arguments.report.resolve() else "quarters"
            for screen, theme in MODES:
                set_screen(driver, WIDTHS[screen], theme=theme)
                open_page(driver, page.as_uri())
                path = arguments.out / f"{name}-{screen}-{theme}.png"
                save_screenshot(driver, path)
                print(path)
            save_print(driver, arguments.out / f"{name}.pdf")
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
