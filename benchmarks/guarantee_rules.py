"""Rules for calling a radiograph clear: what each decides, and whether its bound holds.

    python benchmarks/guarantee_rules.py [--draws 2000] [--data DATA] \\
        [--output docs/results/guarantee-rules.md]

A rule has two parts. Its scale compares a logit with the opacities of the view; its bound gives the
number of patients below the threshold on this scale that the calibration may miss. It is
calibrated on patients with an opacity, drawn many times, and measured on others.

Simulated: the logits of a view are two normal distributions. Their distance and widths match the
out-of-fold scores of the packaged recipe (docs/results/guarantee.md); patients, radiographs and
views are those of the challenge mix. The figures are those of the whole population.

With --data, also: scores of NIH-trained networks (`opacity_score` of DATA/nih/answers.csv.gz) for
images of DATA/rsna, measured on the patients that a draw leaves over.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from scipy.stats import beta, binom, nct, norm

from nanoray.datasets.folder import read_folder
from nanoray.evaluating.conformal import CONFIDENCE, allowed_misses
from nanoray.evaluating.poststratification import poststratify, read_population
from nanoray.evaluating.view_calibration import FEWEST, PositiveShare, shares_of_others

Floats = NDArray[np.floating]
Logits = tuple[float, float]
"""Below which a radiograph is clear: AP, PA."""

AP, PA = 0, 1
LEVEL: Final = 0.05
PATIENTS: Final = 205
IMAGES_OF_PATIENTS: Final = {1: 161, 2: 36, 3: 5, 4: 1, 5: 2}
"""Number of positive radiographs to number of patients, in the challenge mix."""

POSITIVES: Final = np.array([224, 38])
NEGATIVES: Final = np.array([294, 444])
CHALLENGE_POSITIVES: Final = 0.225 * np.array([0.776, 0.224])
CHALLENGE_NEGATIVES: Final = 0.775 * np.array([0.363, 0.637])
AREAS: Final = np.array([0.825, 0.830])
WIDTHS: Final = np.array([0.85, 0.83])
"""Standard deviation of the positives where that of the negatives is 1: the slope of the operating
points of each view on normal axes."""

SHIFT: Final = -1.35
"""Mean of the PA negatives where that of AP is 0, from their specificities at one threshold."""

SENSITIVITY: Final = 0.763
"""Of each view at *balanced*, from which a radiograph is suspected."""

WITHIN: Final = 0.5
"""Correlation of a patient's positive radiographs; an assumption."""


@dataclass(frozen=True, slots=True)
class Positives:
    """Positive radiographs of the calibration: logit, view and patient, [N] each."""

    logits: Floats
    views: NDArray[np.intp]
    patients: NDArray[np.intp]

    def least(self, values: Floats) -> Floats:
        """Return the least value of each patient, [P]."""
        found = np.full(int(self.patients.max()) + 1, np.inf)
        np.minimum.at(found, self.patients, values)
        return found


@dataclass(frozen=True, slots=True)
class Figures:
    """Shares at a pair of thresholds.

    Attributes:
        patients: of the patients with an opacity, called clear.
        challenge: the same in the challenge's mix of views.
        bedside, upright: of the positive radiographs of AP and of PA, called clear.
        decided: of the challenge's radiographs, called clear or suspected.
    """

    patients: float
    challenge: float
    bedside: float
    upright: float
    decided: float


Measure = Callable[[Logits], Figures]


class Source(Protocol):
    """Patients to calibrate and to measure on."""

    def draw(self, patients: int, rng: np.random.Generator) -> tuple[Positives, Measure]:
        """Draw patients with an opacity; return their radiographs and the measurement."""


