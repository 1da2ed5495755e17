import pytest

from ocibuild.ecosystem.r.system_requirements import system_packages


@pytest.mark.parametrize(
    ("text", "packages"),
    [  # as packages on CRAN have it
        ("libcurl (>= 7.73): libcurl-devel (rpm) or libcurl4-openssl-dev (deb)", ["libcurl4-openssl-dev"]),
        ("OpenSSL >= 1.0.2", ["libssl-dev"]),
        ("libxml2: libxml2-dev (deb), libxml2-devel (rpm)", ["libxml2-dev"]),
        ("GDAL (>= 2.0.1), GEOS (>= 3.4.0), PROJ (>= 4.8.0), sqlite3", ["gdal-bin", "libgdal-dev", "libgeos-dev", "libproj-dev"]),
        ("udunits-2", ["libudunits2-dev"]),
        ("freetype2, libpng, libtiff, libjpeg", ["libfreetype6-dev", "libpng-dev", "libjpeg-dev", "libtiff-dev"]),
        ("ICU4C (>= 61, optional)", ["libicu-dev"]),
        ("ImageMagick++: ImageMagick-c++-devel (rpm) or libmagick++-dev (deb)", ["libmagick++-dev"]),
        ("GNU make, C++17", []),
        ("", []),
    ],
)  # fmt: skip
def test_what_packages_want(text: str, packages: list[str]) -> None:
    assert list(system_packages(text)) == packages
