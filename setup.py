"""Copies recipes/, the bundled sounds and models, which lie outside the package, into what is built."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("recipes", "data/ambience", "data/digits", "data/drum_kits", "data/instruments", "data/piano", "data/models")


class BuildWithShippedFiles(build_py):
    """Puts them into wavegan/_shipped of a wheel; an editable install finds them in the checkout."""

    def run(self) -> None:
        super().run()
        for name in () if self.editable_mode else SHIPPED:
            target = Path(self.build_lib, "wavegan", "_shipped", name)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(name, target)


setup(cmdclass={"build_py": BuildWithShippedFiles})
