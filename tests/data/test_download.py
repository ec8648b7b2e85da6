"""Downloads against a server on this machine: whole, resumed, refused, cut short."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from servers import serving

from molweight.data.download import download
from molweight.errors import DataError

BODY = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    ranges: list[str | None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """``/file`` honours Range, ``/whole`` ignores it, ``/cut`` stops early, ``/slow`` says nothing.

    ``/encoded`` says that its body is packed by gzip, as some servers do of files ``*.gz``.
    """

    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.path == "/ftp":
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1/file")
            self.end_headers()
        elif self.path == "/slow":
            threading.Event().wait(1.0)
        elif self.path not in ("/file", "/whole", "/cut", "/encoded"):
            self.send_error(404)
        elif asked and self.path == "/file":
            self.partial(int(asked.removeprefix("bytes=").removesuffix("-")))
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY)))
            if self.path == "/encoded":
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(BODY[:1000] if self.path == "/cut" else BODY)

    def partial(self, start: int) -> None:
        if start >= len(BODY):
            self.send_error(416)
            return
        self.send_response(206)
        self.send_header("Content-Length", str(len(BODY) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        self.end_headers()
        self.wfile.write(BODY[start:])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.ranges = []
    yield from serving(server)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def refused(url: str, destination: Path, **options: object) -> str:
    """The sentence with which a download fails; ``destination`` must not have appeared."""
    with pytest.raises(DataError) as caught:
        download(url, destination, **{"sha256": SHA256, **options})  # type: ignore[arg-type]
    assert caught.value.exit_code == 5
    assert not destination.exists()
    assert url in str(caught.value)
    return str(caught.value)


def test_fresh_download_into_a_new_folder(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.csv"
    assert download(f"{server.url}/file", path, sha256=SHA256.upper(), progress=True) == path
    assert path.read_bytes() == BODY
    assert [item.name for item in path.parent.iterdir()] == ["file.csv"]


def test_a_file_that_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(BODY)
    download(f"{server.url}/file", path, sha256=SHA256)
    assert server.ranges == []


def test_a_part_is_continued(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(BODY[:5000])
    assert download(f"{server.url}/file", tmp_path / "file", sha256=SHA256).read_bytes() == BODY
    assert server.ranges == ["bytes=5000-"]


def test_a_server_without_range_starts_over(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 5000)
    assert download(f"{server.url}/whole", tmp_path / "file", sha256=SHA256).read_bytes() == BODY


def test_a_complete_part_only_gets_its_name(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(BODY)
    assert download(f"{server.url}/file", tmp_path / "file", sha256=SHA256).read_bytes() == BODY


def test_wrong_checksum_deletes_the_part_and_shows_both(server: Server, tmp_path: Path) -> None:
    text = refused(f"{server.url}/file", tmp_path / "file", sha256="0" * 64)
    assert SHA256 in text
    assert "0" * 64 in text
    assert list(tmp_path.iterdir()) == []


def test_a_spoiled_part_is_deleted_and_the_next_try_succeeds(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 5000)
    assert "SHA-256" in refused(f"{server.url}/file", tmp_path / "file")
    assert download(f"{server.url}/file", tmp_path / "file", sha256=SHA256).read_bytes() == BODY


def test_another_process_was_first(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"

    def renamed_by_the_other(*_: object, **__: object) -> None:
        path.write_bytes(BODY)
        raise FileNotFoundError(2, "No such file or directory")  # the part is gone

    monkeypatch.setattr("molweight.data.download._fetch", renamed_by_the_other)
    assert download(f"{server.url}/file", path, sha256=SHA256) == path


def test_bytes_are_those_of_the_server_whatever_it_calls_them(server: Server, tmp_path: Path) -> None:
    assert download(f"{server.url}/encoded", tmp_path / "file.gz", sha256=SHA256).read_bytes() == BODY


def test_not_found(server: Server, tmp_path: Path) -> None:
    text = refused(f"{server.url}/absent", tmp_path / "file")
    assert "404 Not Found" in text
    assert f"put the file at {tmp_path / 'file'} or pass dataset.path=" in text


def test_truncated_body_is_continued_next_time(server: Server, tmp_path: Path) -> None:
    text = refused(f"{server.url}/cut", tmp_path / "file")
    assert f"after 1000 of {len(BODY)} bytes; run again to continue" in text
    assert (tmp_path / "file.part").read_bytes() == BODY[:1000]
    download(f"{server.url}/file", tmp_path / "file", sha256=SHA256)
    assert server.ranges == [None, "bytes=1000-"]


def test_no_server(tmp_path: Path) -> None:
    with socket.socket() as free:  # bound but not listening: nobody else takes the port
        free.bind(("127.0.0.1", 0))
        text = refused(f"http://127.0.0.1:{free.getsockname()[1]}/file", tmp_path / "file")
    assert "connection refused" in text
    assert "dataset.path=" in text


def test_unknown_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert "name cannot be resolved" in refused("http://nowhere.invalid/file", tmp_path / "file")


def test_timeout(server: Server, tmp_path: Path) -> None:
    assert "did not answer in time" in refused(f"{server.url}/slow", tmp_path / "file", timeout=0.1)


def test_disk_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    url = f"{server.url}/file"
    with pytest.raises(DataError, match="cannot write") as caught:
        download(url, tmp_path / "file" / "inside", sha256=SHA256)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data.csv"])
def test_only_http(tmp_path: Path, url: str) -> None:
    assert "not an http or https address" in refused(url, tmp_path / "file")


def test_redirection_to_another_scheme_is_refused(server: Server, tmp_path: Path) -> None:
    assert "not an http or https address" in refused(f"{server.url}/ftp", tmp_path / "file")
