from ocibuild.ecosystem.apt.configure import UnknownScript
from ocibuild.ecosystem.apt.configure_step import configure_step


def test_scripts_of_packages_get_no_secrets_and_no_network() -> None:
    step = configure_step([UnknownScript("dbus", "postinst", "not known")])
    assert not step.has_secrets
    assert not step.network
