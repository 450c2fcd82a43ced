"""The command `kindred`: what is registered, and search in it.

Libraries are imported by the verb that needs them, so that `kindred --help` answers at once.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from services.errors import CommandError, Exit

_EXIT_CODES = "exit codes: 0 done, 1 refused, 2 wrong usage, 3 conflict, 4 something unreachable"
_EXAMPLES = f"""\
examples:
  kindred status
  kindred search "a gift for a mother who loves gardening" --offline
  kindred search --help

{_EXIT_CODES}
"""
_STATUS_EXAMPLES = f"""\
examples:
  kindred status              the versions, their aliases, verdicts and headline numbers
  kindred status --json       the same for a program

{_EXIT_CODES}
"""
_SEARCH_EXAMPLES = f"""\
examples:
  kindred search "a gift for a mother who loves gardening" --offline
  kindred search "a blue mug" -k 5 --grid mugs.png --offline
  kindred search "{{NAME}} by the sea" --concept NAME --offline
  kindred search "something cosy" --version 2 --json --offline

{_EXIT_CODES}
"""


class _Parser(argparse.ArgumentParser):
    """Argparse, with errors of one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(Exit.USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code.

    Raises:
        SystemExit: argparse answered by itself: help, or arguments that it does not take.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.verb == "status":
            return _status(options)
        return _search(options)
    except CommandError as error:
        print(f"kindred {options.verb}: {' '.join(str(error).split())}", file=sys.stderr)
        return error.code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="kindred",
        description="Image search by what a text means to someone.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_status(_verb(verbs, "status", "list the registered versions", _STATUS_EXAMPLES))
    _add_search(_verb(verbs, "search", "search a catalogue by a text", _SEARCH_EXAMPLES))
    return parser


def _verb(
    verbs: "argparse._SubParsersAction[_Parser]", name: str, purpose: str, examples: str
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name,
        help=purpose,
        description=f"{purpose.capitalize()}.",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--name", default="kindred", help="the registered model (default: kindred)")
    return parser


def _add_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", help="what to look for, in quotes")
    parser.add_argument("--offline", action="store_true", help="search here, without a service")
    parser.add_argument(
        "--concept",
        dest="concepts",
        metavar="NAME",
        action="append",
        default=[],
        help="a concept of the version; {NAME} in the text is its place, else it comes first;"
        " may be given several times",
    )
    parser.add_argument("-k", type=int, default=10, help="how many products (default: 10)")
    parser.add_argument(
        "--version",
        metavar="V",
        help="number or alias (default: champion, or challenger where there is no champion)",
    )
    parser.add_argument("--grid", metavar="PNG", help="write the pictures found to this file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _status(options: argparse.Namespace) -> int:
    from services.status import read_status

    print(read_status(options.name, as_json=options.json))
    return Exit.DONE


def _search(options: argparse.Namespace) -> int:
    from services.search_command import SearchRequest, run_search

    request = SearchRequest(
        text=options.text,
        concepts=tuple(options.concepts),
        k=options.k,
        name=options.name,
        version=options.version,
        grid=options.grid,
        offline=options.offline,
        as_json=options.json,
    )
    print(run_search(request))
    return Exit.DONE


if __name__ == "__main__":
    sys.exit(main())
