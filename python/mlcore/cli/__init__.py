"""The command line: parse, call, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 ok, 1 a gate or check failed, 2 usage or input, 3 conflict.

    130 means interrupted, 70 a bug of mlcore's own.
    """
    from mlcore.cli.parser import build

    options, unknown = build().parse_known_args(sys.argv[1:] if arguments is None else list(arguments))
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")  # of the command, with its usage
    return _run(options)


def _run(options: object) -> int:
    import os
    from importlib import import_module

    from mlcore.cli import interrupt
    from mlcore.cli.failure import explain

    module, function = options.call.split(":")  # type: ignore[attr-defined]
    try:
        with interrupt.noted():
            command = getattr(import_module(f"mlcore.cli.{module}"), function)
            code: int = command(options) or 0
            sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if options.debug and not isinstance(error, KeyboardInterrupt):  # type: ignore[attr-defined]
            raise
        return explain(error, as_json=options.json)  # type: ignore[attr-defined]
