# SPDX-License-Identifier: Apache-2.0
"""The command line: subcommands that plugins provide, the ones of this package among them."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from ie_ctypes._version import __version__
from ie_ctypes.errors import IEError
from ie_ctypes.plugins.manager import PluginManager, default_manager
from ie_ctypes.plugins.records import Subcommand


def commands() -> list[Subcommand]:
    """The subcommands of this package."""
    from ie_ctypes.cli import benchmark, plugins, query, show

    return [plugins.COMMAND, query.COMMAND, show.COMMAND, benchmark.COMMAND]


def create_parser(manager: PluginManager) -> argparse.ArgumentParser:
    """The parser of all subcommands; parsed arguments have the one that was named in ``command``."""
    parser = argparse.ArgumentParser(prog="ie_ctypes", description="The Inference Engine API over a small C runtime.")
    parser.add_argument("--version", action="version", version=f"ie_ctypes {__version__}")
    parsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in manager.subcommands().values():
        one = parsers.add_parser(command.name, help=command.help, description=command.help)
        if command.configure is not None:
            command.configure(one)
        one.set_defaults(command=command)
    return parser


def main(arguments: Sequence[str] | None = None, manager: PluginManager | None = None) -> int:
    """Run a subcommand; gives the exit status. Errors of the package end it with their text and 1."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            manager = manager or default_manager()
            parser = create_parser(manager)
        parsed = parser.parse_args(arguments)
        if parsed.command.name != "plugins":  # which shows what failed itself
            for warning in caught:
                print(f"warning: {warning.message}", file=sys.stderr)
        parsed.manager = manager
        status: int = parsed.command.run(parsed)
        sys.stdout.flush()
        return status
    except IEError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