class Population:
    """Simulated radiographs of both views."""

    def __init__(self, specificity: float | None = None) -> None:
        """Fix the population.

        Args:
            specificity: of each view, from which a radiograph is suspected; default: from
                `SENSITIVITY`.
        """
        distance = norm.ppf(AREAS) * np.hypot(1, WIDTHS)
        self.negative = np.array([0.0, SHIFT])
        self.positive = self.negative + distance
        self.suspected = self.positive + WIDTHS * norm.ppf(1 - SENSITIVITY)
        if specificity is not None:
            self.suspected = self.negative + norm.ppf(specificity)
        crowd = [self._of_view(view, 100_000, np.random.default_rng(view)) for view in (AP, PA)]
        self._least = [np.sort(one.least(one.logits)) for one in crowd]

    def draw(self, patients: int, rng: np.random.Generator) -> tuple[Positives, Measure]:
        """Draw patients with an opacity; each has radiographs of one view."""
        bedside = int(rng.binomial(patients, POSITIVES[AP] / POSITIVES.sum()))
        one, two = self._of_view(AP, bedside, rng), self._of_view(PA, patients - bedside, rng)
        person = np.concatenate([one.patients, two.patients + bedside])
        # Betting takes the patients one after another, so their order is random.
        known = Positives(
            np.concatenate([one.logits, two.logits]),
            np.concatenate([one.views, two.views]),
            rng.permutation(patients)[person],
        )
        return known, self.measure

    def _of_view(self, view: int, patients: int, rng: np.random.Generator) -> Positives:
        counts = np.array(list(IMAGES_OF_PATIENTS))
        shares = np.array(list(IMAGES_OF_PATIENTS.values())) / PATIENTS
        person = np.repeat(np.arange(patients), rng.choice(counts, patients, p=shares))
        own = rng.normal(0, math.sqrt(1 - WITHIN), len(person))
        common = rng.normal(0, math.sqrt(WITHIN), patients)[person]
        logits = self.positive[view] + WIDTHS[view] * (own + common)
        return Positives(logits, np.full(len(person), view), person)

    def measure(self, below: Logits) -> Figures:
        """Compute the shares; a radiograph from the upper threshold upwards is suspected."""
        clear = np.minimum(below, self.suspected)
        one, two = (
            np.searchsorted(self._least[view], clear[view]) / len(self._least[view])
            for view in (AP, PA)
        )
        own = POSITIVES[AP] / POSITIVES.sum()
        other = CHALLENGE_POSITIVES[AP] / CHALLENGE_POSITIVES.sum()
        missed, spared = self._below(clear)
        return Figures(
            float(own * one + (1 - own) * two),
            float(other * one + (1 - other) * two),
            float(missed[AP]),
            float(missed[PA]),
            1.0 - self._unsure(clear, missed, spared),
        )

    def _unsure(self, clear: Floats, missed: Floats, spared: Floats) -> float:
        """Return the unsure share of the challenge."""
        positive, negative = self._below(self.suspected)
        sick = CHALLENGE_POSITIVES @ (positive - missed)
        return float(sick + CHALLENGE_NEGATIVES @ (negative - spared))

    def _below(self, logits: Floats) -> tuple[Floats, Floats]:
        return norm.cdf((logits - self.positive) / WIDTHS), norm.cdf(logits - self.negative)


class Recorded:
    """Scores of NIH-trained networks, which have not seen the patient."""

    def __init__(self, data: Path) -> None:
        with gzip.open(data / "nih" / "answers.csv.gz", "rt", newline="") as file:
            scores = {row["patientId"]: row["opacity_score"] for row in csv.DictReader(file)}
        cases = [case for case in read_folder(data / "rsna") if scores.get(case.path.stem)]
        ones = np.ones((1, len(cases)))
        mix = read_population(data / "rsna" / "challenge_mix.csv")
        self._weights = poststratify(cases, mix).weights(ones)[0]
        self._logits = np.array([float(scores[case.path.stem]) for case in cases])
        self._views = np.array([PA if case.view == "PA" else AP for case in cases])
        self._positive = np.array([case.target == 1 for case in cases])
        _, self._person = np.unique([case.patient for case in cases], return_inverse=True)
        self.sick = np.unique(self._person[self._positive])
        self.images = (len(cases), int(self._positive.sum()))
        levels = [self._logits[self._positive & (self._views == view)] for view in (AP, PA)]
        self._suspected = np.array([np.quantile(level, 1 - SENSITIVITY) for level in levels])

    def draw(self, patients: int, rng: np.random.Generator) -> tuple[Positives, Measure]:
        """Draw patients with an opacity without replacement."""
        drawn = rng.permutation(self.sick)[:patients]
        order = np.full(self._person.max() + 1, -1)
        order[drawn] = np.arange(patients)
        fitted = self._positive & (order[self._person] >= 0)
        known = Positives(self._logits[fitted], self._views[fitted], order[self._person[fitted]])
        judged = self._positive & ~fitted
        called = self._logits >= self._suspected[self._views]

        def measure(below: Logits) -> Figures:
            clear = ~called & (self._logits < np.array(below)[self._views])
            missed = np.unique(self._person[judged & clear]).size
            share = missed / np.unique(self._person[judged]).size
            return Figures(
                share,
                math.nan,
                float(clear[judged & (self._views == AP)].mean()),
                float(clear[judged & (self._views == PA)].mean()),
                float(np.average(clear | called, weights=self._weights)),
            )

        return known, measure


