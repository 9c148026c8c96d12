"""``python -m bridge`` is ``trakor-bridge``."""

from bridge.cli import main

if __name__ == "__main__":
    main()
