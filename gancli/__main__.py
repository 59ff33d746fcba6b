"""Where the program begins; Ctrl-C before anything is set up just ends it."""

import signal


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from gancli.cli import app

    app.main()


if __name__ == "__main__":
    main()
