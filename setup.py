"""The optional extensions: everything else about the build is in pyproject.toml.

Where they cannot be built (no compiler, another system than Linux) the package is the same without them: WebSockets
are carried by picows, and the modules of the hot path run interpreted. `SOCKETEER_COMPILED=0` in the environment
leaves the latter as they are on purpose.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCE = Path("src")
LANE = "src/socketeer/engine/carriers/lane"

LOST = {
    "socketeer.engine.carriers.lane._lane": "the native lane could not be built, so picows carries WebSockets over plain "
    "TCP, which costs more CPU time",
    "socketeer.messaging._eager": "async handlers start by Python code, which costs more CPU time",
}
LOST_HOT = "the modules of the hot path could not be compiled and run interpreted, which costs more CPU time"


class BuildOptional(build_ext):
    """As setuptools'; says what is lost where an extension cannot be built."""

    def build_extensions(self) -> None:
        """Build all. The modules of the hot path know each other's insides, so it is all of them or none."""
        hot = [each for each in self.extensions if each.name not in LOST]
        try:
            for extension in hot:
                super().build_extension(extension)
        except Exception as error:  # noqa: BLE001 - whatever compilers and their wrappers raise
            for extension in hot:
                Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
                Path(self.build_lib, self.get_ext_filename(extension.name)).unlink(missing_ok=True)
            complain(LOST_HOT, error)
        for extension in self.extensions:
            if extension.name in LOST:
                try:
                    super().build_extension(extension)
                except Exception as error:  # noqa: BLE001 - whatever compilers and their wrappers raise
                    complain(LOST[extension.name], error)


def complain(lost: str, error: Exception) -> None:
    """For whoever installs."""
    sys.stderr.write(
        f"socketeer: {lost} (is there a C compiler?). Everything works without it. The error was: {error}\n"
    )


def hot_modules() -> list[Extension]:
    """Modules with a .pxd beside them, which says how their objects lie in memory when they are compiled."""
    if os.environ.get("SOCKETEER_COMPILED", "1") == "0" or sys.implementation.name != "cpython":
        return []
    declared = sorted(SOURCE.rglob("*.pxd"))
    return [
        Extension(
            ".".join(path.relative_to(SOURCE).with_suffix("").parts),
            [str(path.with_suffix(".py"))],
            depends=[str(each) for each in declared],
            extra_compile_args=["-O2"],
        )
        for path in declared
    ]


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
    made = list(
        cythonize(
            [lane, eager, *hot_modules()],
            build_dir="build/cython",
            cache=os.environ.get("CYTHON_CACHE_DIR") or False,
            # Annotations stay what they are for the interpreter: what the compiler may rely on, the .pxd files say.
            compiler_directives={"language_level": 3, "annotation_typing": False},
            show_all_warnings=False,
        )
    )
    for each in made:
        each.optional = True  # cythonize forgets it
    return made


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildOptional})
