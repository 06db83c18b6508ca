"""The platform's own contracts, each one file or one folder; the README beside them shows how to add one.

`contract` is what one is made of and what it sees of the state, `registry` all of them by name. `membership` who
belongs to the network; `evidence` who contradicted itself; `schemas`, `sharing`, `replicas` what a data set is, where
it is, who keeps a copy; `agreements`, `access` and `rules` who may have it, asked, decided, and decided by an
organisation's own conditions; `training` jobs and their training rounds.
"""
