"""The command `kindred`: what is registered, which of it serves, and search in it.

Libraries are imported by the verb that needs them, so that `kindred --help` answers at once.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from services.errors import CommandError, Exit

NOBODY_READS = 141  # what a shell says of a program that SIGPIPE ended

_EXIT_CODES = "exit codes: 0 done, 1 refused, 2 wrong usage, 3 conflict, 4 something unreachable"
_EXAMPLES = f"""\
examples:
  kindred status                                                  what is registered
  kindred promote                                                 the challenger becomes champion
  kindred serve                                                   http://127.0.0.1:3000
  kindred search "a gift for a mother who loves gardening"        ask the service
  kindred rollback                                                the champion before this one
  kindred VERB --help                                             more of a verb

{_EXIT_CODES}
"""
_STATUS_EXAMPLES = f"""\
examples:
  kindred status              the versions, their aliases, verdicts and headline numbers
  kindred status --json       the same for a program

{_EXIT_CODES}
"""
_PROMOTE_EXAMPLES = f"""\
examples:
  kindred promote                               the challenger, if its verdicts passed
  kindred promote 3 --dry-run                   check version 3, change nothing
  kindred promote 3 --force --reason "demo"     although a verdict failed; the reason is recorded

{_EXIT_CODES}
"""
_ROLLBACK_EXAMPLES = f"""\
examples:
  kindred rollback            undo the last promotion; twice goes two back

{_EXIT_CODES}
"""
_HISTORY_EXAMPLES = f"""\
examples:
  kindred history             every promotion and rollback, newest first
  kindred history --json      the same for a program

{_EXIT_CODES}
"""
_LABELS_EXAMPLES = f"""\
examples:
  kindred labels cost         calls, tokens and money by stage, cycle and teacher
  kindred labels cost --json  the same for a program

{_EXIT_CODES}
"""
_SERVE_EXAMPLES = f"""\
examples:
  kindred serve                        the champion at http://127.0.0.1:3000, and the next one
  kindred serve --version challenger   look at a version before it is promoted
  kindred serve --port 8080
  MILVUS_URI=http://127.0.0.1:19530 kindred serve

{_EXIT_CODES}
"""
_SEARCH_EXAMPLES = f"""\
examples:
  kindred search "a gift for a mother who loves gardening"
  KINDRED_URL=http://127.0.0.1:8080 kindred search "a blue mug" --json
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
        code = int(options.run(options))
        sys.stdout.flush()
    except BrokenPipeError:  # as in `kindred status | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
    except CommandError as error:
        print(f"kindred {options.verb}: {' '.join(str(error).split())}", file=sys.stderr)
        return error.code
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="kindred",
        description="Image search by what a text means to someone.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_status(_verb(verbs, "status", "list the registered versions", _STATUS_EXAMPLES))
    _add_promote(_verb(verbs, "promote", "make a version the champion", _PROMOTE_EXAMPLES))
    _add_rollback(_verb(verbs, "rollback", "undo the last promotion", _ROLLBACK_EXAMPLES))
    _add_history(_verb(verbs, "history", "list promotions and rollbacks", _HISTORY_EXAMPLES))
    _add_labels(_verb(verbs, "labels", "look at what labelling did", _LABELS_EXAMPLES))
    _add_serve(_verb(verbs, "serve", "serve search over HTTP", _SERVE_EXAMPLES))
    _add_search(_verb(verbs, "search", "search a catalogue by a text", _SEARCH_EXAMPLES))
    return parser


def _verb(
    verbs: "argparse._SubParsersAction[_Parser]", name: str, purpose: str, examples: str
) -> argparse.ArgumentParser:
    return verbs.add_parser(
        name,
        help=purpose,
        description=f"{purpose.capitalize()}.",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="kindred", help="the registered model (default: kindred)")


def _add_status(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_status)
    _add_name(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_promote(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_promote)
    _add_name(parser)
    parser.add_argument(
        "version",
        metavar="VERSION",
        nargs="?",
        default="challenger",
        help="number or alias (default: challenger)",
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything, change nothing")
    parser.add_argument(
        "--force", action="store_true", help="promote although a check fails; needs --reason"
    )
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; kept in the history")


def _add_rollback(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_rollback)
    _add_name(parser)


def _add_history(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_history)
    _add_name(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_labels(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_labels)
    parser.add_argument("what", choices=["cost"], help="cost: the ledger of the teacher's calls")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_serve)
    _add_name(parser)
    parser.add_argument(
        "--version", metavar="V", help="number or alias (default: champion, and who follows it)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="loopback only (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=3000, help="default: 3000")


def _add_search(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_search)
    _add_name(parser)
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


def _promote(options: argparse.Namespace) -> int:
    from services.promotion_commands import run_promote

    print(
        run_promote(
            options.name,
            options.version,
            dry_run=options.dry_run,
            force=options.force,
            reason=options.reason,
        )
    )
    return Exit.DONE


def _rollback(options: argparse.Namespace) -> int:
    from services.promotion_commands import run_rollback

    print(run_rollback(options.name))
    return Exit.DONE


def _history(options: argparse.Namespace) -> int:
    from services.history_command import read_changes

    print(read_changes(options.name, as_json=options.json))
    return Exit.DONE


def _labels(options: argparse.Namespace) -> int:
    from services.labels_command import read_cost

    print(read_cost(as_json=options.json))
    return Exit.DONE


def _serve(options: argparse.Namespace) -> int:
    from services.serve_command import ServeRequest, run_serve

    run_serve(ServeRequest(options.name, options.version, options.host, options.port))


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
