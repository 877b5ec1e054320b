"""Ends this process when its parent is gone, however that ended, also inside native code."""

import fcntl
import os
import select
import signal


def end_with_parent() -> None:
    """Have the kernel end this process when the pipe at standard input loses its writer.

    fcntl(2), O_ASYNC and F_SETOWN. PR_SET_PDEATHSIG is no use here: it fires when the *thread*
    that started the process ends.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGIO})
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(0, 0)
    if poll.poll(0):  # it was gone before the signal was armed
        os._exit(0)
