"""The optional extensions: everything else about the build is in pyproject.toml.

Where they cannot be built (no compiler, another system than Linux) the package is the same without them: WebSockets
are carried by picows, and the modules of the hot path run interpreted. `SOCKETEER_COMPILED=0` in the environment
leaves the latter as they are on purpose.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
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

    def run(self) -> None:
        """Build; what an earlier build has left of the hot path would be preferred to its source, so it goes first."""
        self.forget_hot(SOURCE if self.inplace else Path(self.build_lib))
        super().run()

    def forget_hot(self, folder: Path) -> None:
        """Remove the compiled modules of the hot path."""
        for name in hot_names():
            (folder / self.get_ext_filename(name)).unlink(missing_ok=True)

    def build_extensions(self) -> None:
        """Build all. The modules of the hot path know each other's insides, so it is all of them or none."""
        hot = [each for each in self.extensions if each.name not in LOST]
        try:
            with ThreadPoolExecutor(os.cpu_count()) as compilers:
                list(compilers.map(super().build_extension, hot))
        except Exception as error:  # noqa: BLE001 - whatever compilers and their wrappers raise
            self.forget_hot(Path(self.build_lib))
            complain(LOST_HOT, error)
        for extension in self.extensions:
            if extension.name in LOST:
                try:
                    super().build_extension(extension)
                except Exception as error:  # noqa: BLE001
                    complain(LOST[extension.name], error)


def complain(lost: str, error: Exception) -> None:
    """For whoever installs."""
    sys.stderr.write(
        f"socketeer: {lost} (is there a C compiler?). Everything works without it. The error was: {error}\n"
    )


def hot_names() -> list[str]:
    """Modules with a .pxd beside them, which says how their objects lie in memory when they are compiled."""
    return [
        ".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in sorted(SOURCE.rglob("*.pxd"))
    ]


def hot_modules() -> list[Extension]:
    """Those to compile here."""
    if os.environ.get("SOCKETEER_COMPILED", "1") == "0" or sys.implementation.name != "cpython":
        return []
    files = {name: SOURCE.joinpath(*name.split(".")) for name in hot_names()}
    declared = [f"{file}.pxd" for file in files.values()]
    return [
        Extension(
            name,
            [f"{file}.py"],
            depends=declared,
            # Classes whose methods can be replaced, as instrumentation and people's tests do.
            define_macros=[("CYTHON_USE_TYPE_SPECS", "1")],
            extra_compile_args=["-O2", "-g0"],
        )
        for name, file in files.items()
    ]


def translated(extensions: list[Extension]) -> list[Extension]:
    """As C."""
    from Cython.Build import cythonize  # noqa: PLC0415 - Linux only

    made = cythonize(
        extensions,
        build_dir="build/cython",
        nthreads=os.cpu_count() or 1,
        cache=os.environ.get("CYTHON_CACHE_DIR") or False,
        compiler_directives={
            "language_level": 3,
            # Annotations stay what they are for the interpreter: what the compiler may rely on, the .pxd files say.
            "annotation_typing": False,
            # An attribute that is None is an error as it is for the interpreter.
            "nonecheck": True,
        },
        show_all_warnings=False,
    )
    for each in made:
        each.optional = True  # cythonize forgets it
    return list(made)


def extensions() -> list[Extension]:
    """What to build here."""
    if sys.platform != "linux":
        return []
    lane = Extension(
        "socketeer.engine.carriers.lane._lane",
        [f"{LANE}/_lane.pyx"],
        depends=[f"{LANE}/frames.h", f"{LANE}/incoming.h", f"{LANE}/sockets.h"],
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
    made = translated([lane, eager])
    try:
        made += translated(hot_modules())
    except Exception as error:  # noqa: BLE001 - a Cython of the future may know better
        complain(LOST_HOT, error)
    return made


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildOptional})
