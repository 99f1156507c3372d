"""The science of the demonstration: real census data, disjoint splits, three LightGBM models, one story.

``FIRST`` never sees a protected attribute, yet three of its features are parts of the disability record: among employed
people it recognises those with a disability far less often. ``MENDED`` differs only in that these three are gone.
``RETRAINED`` is ``MENDED`` with two more years of training rows. Task: is a person of 18 to 64 employed?

Deterministic: rows are split by a hash of their number, LightGBM runs on one thread with a fixed seed.
numpy, pyarrow and lightgbm are imported inside the functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affidavit.core.errors import Invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

DATA = Path(__file__).parent / "data" / "acs_employment_ma.parquet"
SEED = 7
LABEL = "employed"
PROTECTED = ("SEX", "RAC1P", "AGEP", "DIS", "NATIVITY", "MAR")
DISABILITY_PARTS = ("DEAR", "DEYE", "DREM")
OTHERS = ("SCHL", "RELP", "ESP", "CIT", "MIG", "MIL", "ANC")
PARAMETERS: Mapping[str, str | int] = {"num_leaves": 31, "learning_rate": "0.1", "num_iterations": 100}
_FIXED = {
    "objective": "binary",
    "seed": SEED,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
_MASK = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """What fixes a model: features, survey years of the training rows, LightGBM parameters, decision threshold.

    Decimals are strings. The threshold is one for everybody: no protected attribute takes part in a decision.
    """

    name: str
    features: tuple[str, ...]
    years: tuple[int, ...] = (2015,)
    parameters: Mapping[str, str | int] = field(default_factory=lambda: PARAMETERS)
    threshold: str = "0.5"


FIRST = Recipe("first", OTHERS + DISABILITY_PARTS)
MENDED = Recipe("mended", OTHERS)
RETRAINED = Recipe("retrained", OTHERS, years=(2015, 2016, 2017))


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns of some people, name -> int8 or int16 array of shape (n,); ``row`` is the number in the file."""

    row: NDArray[Any]
    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        """The number of people, n."""
        return len(self.row)

    @property
    def label(self) -> NDArray[Any]:
        """1 employed, 0 not; shape (n,)."""
        return self.columns[LABEL]

    def protected(self, *names: str) -> dict[str, NDArray[Any]]:
        """Protected attributes, for an assessment alone: the codes in the file, none named means all."""
        return {name: self.columns[name] for name in names or PROTECTED}

    def features(self, recipe: Recipe) -> NDArray[Any]:
        """The recipe's features as float64, shape (n, features). Raises ``Invalid`` for one that is protected."""
        import numpy as np

        seen = sorted(set(recipe.features) & set(PROTECTED))
        if seen:
            raise Invalid(f"{recipe.name} would see {', '.join(seen)}.", next_step="Leave protected attributes out.")
        return np.column_stack([self.columns[name] for name in recipe.features]).astype(np.float64)

    def where(self, chosen: NDArray[Any]) -> Rows:
        """The people for whom ``chosen`` (bool, shape (n,)) holds, in order."""
        return Rows(self.row[chosen], {name: column[chosen] for name, column in self.columns.items()})


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model: LightGBM's own text (UTF-8, the artifact to register) and the recipe it came from."""

    recipe: Recipe
    text: str
    training_rows: int


def load(path: Path = DATA) -> Rows:
    """Everyone aged 18 to 64 in the file, all years. Raises ``Invalid`` if the file is not there."""
    import numpy as np
    import pyarrow.parquet as pq

    if not path.is_file():
        raise Invalid(f"{path.name} is missing.", next_step="Run scripts/make_demo_data.py.")
    table = pq.read_table(path)
    everyone = Rows(np.arange(len(table)), {name: table[name].to_numpy() for name in table.column_names})
    age = everyone.columns["AGEP"]
    return everyone.where((age >= 18) & (age < 65))


def hundredth(row: NDArray[Any]) -> NDArray[Any]:
    """A number 0 to 99 per row number: SplitMix64 (Steele, Lea & Flood, OOPSLA 2014) of the number and ``SEED``."""
    import numpy as np

    z = row.astype(np.uint64) + np.uint64((1 + SEED * 0x9E3779B97F4A7C15) & _MASK)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) % np.uint64(100)


def split(people: Rows, name: str, years: tuple[int, ...] = (2015,)) -> Rows:
    """The people of one split: ``train`` 60 %, ``validation`` 15 %, ``test`` 25 % of each year; disjoint.

    Raises ``Invalid`` for another name.
    """
    import numpy as np

    bounds = {"train": (0, 60), "validation": (60, 75), "test": (75, 100)}
    if name not in bounds:
        raise Invalid(f"No split is named {name!r}.", next_step=f"Use one of: {', '.join(bounds)}.")
    low, high = bounds[name]
    drawn = hundredth(people.row)
    return people.where(np.isin(people.columns["year"], years) & (drawn >= low) & (drawn < high))


def train(recipe: Recipe, people: Rows) -> Trained:
    """Train on the recipe's share of ``people``: the same text each time with the same LightGBM version.

    Raises ``Invalid`` for a protected feature or if no training row is left.
    """
    import lightgbm as lgb

    rows = split(people, "train", recipe.years)
    if not len(rows):
        raise Invalid(f"{recipe.name} has no training rows.", next_step="Check the years of the recipe.")
    numbers = {name: float(v) if isinstance(v, str) else v for name, v in recipe.parameters.items()}
    parts = lgb.Dataset(rows.features(recipe), rows.label, feature_name=list(recipe.features))
    booster = lgb.train({**_FIXED, **numbers}, parts)
    return Trained(recipe, booster.model_to_string(), len(rows))


def score(model: Trained, rows: Rows) -> NDArray[Any]:
    """Probability of being employed, float64, shape (n,)."""
    import lightgbm as lgb
    import numpy as np

    scores = lgb.Booster(model_str=model.text).predict(rows.features(model.recipe), num_threads=1)
    return np.asarray(scores, dtype=np.float64)


def decide(model: Trained, scores: NDArray[Any]) -> NDArray[Any]:
    """1 where the score reaches the recipe's threshold, else 0; int8, shape (n,)."""
    import numpy as np

    return (scores >= float(model.recipe.threshold)).astype(np.int8)
