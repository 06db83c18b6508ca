"""The verifying process: `python -m node.edge.verifying.child`. Ends when its stdin does."""

import sys

from node.base.codec import decode
from node.base.crypto import verify
from node.edge.verifying.looks import Look, good_marks, read_frame, write_frame


def main() -> None:
    """Answer look after look."""
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    while (frame := read_frame(asked)) is not None:
        for marks in good_marks(decode(Look, frame), verify):
            write_frame(answers, marks)
        write_frame(answers, b"")


if __name__ == "__main__":
    main()
