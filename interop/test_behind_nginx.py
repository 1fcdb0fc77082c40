"""Two servers behind nginx, which sends each request to the next: the example, with official clients."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.harness import HERE, install
from tests.support import requirements
from tests.support.command import port_of, socketeer
from tests.support.repository import ROOT

EXAMPLES = ROOT / "examples"

#: What the distribution's own nginx.conf does around what is in conf.d.
AROUND = """\
pid nginx.pid;
error_log error.log;
events {{}}
http {{
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    log_format seen '$status $request_method $uri $upstream_addr';
    access_log access.log seen;
    {site}
}}
"""


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Nginx:
    """Nginx before two servers."""

    def __init__(self, folder: Path, port: int, servers: set[int]) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self.servers = servers

    def seen(self) -> list[tuple[int, str, str]]:
        """Status, method and server of each request so far."""
        lines = (self.folder / "access.log").read_text(encoding="utf-8").splitlines()
        return [(int(status), method, server) for status, method, _, server in map(str.split, lines)]


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    """The example's two servers behind the example's nginx, on free ports."""
    program, redis = requirements.nginx(), requirements.redis()
    env = {"REDIS_URL": redis}
    with (
        socketeer("run", "two_nodes:io", "--port", "0", cwd=EXAMPLES, env=env) as one,
        socketeer("run", "two_nodes:io", "--port", "0", cwd=EXAMPLES, env=env) as other,
    ):
        ports = [port_of(each.wait_for("listens on")) for each in (one, other)]
        site = (EXAMPLES / "two_nodes.nginx.conf").read_text(encoding="utf-8")
        front = free_port()
        for placeholder, port in zip((3001, 3002, 3000), (*ports, front), strict=True):
            site, found = re.subn(rf"\b127\.0\.0\.1:{placeholder}\b", f"127.0.0.1:{port}", site)
            assert found == 1
        (tmp_path / "nginx.conf").write_text(AROUND.format(site=site), encoding="utf-8")
        command = [program, "-p", f"{tmp_path}/", "-c", "nginx.conf", "-e", "start.log"]
        subprocess.run(command, check=True, timeout=30)  # returns once it listens
        try:
            yield Nginx(tmp_path, front, set(ports))
        finally:
            subprocess.run([*command, "-s", "stop"], check=True, timeout=30)


@pytest.mark.parametrize(
    ("transports", "ends_on"),
    [(["polling"], "polling"), (["polling", "websocket"], "websocket"), (["websocket"], "websocket")],
    ids=["polling", "upgrade", "websocket"],
)
def test_official_clients_with_nothing_sticky(nginx: Nginx, transports: list[str], ends_on: str) -> None:
    install(requirements.npm())
    script = [requirements.node(), "behind_nginx.mjs", nginx.url, "6", *transports]
    ran = subprocess.run(script, cwd=HERE, capture_output=True, text=True, timeout=60, check=False)
    told = json.loads(ran.stdout)
    assert "trouble" not in told, (told, nginx.seen())
    assert told["answers"] == ["delivered"] * 6
    assert len(told["servers"]) == 2
    assert ends_on in told["transports"]

    seen = nginx.seen()
    assert [each for each in seen if each[0] >= 400] == []
    assert {server for _, _, server in seen} == {f"127.0.0.1:{port}" for port in nginx.servers}
