"""Training text2text models from scratch: the data, the loop, its checkpoints and curve, and the trained artifact.

`models` and `command` are imported without torch; `loop`, `checkpoint` and `sweep` import it at the top.
"""
