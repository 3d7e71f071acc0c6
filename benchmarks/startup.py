"""Start-up: `import mlcore` beside `import numpy, pyarrow`, and `mlcore --help`, from an installed wheel with .pyc files."""

from __future__ import annotations

import compileall
import os
import statistics
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

from common import RESULTS, ROOT, WORK, alternate, spread, write


def installed() -> Path:
    """Return the bin folder of an environment that mlcore's base install was put into."""
    folder = WORK / "installed"
    venv.create(folder, with_pip=True, clear=True)
    python = folder / "bin" / "python"
    environment = {**os.environ, "CMAKE_ARGS": "-DMLCORE_CUDA=OFF"}
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(ROOT)], check=True, env=environment)
    compileall.compile_dir(str(folder), quiet=2)
    return folder / "bin"


def main(
    rows: int | None = None, repeats: int = 15, results: Path = RESULTS, bin: Path | None = None
) -> list[dict[str, Any]]:
    """Measure each command as a process of its own, alternating; `rows` has no meaning here."""
    at = bin or (Path(sys.executable).parent if rows else installed())
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    commands = {
        "python -c ''": [at / "python", "-c", ""],
        "import numpy, pyarrow": [at / "python", "-c", "import numpy, pyarrow"],
        "import mlcore": [at / "python", "-c", "import mlcore"],
        "import mlcore; mlcore.Scorer": [at / "python", "-c", "import mlcore; mlcore.Scorer"],
        "mlcore --help": [at / "mlcore", "--help"],
    }

    def call(command: list[Any]) -> Any:
        return lambda: subprocess.run(command, check=True, capture_output=True, env=environment)

    seconds = alternate({name: call(command) for name, command in commands.items()}, repeats)
    base = statistics.median(seconds["import numpy, pyarrow"])
    found = [
        {"command": name, **spread(times), "× import numpy, pyarrow": statistics.median(times) / base}
        for name, times in seconds.items()
    ]
    write(
        "startup",
        "Start-up",
        found,
        ["whole processes, .pyc files in place; a wheel in an environment of its own"],
        results,
    )
    return found
