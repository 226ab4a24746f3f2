"""How a browser is called in the list of devices, by its ``User-Agent``."""

import re

from shopbell.i18n.translations import Texts

# A browser also names those that it is compatible with, so the order counts.
_BROWSERS = (
    (re.compile(r"Edg(?:e|A|iOS)?/"), "Edge"),
    (re.compile(r"OPR/|OPT/|OPiOS/"), "Opera"),
    (re.compile(r"SamsungBrowser/"), "Samsung Internet"),
    (re.compile(r"Vivaldi/"), "Vivaldi"),
    (re.compile(r"Firefox/|FxiOS/"), "Firefox"),
    (re.compile(r"Chrome/|CriOS/|Chromium/"), "Chrome"),
    (re.compile(r"Version/\S+ (?:Mobile/\S+ )?Safari/"), "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
)
_PRODUCT = re.compile(r"[A-Za-z0-9._-]{1,40}")


def device_name(agent: str, texts: Texts) -> str:
    """Return the name of a browser and its system, such as "Chrome on Linux".

    Args:
        agent: the header ``User-Agent``; any text.
        texts: the language of the name.
    """
    browser = next((name for pattern, name in _BROWSERS if pattern.search(agent)), None)
    if browser is None:
        product = _PRODUCT.match(agent)
        if product is None or product[0] == "Mozilla":  # all browsers say so
            return texts.gettext("Unknown browser")
        return product[0]
    system = next((name for token, name in _SYSTEMS if token in agent), None)
    if system is None:
        return browser
    return texts.gettext("{browser} on {system}", browser=browser, system=system)
