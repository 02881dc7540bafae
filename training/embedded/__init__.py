"""How the embedded checkpoint is made again: photographs, stages, pictures to measure on, card. See README.md."""
