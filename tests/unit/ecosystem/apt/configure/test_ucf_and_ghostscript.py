from ocibuild.ecosystem.apt.configure.files import FILE_OPERATIONS
from ocibuild.ecosystem.apt.configure.ghostscript import make_font_maps
from ocibuild.ecosystem.apt.configure.r_environment import make_r_environment
from ocibuild.ecosystem.apt.configure.ucf import register_line
from tests.support.made_context import made_context, made_overlay


def test_a_new_file_is_registered_with_its_copy() -> None:
    overlay = made_overlay({"var/lib/ucf/hashfile": "0  /etc/other\n"})
    register_line(made_context(overlay), "etc/papersize", "a4")
    assert overlay.read_text("etc/papersize") == overlay.read_text("var/lib/ucf/cache/:etc:papersize") == "a4\n"
    assert (
        overlay.read_text("var/lib/ucf/hashfile") == "0  /etc/other\n2f1ad364c25bfd8dcee21c2d6ea97a3a  /etc/papersize\n"
    )


def test_a_file_that_is_there_is_refused() -> None:
    context = made_context(made_overlay({"etc/papersize": "letter\n"}))
    register_line(context, "etc/papersize", "a4")
    assert len(context.unknown) == 1
    assert context.overlay.read_text("etc/papersize") == "letter\n"


def test_font_maps_are_the_configuration_files_in_order() -> None:
    files = {
        "etc/ghostscript/fontmap.d/20b.conf": "b\n",
        "etc/ghostscript/fontmap.d/10a.conf": "a\n",
        "etc/ghostscript/fontmap.d/note.txt": "no\n",
        "etc/ghostscript/fontmap.d/.hidden.conf": "no\n",
    }
    overlay = made_overlay(files)
    make_font_maps(made_context(overlay))
    assert "var/lib/ghostscript" not in overlay
    overlay.make_folders("usr/sbin")
    overlay.write("usr/sbin/update-gsfontmap", "")
    make_font_maps(made_context(overlay))
    assert overlay.read_text("var/lib/ghostscript/fonts/Fontmap") == "a\nb\n"
    assert overlay.read_text("var/lib/ghostscript/fonts/cidfmap") == ""


def test_lines_may_begin_with_a_tab() -> None:
    overlay = made_overlay()
    words = ["[filter", '"lfs"]', "|", "\\t", "required", "=", "true"]
    FILE_OPERATIONS["lines-missing"](made_context(overlay), "etc/gitconfig", *words)
    assert overlay.read_text("etc/gitconfig") == '[filter "lfs"]\n\trequired = true\n'


MODEL = "A=1\nR_PAPERSIZE_USER=${R_PAPERSIZE}\nR_PAPERSIZE=${R_PAPERSIZE-'letter'}\n"


def test_the_environment_of_r() -> None:
    files = {"etc/papersize": "a4\n", "etc/R/repositories": "", "usr/lib/R/etc/Renviron.ucf": MODEL}
    files |= {"var/lib/ucf/registry": "other \t /etc/b\n"}
    overlay = made_overlay(files)
    make_r_environment(made_context(overlay, package="r-base-core"))
    expected = MODEL.replace("USER=${R_PAPERSIZE}", "USER=${R_PAPERSIZE-'a4'}")
    assert overlay.read_text("etc/R/Renviron") == overlay.read_text("var/lib/ucf/cache/:etc:R:Renviron") == expected
    assert overlay.read_text("var/lib/ucf/registry") == "other \t /etc/b\nr-base-core \t /etc/R/Renviron\n"
    for changed in ({"etc/papersize": "$(reboot)\n"}, {"etc/R/Renviron": "mine\n"}):
        refused = made_context(made_overlay({**files, **changed}), package="r-base-core")
        make_r_environment(refused)
        assert refused.unknown
