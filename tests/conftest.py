"""What many tests share: the demo project on a sample of the flights, built once, and the command line in-process."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlcore.cli import main

ROWS = 12_000

if path := os.environ.get("MLCORE_NATIVE_MODULE"):  # one built elsewhere, by make sanitize for one
    spec = importlib.util.spec_from_file_location("mlcore._native", path)
    assert spec is not None and spec.loader is not None, f"MLCORE_NATIVE_MODULE={path} is not a module"
    sys.modules["mlcore._native"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["mlcore._native"])
    for name in ("LD_PRELOAD", "MLCORE_NATIVE_MODULE"):  # a sanitizer is for this process: under a limit of memory it
        os.environ.pop(name, None)  # could not start


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, standard output and error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        return json.loads(self.out)


Mlcore = Callable[..., Ended]


@pytest.fixture
def mlcore(capsys: pytest.CaptureFixture[str]) -> Mlcore:
    """Call the command line as a user would, in this process."""

    def call(*words: object) -> Ended:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as stopped:  # argparse's own way to end
            code = int(stopped.code or 0)
        text = capsys.readouterr()
        return Ended(code, text.out, text.err)

    return call


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's project after its run; read it, never write to it."""
    folder = tmp_path_factory.mktemp("demo") / "flights"
    assert main(["demo", "--dir", str(folder), "--rows", str(ROWS), "--quiet"]) == 0
    return folder


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished project, to change at will."""
    return Path(shutil.copytree(finished, tmp_path / "flights"))
