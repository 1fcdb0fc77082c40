"""``python -m socketeer.cli``, for where the command itself is not on the PATH."""

from socketeer.cli import main

main()
