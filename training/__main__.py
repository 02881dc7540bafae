"""`python -m training`, also below `accelerate launch -m`."""

from training.cli import main

if __name__ == "__main__":  # batch workers import this module again
    main()
