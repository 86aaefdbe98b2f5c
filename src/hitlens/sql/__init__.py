"""SQL expressions over truth columns: read, checked and evaluated; a missing value satisfies nothing."""

from hitlens.sql.evaluation import evaluate
from hitlens.sql.functions import FUNCTIONS
from hitlens.sql.syntax import columns_of, parse, readable
from hitlens.sql.values import missing_as_null, plain_truth

__all__ = ["FUNCTIONS", "columns_of", "evaluate", "missing_as_null", "parse", "plain_truth", "readable"]
