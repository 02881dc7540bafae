"""`python -m training` is `deepfake-train`; `accelerate launch -m training` starts it on several GPUs."""

from training.cli import main

if __name__ == "__main__":  # batch workers import this module again
    main()
