"""Compiles the library that stands in for libedgetpu, where a C compiler is at hand.

All else about the project is in ``pyproject.toml``.  Without a compiler the project installs as
well; the library is then compiled when it is first needed.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
BUILDING = HERE / "devices" / "libedgetpu" / "building.py"


class BuildWithLibrary(build_py):
    """Packages, and the library beside its sources."""

    def run(self) -> None:
        """Build; an editable installation compiles the library on first use."""
        super().run()
        if self.editable_mode or not sys.platform.startswith("linux"):
            return
        building = runpy.run_path(str(BUILDING))
        target = Path(self.build_lib, "devices", "libedgetpu", building["FULL_NAME"])
        try:
            building["compile_library"](target)
        except building["BuildError"] as error:
            print(f"the library is left for its first use: {error}")


class WheelWithLibrary(bdist_wheel):
    """A wheel for any Python, of one platform where it has the library."""

    def finalize_options(self) -> None:
        """Say what is in it."""
        super().finalize_options()
        try:
            runpy.run_path(str(BUILDING))["find_compiler"]()
        except Exception:
            return
        self.root_is_pure = False

    def get_tag(self) -> tuple[str, str, str]:
        """No version of Python, as there is no Python in the library."""
        _, _, platform = super().get_tag()
        return "py3", "none", platform


setup(cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": WheelWithLibrary})
