"""``python -m fesurrogate``."""

from fesurrogate.cli import main

if __name__ == "__main__":
    main()
