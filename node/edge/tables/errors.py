"""What can be wrong with a table as a whole; single rows that do not fit are data, not errors.

TableError
"""


class TableError(Exception):
    """A file that is no table, or conversions that cannot be applied to it; the text says what to do."""
