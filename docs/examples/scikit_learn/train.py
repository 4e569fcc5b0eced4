"""Trains the classifier that the benchmark measures, and writes digits.skops."""

import skops.io
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEEN = 1000
x, y = load_digits(return_X_y=True)
skops.io.dump(make_pipeline(StandardScaler(), LogisticRegression()).fit(x[:SEEN], y[:SEEN]), "digits.skops")
