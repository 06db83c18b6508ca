"""`python -m node.cli`: the same as `lepton`."""

from node.cli.main import main

main()