Scale = Callable[[Positives], tuple[Floats, Callable[[float], Logits]]]
"""Returns the values of the positives on the scale, and the logits of a value."""


def order_of_view(apart: bool) -> Scale:
    """Compare with the order of the view's opacities.

    Args:
        apart: the patient's own radiographs are left out, as `nanoray guarantee` does.
    """

    def scale(known: Positives) -> tuple[Floats, Callable[[float], Logits]]:
        functions = []
        values = np.empty(len(known.logits))
        for view in (AP, PA):
            members = known.views == view
            used = members if members.sum() >= FEWEST // 2 else np.ones(len(members), bool)
            logits = known.logits[used]
            functions.append(PositiveShare(np.sort(logits)))
            shares = shares_of_others(logits, known.patients[used])
            if not apart:
                shares = functions[view].of(logits)
            values[members] = shares[members[used]]
        return values, lambda share: (functions[AP].logit(share), functions[PA].logit(share))

    return scale


def deviations(known: Positives) -> tuple[Floats, Callable[[float], Logits]]:
    """Compare with mean and standard deviation of the view's opacities."""
    means, widths = _moments(known)
    values = (known.logits - means[known.views]) / widths[known.views]
    return values, lambda value: (
        float(means[AP] + widths[AP] * value),
        float(means[PA] + widths[PA] * value),
    )


def _moments(known: Positives) -> tuple[Floats, Floats]:
    groups = [known.logits[known.views == view] for view in (AP, PA)]
    return np.array([g.mean() for g in groups]), np.array([g.std(ddof=1) for g in groups])


def shifted(part: float) -> Scale:
    """Add a part of the difference of the views' mean opacities to PA; 0: one threshold."""

    def scale(known: Positives) -> tuple[Floats, Callable[[float], Logits]]:
        means, _ = _moments(known)
        shift = part * (means[AP] - means[PA])
        return known.logits + shift * (known.views == PA), lambda value: (value, value - shift)

    return scale


Bound = Callable[[Positives, Floats, np.random.Generator], float]
"""Returns the value below which a radiograph is called clear; minus infinity: none."""


def least_patient(allowed: Callable[[int], int]) -> Bound:
    """Miss an allowed number of patients."""

    def bound(known: Positives, values: Floats, _: np.random.Generator) -> float:
        least = np.sort(known.least(values))
        number = _memory(allowed, len(least))
        return float(least[number]) if number >= 0 else -math.inf

    return bound


@cache
def _memory(allowed: Callable[[int], int], patients: int) -> int:
    return allowed(patients)


def exact(patients: int, level: float = LEVEL, confidence: float | None = CONFIDENCE) -> int:
    """Return the number of the exact binomial bound; without a confidence, in expectation."""
    return allowed_misses(patients, level, confidence)


def hoeffding_bentkus(patients: int) -> int:
    """Bound by Hoeffding and Bentkus (Bates et al. 2021, theorem 4)."""

    def significant(misses: int) -> bool:
        share = min(misses / patients, LEVEL)
        divergence = (1 - share) * math.log((1 - share) / (1 - LEVEL))
        if share > 0:
            divergence += share * math.log(share / LEVEL)
        bentkus = math.e * binom.cdf(misses, patients, LEVEL)
        return bool(min(math.exp(-patients * divergence), bentkus) <= 1 - CONFIDENCE)

    return next(misses for misses in range(patients) if not significant(misses)) - 1


def randomised(known: Positives, values: Floats, rng: np.random.Generator) -> float:
    """Draw between two exact numbers, so that the confidence is met with equality."""
    least = np.sort(known.least(values))
    number = _memory(exact, len(least))
    held = [beta.cdf(LEVEL, more + 1, len(least) - more) for more in (number, number + 1)]
    more = rng.random() < (held[0] - CONFIDENCE) / (held[0] - held[1])
    return float(least[number + more])


def betting(whole: bool, expected: float | None = None) -> Bound:
    """Bound by betting against each threshold in turn (Waudby-Smith and Ramdas 2024).

    Args:
        whole: the loss of a patient is 1 for a miss; else it is the share of the patient's positive
            radiographs that are missed.
        expected: bet for this true share; by default the bets follow the variance so far.
    """

    def bound(known: Positives, values: Floats, _: np.random.Generator) -> float:
        ordered = np.sort(known.least(values) if whole else values)[:60]
        counts = np.bincount(known.patients)
        threshold = -math.inf
        for value in ordered:
            lost = np.bincount(known.patients[values < value], minlength=len(counts))
            losses = (lost > 0).astype(float) if whole else lost / counts
            if _wealth(losses, expected) < 1 / (1 - CONFIDENCE):
                break
            threshold = float(value)
        return threshold

    return bound


