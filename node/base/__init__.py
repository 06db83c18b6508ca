"""The ground: vocabulary, cryptography, the one byte form, and the ports that the edge implements."""
