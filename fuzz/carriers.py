"""Both carriers under the address sanitizer: clients that send what they should not, to whole servers.

    python -m fuzz.carriers [--connections 4000] [--seed 1]

The native lane and picows are built anew with the sanitizer in a temporary folder, so this needs gcc with libasan, Cython and a
package index; everything else runs interpreted. Invariant: no report, and the server still answers at the end.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.support.command import command, port_of
from tests.support.raw import frame

ROOT = Path(__file__).parents[1]
LANE = Path("socketeer/engine/carriers/lane")
FLAGS = ["-O1", "-g", "-fsanitize=address"]
HANDSHAKE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SERVER = """
from socketeer import Server

io = Server()
io.on("connection", lambda socket: socket.on("echo", lambda *values: values))
io.run(host="127.0.0.1", port=0, log_level="info")
"""


def build(folder: Path) -> None:
    """The sources without what is compiled, but for the lane and picows, which have the sanitizer in them."""
    shutil.copytree(ROOT / "src/socketeer", folder / "socketeer", ignore=shutil.ignore_patterns("*.so"))
    lane = folder / LANE
    subprocess.run(
        [sys.executable, "-m", "cython", "-3", lane / "_lane.pyx", "-o", lane / "_lane.c"], check=True
    )
    include, suffix = sysconfig.get_path("include"), sysconfig.get_config_var("EXT_SUFFIX")
    target = lane / f"_lane{suffix}"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", *FLAGS, f"-I{lane}", f"-I{include}", lane / "_lane.c", "-o", target],
        check=True,
    )
    flags = os.environ | {"CFLAGS": " ".join(FLAGS), "LDFLAGS": "-fsanitize=address"}
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-cache-dir",
        "--no-deps",
        "--target",
        str(folder),
    ]
    subprocess.run([*pip, "--no-binary", "picows", f"picows=={version('picows')}"], env=flags, check=True)


def frames(chance: random.Random) -> bytes:
    """What one client sends: some of it in order, most of it not."""
    sent = b"" if chance.random() < 0.2 else frame(b"40")
    for _ in range(chance.randint(1, 12)):
        kind = chance.random()
        if kind < 0.4:
            sent += frame(b'420["echo","' + b"x" * chance.randint(0, 70_000) + b'"]')
        elif kind < 0.8:
            sent += frame(
                chance.randbytes(chance.randint(0, 200)),
                chance.randint(0, 15),
                fin=chance.random() < 0.5,
                rsv=chance.choice([0, 0, 0, chance.randint(0, 7)]),
                mask=chance.choice([b"abcd", b"\0\0\0\0", b"wxyz", None]),
                length=chance.choice([None, None, None, chance.randint(0, 1 << 40)]),
            )
        else:
            sent += chance.randbytes(chance.randint(1, 40))
    return sent


def visit(port: int, chance: random.Random) -> None:
    """One client, in pieces, which ends or half ends at any moment."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(HANDSHAKE)
        left = frames(chance)
        try:
            while left:
                size = chance.randint(1, len(left))
                sock.sendall(left[:size])
                left = left[size:]
            if chance.random() < 0.5:
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
        except ConnectionError:
            pass  # the server has had enough


def attack(carrier: str, folder: Path, connections: int, seed: int) -> None:
    """All clients, one after the other."""
    libasan = subprocess.check_output(["gcc", "-print-file-name=libasan.so"], text=True).strip()
    env = {
        "LD_PRELOAD": os.path.realpath(libasan),
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter keeps much to its end
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(folder),
        "SOCKETEER_CARRIER": carrier,
    }
    chance = random.Random(seed)
    with command("-c", SERVER, cwd=folder, env=env) as server:
        port = port_of(server.wait_for("listening on"))
        try:
            for _ in range(connections):
                visit(port, chance)
        except ConnectionRefusedError:
            server.wait()  # it has ended: what it says is below
        assert "AddressSanitizer" not in str(server), f"{carrier}, seed {seed}: {server}"
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(HANDSHAKE)
            assert sock.recv(100).startswith(b"HTTP/1.1 101 "), "the server answers no more"
        server.stop()
        assert "AddressSanitizer" not in str(server), f"{carrier}, seed {seed}: {server}"
    print(f"{carrier}: {connections} connections, seed {seed}, no report")


def main() -> None:
    """Both, one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--connections", type=int, default=4000, help="to each carrier, 4000 by default")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        for carrier in ("lane", "picows"):
            attack(carrier, Path(folder), options.connections, options.seed)


if __name__ == "__main__":
    main()
