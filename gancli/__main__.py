"""Start the program. Ctrl-C during start-up ends it without a traceback."""

import signal


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from gancli.cli import app

    app.main()


if __name__ == "__main__":
    main()
