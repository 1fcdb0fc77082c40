"""Garbage is collected when the runner asks for it, so that it is not taken for memory in use."""

import gc
import signal


def on_signal() -> None:
    signal.signal(signal.SIGUSR2, lambda *_: gc.collect())
