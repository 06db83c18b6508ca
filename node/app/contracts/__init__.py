"""An organisation's own contract on its way to the ledger: the file that people write, and its example cases.

- `rulesfile`   the TOML file: what may stand in it, and what of it goes on the ledger
- `places`      where in the file something is wrong
- `cases`       the file's own cases, decided at once, without a network
- `templates`   files to begin with
- `errors`      what a file can have
"""
