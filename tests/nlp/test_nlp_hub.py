"""A model by name: fetched from a hub on the loopback address, and kept."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from servers import serving
from texts import make_folder

from molweight.nlp.pretrained import locate
from molweight.utils.files import sha256_file

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's interface as fetching a public model needs."""

    folder: ClassVar[Path]
    asked: ClassVar[list[str]]

    def answer(self, body):
        path = self.path.partition("?")[0]
        self.asked.append(path)
        file = self.folder / path.rpartition("/")[2]
        if path == "/api/models/us/tiny":
            files = [{"rfilename": one.name} for one in self.folder.iterdir()]
            content = {"id": "us/tiny", "sha": COMMIT, "siblings": files, "private": False}
            self.send(200, json.dumps(content).encode(), body)
        elif path.startswith("/us/tiny/resolve/") and file.is_file():
            self.send(200, file.read_bytes(), body)
        else:
            self.send_response(404)
            known = path.startswith(("/us/tiny/", "/api/models/us/tiny/"))
            self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def send(self, code, content, body):
        self.send_response(code)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def do_GET(self):
        self.answer(True)

    def do_HEAD(self):
        self.answer(False)

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def hub(glue, tmp_path):
    handler = type("Here", (Hub,), {"folder": make_folder(tmp_path / "model", glue), "asked": []})
    for server in serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)):
        yield f"http://127.0.0.1:{server.server_address[1]}", handler


def run(endpoint, glue, tmp_path, name, *, offline=False):
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": str(int(offline)),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "MOLWEIGHT_GLUE": str(glue),
    }
    arguments = ("experiment=smoke", "task=rte", "method=direct", f"backbone={name}")
    return subprocess.run(
        [sys.executable, "-m", "molweight.nlp.run", *arguments, f"run_dir={tmp_path / 'run' / str(offline)}"],
        capture_output=True,
        text=True,
        env=environment,
    )


def test_a_model_is_fetched_by_name_and_found_again_without_a_network(hub, glue, tmp_path):
    endpoint, handler = hub
    done = run(endpoint, glue, tmp_path, "us/tiny")
    assert done.returncode == 0, done.stderr
    assert any(path.endswith("/model.safetensors") for path in handler.asked)
    report = json.loads((tmp_path / "run" / "False" / "report.json").read_text())
    assert report["backbone"] == "us/tiny" and report["parameters"] > 1000
    assert report["backbone_sha256"] == sha256_file(handler.folder / "model.safetensors")
    handler.asked.clear()
    assert run(endpoint, glue, tmp_path, "us/tiny", offline=True).returncode == 0
    assert handler.asked == []


def test_a_name_that_the_hub_does_not_know(hub, glue, tmp_path):
    done = run(hub[0], glue, tmp_path, "us/tinny")
    assert done.returncode == 5
    assert "backbone=us/tinny could not be loaded" in done.stderr and "Traceback" not in done.stderr


def test_a_folder_is_taken_as_it_is(tmp_path):
    assert locate(str(tmp_path)) == str(tmp_path) and locate("us/tiny") == "us/tiny"
