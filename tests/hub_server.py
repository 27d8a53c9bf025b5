"""A small hub on this machine: data sets out of a mirror folder, encoders out of folders.

It answers as the real one does what xtsupport asks (commits, lists of files by pages, files by
commit, whole or in part, large ones from another address), and can be at fault in many ways.
"""

import hashlib
import json
import re
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from xtsupport.data import commits, remote

PAGE = 3  # files a page of a list holds
LARGE = (".parquet", ".safetensors", ".bin")


class Hub:
    """The server's state, to be changed between requests.

    fault: "", "500", "429", "401", "stall", "cut" (files break off; those that were begun go on),
    "cut whole" (also no ranges), "flip" (a wrong byte), "not json", "outside" (lists `../..`);
    only: faults only in paths that hold this text. commits: {name: commit of main}; other revisions
    are in `tags`. requests: (path, Range header) of everything asked for.
    """

    def __init__(self, data: Path | None = None, models: Path | None = None):
        self.roots = {"datasets": data, "models": models}
        self.fault, self.only = "", ""
        self.commits, self.tags, self.requests = {}, {}, []
        self.bytes_sent = 0

    def commit(self, name, revision):
        """The commit of a revision; None if there is no such revision."""
        if re.fullmatch("[0-9a-f]{40}", revision):
            return revision
        known = {"main": self.commits.get(name, "a" * 40)} | self.tags.get(name, {})
        return known.get(revision)

    def files(self, kind, name):
        """{path: bytes} of a repository; None if there is none."""
        root = self.roots[kind]
        folder = root / name if root else None
        if folder is None or not folder.is_dir():
            return None
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

    def asked_for(self, part):
        """The requests whose path holds a text."""
        return [each for each in self.requests if part in each[0]]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args):
        """Say nothing."""

    def answer(self, code, body=b"", cut=False, **headers):
        """Send a response; `cut`: half of it, then the connection goes down."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        sent = body[: len(body) // 2] if cut else body
        self.hub.bytes_sent += len(sent)
        with suppress(ConnectionError):  # the reader gave up
            self.wfile.write(sent)
        if cut:
            self.close_connection = True

    def json(self, value, **headers):
        """Send a value."""
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json", **headers)

    def missing(self, code="EntryNotFound"):
        """Send a 404."""
        self.answer(404, b"{}", X_Error_Code=code)

    def do_GET(self):
        """Answer, or be at fault."""
        url = urlsplit(self.path)
        path, fault = unquote(url.path), self.hub.fault
        self.hub.requests.append((path, self.headers.get("Range")))
        if self.hub.only and self.hub.only not in path:
            fault = ""
        if fault == "stall":
            time.sleep(30)
        if fault in ("500", "429", "401"):
            return self.answer(int(fault), b"no", Retry_After="3")
        if fault == "not json" and path.startswith("/api"):
            return self.answer(200, b"<html>log in to this network</html>")
        if hit := re.fullmatch(r"/api/(datasets|models)/([^/]+/[^/]+)/(revision|tree)/(.+)", path):
            return self.about(*hit.groups(), parse_qs(url.query))
        if hit := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            kind, name, revision, file = hit.groups()
            return self.file("datasets" if kind else "models", name, revision, file, fault)
        if hit := re.fullmatch(r"/elsewhere/(datasets|models)/([^/]+/[^/]+)/(.+)", path):
            return self.content(self.hub.files(hit[1], hit[2])[hit[3]], fault)
        return self.missing()

    def about(self, kind, name, what, revision, query):
        """A commit, or a page of a list of files."""
        files, commit = self.hub.files(kind, name), self.hub.commit(name, revision)
        if files is None or commit is None:
            return self.missing("RepoNotFound" if files is None else "RevisionNotFound")
        if what == "revision":
            return self.json({"id": name, "sha": commit})
        start = int(query.get("cursor", ["0"])[0])
        listed = list(files.items())
        page = [self.entry(*each) for each in listed[start : start + PAGE]]
        more = {}
        if start + PAGE < len(listed):
            host, place = self.headers["Host"], urlsplit(self.path).path
            url = f"http://{host}{place}?recursive=true&cursor={start + PAGE}"
            more["Link"] = f'<{url}>; rel="next"'
        return self.json(page, **more)

    def entry(self, path, content):
        """A file as a list shows it."""
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        path = f"../../{path}" if self.hub.fault == "outside" else path
        found = {"type": "file", "path": path, "size": len(content), "oid": oid}
        if path.endswith(LARGE):
            sha256 = hashlib.sha256(content).hexdigest()
            found["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
        return found

    def file(self, kind, name, revision, path, fault):
        """A small file, or where a large one lies."""
        files, commit = self.hub.files(kind, name), self.hub.commit(name, revision)
        if files is None or path not in files or commit is None:
            return self.missing()
        if path.endswith(LARGE):
            place = f"/elsewhere/{kind}/{name}/{path}"
            return self.answer(302, Location=place, X_Repo_Commit=commit)
        return self.content(files[path], fault, X_Repo_Commit=commit)

    def content(self, body, fault, **headers):
        """A file or the part of it that is asked for."""
        if fault == "flip":
            body = body[:-1] + bytes([body[-1] ^ 255])
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        cut = fault in ("cut", "cut whole")
        if part and fault != "cut whole":
            first, last = int(part[1]), int(part[2] or len(body) - 1)
            headers["Content_Range"] = f"bytes {first}-{last}/{len(body)}"
            return self.answer(206, body[first : last + 1], cut and last - first > 500, **headers)
        return self.answer(200, body, cut, **headers)


@contextmanager
def running(hub: Hub):
    """Serve a hub while the block runs; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def put(root, name, path, examples, **options):
    """Write rows as a file of a data set."""
    place = root / name / path
    place.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(examples), place, **options)


def forget():
    """As in a new process."""
    commits._frozen.clear()
    commits._place.clear()
    remote.ask_again()