def _wealth(losses: Floats, expected: float | None) -> float:
    """Return the greatest wealth of a bettor that the mean loss is below the level."""
    count = len(losses)
    if expected is not None:
        stakes = np.full(count, ((1 - expected) / (1 - LEVEL) - 1) / LEVEL)
    else:
        after = np.arange(1, count + 1) + 1
        means = (0.5 + np.cumsum(losses)) / after
        variances = (0.25 + np.cumsum((losses - means) ** 2)) / after
        before = np.concatenate([[0.25], variances[:-1]])
        stakes = np.minimum(1, np.sqrt(2 * math.log(1 / (1 - CONFIDENCE)) / (count * before)))
    return float(np.exp(np.cumsum(np.log1p(-stakes * (losses - LEVEL))).max()))


def drawn_radiograph(known: Positives, values: Floats, rng: np.random.Generator) -> float:
    """Take one radiograph of each patient at random, with the exact bound."""
    order = rng.permutation(len(values))
    _, first = np.unique(known.patients[order], return_index=True)
    chosen = np.sort(values[order[first]])
    return float(chosen[_memory(exact, len(chosen))])


def independent(_: Positives, values: Floats, __: np.random.Generator) -> float:
    """Count radiographs as if each were another patient."""
    return float(np.sort(values)[_memory(exact, len(values))])


def tolerance(known: Positives, values: Floats, _: np.random.Generator) -> float:
    """Take the tolerance limit of a normal distribution (Wilks 1942) of the least values."""
    least = known.least(values)
    return float(least.mean() - _factor(len(least)) * least.std(ddof=1))


@cache
def _factor(count: int) -> float:
    root = math.sqrt(count)
    return float(nct.ppf(CONFIDENCE, count - 1, root * norm.ppf(1 - LEVEL)) / root)


EXACT: Final = least_patient(exact)
APART: Final = order_of_view(apart=True)
TOGETHER: Final = order_of_view(apart=False)


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table."""

    name: str
    scale: Scale = APART
    bound: Bound = EXACT
    patients: int = PATIENTS
    level: float = LEVEL
    specificity: float | None = None


SECTIONS: Final[dict[str, tuple[Rule, ...]]] = {
    "bound": (
        Rule("exact binomial: `nanoray guarantee`"),
        Rule("exact binomial, randomised to 95.0 %", bound=randomised),
        Rule("Hoeffding and Bentkus", bound=least_patient(hoeffding_bentkus)),
        Rule("betting", bound=betting(True)),
        Rule("betting for a true share of 2 %", bound=betting(True, 0.02)),
        Rule("normal tolerance limit", deviations, tolerance),
    ),
    "another promise": (
        Rule("one radiograph of each patient, drawn", bound=drawn_radiograph),
        Rule("mean of each patient's radiographs, betting for 2 %", bound=betting(False, 0.02)),
        Rule("radiographs as if of independent patients", bound=independent),
        Rule("confidence of 90 %", bound=least_patient(partial(exact, confidence=0.90))),
        Rule(
            "in expectation, without a confidence",
            bound=least_patient(partial(exact, confidence=None)),
        ),
    ),
    "scale": (
        Rule("with the patient's own radiographs (the packaged file)", TOGETHER),
        Rule("standard deviations from the view's mean", deviations),
        Rule("PA shifted to the mean of AP", shifted(1.0)),
        Rule("PA shifted by three quarters of this", shifted(0.75)),
        Rule("by half", shifted(0.5)),
        Rule("by a quarter", shifted(0.25)),
        Rule("not shifted: one threshold", shifted(0.0)),
    ),
    "patients": (
        *(Rule(f"{n:,}", patients=n) for n in (59, 103, 208, 300, 400, 600, 754, 1600)),
        *(Rule(f"{n}, with the own radiographs", TOGETHER, patients=n) for n in (59, 208)),
        Rule("754, PA shifted by three quarters", shifted(0.75), patients=754),
    ),
    "level": tuple(
        Rule(name, scale, least_patient(partial(exact, level=level)), level=level)
        for level in (0.02, 0.10)
        for name, scale in (
            (f"{level:.0%}".replace("%", " %"), APART),
            (f"{level:.0%}, with the own radiographs".replace("%", " %"), TOGETHER),
        )
    ),
    "both errors": tuple(
        Rule(f"suspected from a specificity of {share:.0%}".replace("%", " %"), specificity=share)
        for share in (0.70, 0.80, 0.90, 0.95)
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of a rule over the draws.

    Attributes:
        held: share of the draws in which the missed patients are at most the level.
        mean: of the figures.
        spread: 2.5 and 97.5 percentiles of the decided share.
    """

    held: float
    mean: Figures
    spread: tuple[float, float]


