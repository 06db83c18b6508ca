"""Tables of rows, streamed: held against a schema, converted, drafted; never whole in memory.

`reading` rows in batches out of CSV, Parquet and JSON lines; `typed` cells as a schema's types; `fitting` what does not
fit; `conversions` what an operator declares and what it does to a batch; `writing` batches into a file; `drafting` what
a schema's first draft is made of. `errors` what is wrong with a table as a whole. Runs in commands, never in the
daemon. Values are shown to the rows' owner alone.
"""

from node.edge.tables.conversions import Conversions, Converter, read_conversions
from node.edge.tables.drafting import DraftColumn, draft_columns
from node.edge.tables.errors import TableError
from node.edge.tables.fitting import Fit, Fitting, Misfit, range_words
from node.edge.tables.reading import Batch, Rows, TableSource, file_source, open_rows
from node.edge.tables.writing import open_writer

__all__ = [
    "Batch",
    "Conversions",
    "Converter",
    "DraftColumn",
    "Fit",
    "Fitting",
    "Misfit",
    "Rows",
    "TableError",
    "TableSource",
    "draft_columns",
    "file_source",
    "open_rows",
    "open_writer",
    "range_words",
    "read_conversions",
]
