"""Says on standard error that plans are being worked out, and where, once that takes long."""

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Timer

from mesh.cli.session import Session
from mesh.cli.steps import Step, steps_for

PATIENCE_S = 1.0
"""After so long it is said."""


@contextmanager
def patient(args: argparse.Namespace, session: Session, *, at: str = "") -> Iterator[None]:
    """Nothing else may be shown meanwhile. `at` is the node that is at work, "" = this machine.

    Needs `json`, `explain` and `pareto` of the arguments.
    """
    with closing(steps_for(session.terminal, quiet=args.json)) as steps:
        label = _under_way(args, at)
        told = Timer(PATIENCE_S, lambda: steps.show([Step(label=label)]))
        told.daemon = True
        told.start()
        try:
            yield
        finally:
            told.cancel()


def _under_way(args: argparse.Namespace, at: str) -> str:
    """A node that serves meanwhile, or a small board, takes a while for it."""
    more = ", its rivals and what would help" if args.explain or args.json else ""
    front = ", and sooner ones" if args.pareto else ""
    return f"{at or 'this machine'} works out the best plan{more}{front}"
