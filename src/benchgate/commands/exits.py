"""Exit codes of all verbs: 0 good, 1 worse, 2 cannot say. A verdict is never told by a traceback."""

WORSE, UNUSABLE, INTERRUPTED = 1, 2, 130