def simulate(rule: Rule, source: Source, draws: int) -> Row:
    """Calibrate and measure a rule many times; every rule meets the same draws."""
    rows = []
    for number in range(draws):
        rng = np.random.default_rng(number)
        known, measure = source.draw(rule.patients, rng)
        values, logits_of = rule.scale(known)
        value = rule.bound(known, values, rng)
        rows.append(astuple(measure(logits_of(value) if value > -math.inf else (value, value))))
    table = np.array(rows)
    low, high = np.quantile(table[:, -1], [0.025, 0.975])
    return Row(
        float((table[:, 0] <= rule.level).mean()),
        Figures(*(float(mean) for mean in table.mean(0))),
        (float(low), float(high)),
    )


INTRODUCTION: Final = """# Rules for calling a radiograph clear

`python benchmarks/guarantee_rules.py{data} --draws {draws}`. Unless the rule names another number,
the level is 5 %, the confidence 95 %, and {patients} patients with an opacity calibrate, as for
the packaged file.

Simulated logits, matched to the [thresholds by view](guarantee.md). *Held*: share of the draws in
which at most the level of the patients is missed. *In the challenge*: missed patients in the
challenge's mix of views (78 % AP; the calibration has 85 %). *Decided* is weighted to the
challenge; its range has 95 % of the draws.
"""

RECORDED: Final = """
Scores of NIH-trained networks for {images:,} images of RSNA, {positive} with an opacity, of
{patients} patients. Missed: among the patients outside the draw.
"""


RECORDED_COLUMNS: Final[dict[str, Callable[[Row], str]]] = {
    "missed patients": lambda row: _percent(row.mean.patients),
    "missed AP": lambda row: _percent(row.mean.bedside),
    "missed PA": lambda row: _percent(row.mean.upright),
    "decided": lambda row: _percent(row.mean.decided),
    "range": lambda row: f"{100 * row.spread[0]:.1f} to {100 * row.spread[1]:.1f}",
}
COLUMNS: Final[dict[str, Callable[[Row], str]]] = {
    "held": lambda row: _percent(row.held),
    "missed patients": RECORDED_COLUMNS["missed patients"],
    "in the challenge": lambda row: _percent(row.mean.challenge),
    **RECORDED_COLUMNS,
}


def page(draws: int, data: Path | None) -> str:
    """Return the tables, in Markdown."""
    simulated = {
        rule: Population(rule.specificity) for rules in SECTIONS.values() for rule in rules
    }
    lines = [
        INTRODUCTION.format(data=" --data DATA" if data else "", draws=draws, patients=PATIENTS),
        *_table(simulated, draws, COLUMNS),
    ]
    if data is not None:
        source = Recorded(data)
        most = 2 * len(source.sick) // 3
        recorded = {
            rule: source
            for rule in simulated
            if rule.specificity is None and rule.level == LEVEL and rule.patients <= most
        }
        lines += [
            RECORDED.format(
                images=source.images[0], positive=source.images[1], patients=len(source.sick)
            ),
            *_table(recorded, draws, RECORDED_COLUMNS),
        ]
    return "\n".join(lines) + "\n"


def _table(
    sources: Mapping[Rule, Source], draws: int, columns: Mapping[str, Callable[[Row], str]]
) -> Iterator[str]:
    yield f"| part | rule | {' | '.join(columns)} |"
    yield "| --- " * (2 + len(columns)) + "|"
    for rule in track(sources, "Simulating", console=Console(stderr=True), transient=True):
        row = simulate(rule, sources[rule], draws)
        cells = " | ".join(cell(row) for cell in columns.values())
        yield f"| {_part(rule)} | {rule.name} | {cells} |"


def _part(rule: Rule) -> str:
    return next(part for part, rules in SECTIONS.items() if rule in rules)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--data", type=Path, help="folder with rsna and nih")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    text = page(options.draws, options.data)
    print(text)
    if options.output is not None:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
