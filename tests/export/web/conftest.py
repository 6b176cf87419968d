"""Opens one browser for the tests of a module."""

from collections.abc import Iterator

import pytest
from browser import Browser
from instrument_driver import STUB


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        browser.call("Page.addScriptToEvaluateOnNewDocument", source=STUB)
        yield browser
