"""The optional extension: everything else about the build is in pyproject.toml.

Where it cannot be built (no compiler, another system than Linux) the package is the same without it,
and WebSockets are carried by picows.
"""

from __future__ import annotations

import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

LANE = "src/socketeer/engine/carriers/lane"

LOST = {
    "socketeer.engine.carriers.lane._lane": "the native lane could not be built, so picows carries WebSockets over plain "
    "TCP, which costs more CPU time",
    "socketeer.messaging._eager": "async handlers start by Python code, which costs more CPU time",
}


class BuildOptional(build_ext):
    """As setuptools'; says what is lost where an extension cannot be built."""

    def build_extension(self, ext: Extension) -> None:
        """Build one; the failure of an optional one is passed on to setuptools, which goes on without it."""
        try:
            super().build_extension(ext)
        except Exception:
            sys.stderr.write(
                f"socketeer: {LOST[ext.name]} (is there a C compiler?). Everything works without it.\n"
            )
            raise


def extensions() -> list[Extension]:
    """What to build here."""
    if sys.platform != "linux":
        return []
    from Cython.Build import cythonize  # noqa: PLC0415 - Linux only

    lane = Extension(
        "socketeer.engine.carriers.lane._lane",
        [f"{LANE}/_lane.pyx"],
        depends=[f"{LANE}/frames.h", f"{LANE}/sockets.h"],
        include_dirs=[LANE],
        extra_compile_args=["-O3"],
    )
    eager = Extension(
        "socketeer.messaging._eager",
        ["src/socketeer/messaging/_eager.pyx"],
        depends=["src/socketeer/messaging/_eager.h"],
        include_dirs=["src/socketeer/messaging"],
        extra_compile_args=["-O3"],
    )
    made = list(cythonize([lane, eager], build_dir="build/cython"))
    for each in made:
        each.optional = True  # cythonize forgets it
    return made


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildOptional})
