from gancli.cli.app import main

main()
