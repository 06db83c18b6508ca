"""The ground: vocabulary, cryptography, the one byte form, errors that people read, and the ports that the edge has.

`types` what everything is called; `codec` its bytes; `crypto` signatures, digests, sealing; `expressions` conditions in
CEL; `crown` the upper part of the state's tree; `ports` what the house asks of the edge; `errors`.
"""
