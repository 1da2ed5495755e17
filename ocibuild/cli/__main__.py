"""``python -m ocibuild.cli``."""

from ocibuild.cli.main import main

main()
