"""Learning on this member's rows, in a process of its own.

The daemon's side (`learner`, `recipe`, `statistics`, `preparation`, `modelfile`, `framing`) imports neither torch nor
pyarrow, and a test holds it to that. The child's side reads rows, trains and evaluates; the commands of the operator
and the scripts use it directly, in their own process.

    recipe       what a job declares           table     rows of CSV and Parquet, checked
    statistics   what members tell each other  features  rows to numbers, one width for all
    preparation  the scaling all share         model     training and probabilities (torch), by optimisers
    initial      the first parameters          child     the process, begun in background; framing: how it is spoken to
    modelfile    safetensors with preparation  learner   the daemon's side of it
    evaluation   area under the ROC curve      predict, alone, split: for commands and scripts
"""
