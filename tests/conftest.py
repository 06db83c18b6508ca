"""What every test may take for granted of the process that runs it."""

import signal

# A suite in the background is started to ignore Ctrl-C, and what its tests start and then interrupt would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
