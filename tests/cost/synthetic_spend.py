"""Invented spend on language models: level x weekday x growth x launches x noise, since no public series exists."""

from __future__ import annotations

import numpy as np

OFFICE = np.array([1, 1.05, 1.05, 1, 0.95, 0.4, 0.35])


def synthetic_spend(seed, days, *, growth=None, launches=None):
    """Daily spend: by default some series grow (up to 4 % a week), some step up when something is launched."""
    random = np.random.default_rng(seed)
    day = np.arange(days)
    logs = random.normal(2, 2) + random.uniform(0, 1.3) * np.log(OFFICE[(day + random.integers(7)) % 7])
    logs += (random.choice([0, 0, 0.005, 0.01, 0.02, 0.04]) if growth is None else growth) * day / 7
    for _ in range(random.poisson(days / 250) if launches is None else launches):
        logs[random.integers(days) :] += random.normal(0.4, 0.4)
    noise, carry = random.normal(0, random.uniform(0.05, 0.25), days), random.uniform(0, 0.8)
    for index in range(1, days):
        noise[index] += carry * noise[index - 1]
    bursts = np.where(random.random(days) < 0.005, random.uniform(2, 6, days), 1)
    return np.exp(logs + noise) * bursts
