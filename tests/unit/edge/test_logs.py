"""Logging must not stop a daemon."""

import json
import sys

import structlog

from node.edge.telemetry import configure_logs


class FullDisk:
    """A stream whose disk is full."""

    def write(self, text):
        raise OSError(28, "No space left on device")

    def flush(self):
        raise OSError(28, "No space left on device")

    def isatty(self):
        return False


def test_a_line_that_cannot_be_written_is_lost_and_the_next_one_is_not(capsys, monkeypatch):
    configure_logs(json=True)
    log = structlog.get_logger("test").bind(org="ada")
    monkeypatch.setattr(sys, "stderr", FullDisk())
    log.warning("lost")
    monkeypatch.undo()
    log.warning("kept", peer="bob")

    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["org"], line["peer"], line["level"]) == ("kept", "ada", "bob", "warning")
