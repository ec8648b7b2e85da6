"""What pages are read with: a strict parser, and a browser where one is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

VOID = {"meta", "img", "br"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Page(HTMLParser):
    """Tags, attributes and text; tags must be closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += f" {data}"

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def shown_by_a_browser(text, folder, width, *, pictures):
    """Check in a real one that a page is no wider than its window, and that every picture has a size.

    Args:
        text: of the page.
        folder: for files.
        width: of the window, px.
        pictures: at least so many are on the page.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        assert "CI" not in os.environ, ".ci/run installs a browser"
        pytest.skip(f"needs a browser: one of {', '.join(BROWSERS)}")
    probe = """<script>addEventListener("load", () => {
        const pictures = [...document.images];
        document.title = JSON.stringify({
            wide: document.documentElement.scrollWidth - innerWidth,
            pictures: pictures.length,
            shown: pictures.filter(one => one.naturalWidth > 0 && one.clientWidth > 60).length,
        });
    });</script>"""
    # Our own look at it needs a script, which the page itself forbids.
    text = re.sub(r"<meta http-equiv=[^>]*>", "", text).replace("</head>", f"{probe}</head>")
    frame = folder / "frame.html"
    (folder / "page.html").write_text(text)
    frame.write_text(
        f'<iframe src="page.html" width="{width}" height="900" style="border:0"></iframe><script>'
        'addEventListener("load", () => setTimeout(() => { document.title = '
        "document.querySelector('iframe').contentDocument.title }, 300))</script>"
    )
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run([*command, frame.as_uri()], capture_output=True, text=True, timeout=120)
    found = json.loads(re.search(r"<title>(.*?)</title>", done.stdout).group(1))
    assert found["wide"] <= 0 and found["shown"] == found["pictures"] >= pictures
