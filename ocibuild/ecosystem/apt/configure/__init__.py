"""Maintainer scripts and triggers as data: what configuring packages leaves behind, made without running their code."""

from ocibuild.ecosystem.apt.configure.known import unknown_scripts
from ocibuild.ecosystem.apt.configure.package import ConfiguredPackage, ConfigureReport, UnknownScript
from ocibuild.ecosystem.apt.configure.run import configure

__all__ = ["ConfigureReport", "ConfiguredPackage", "UnknownScript", "configure", "unknown_scripts"]
