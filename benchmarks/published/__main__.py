"""`python -m benchmarks.published`: see run.py."""

from benchmarks.published.run import main

if __name__ == "__main__":
    main()
