"""Side by side: fresh workers of a baseline and a candidate, measured in turn, until a rule can tell them apart.

`timed` runs in the workers, `pairs` runs them, `statistic` makes one figure of a pair, `rule` decides over pairs,
`verdict` says it. `driver.side_by_side(baseline, candidate)` is all of it; `calibration` gives the noise of a machine,
`simulation` the error rates of the rule.
"""
