import pytest

from ocibuild.core.asks import Origin
from ocibuild.core.errors import RepositoryError
from ocibuild.spec.appendix import AppendixEffect, parse_appendix
from ocibuild.spec.dockerfile_words import expanded, split_words

# As JupyterHub's documentation of BinderHub proposes it.
BINDERHUB = """\
USER root
ENV BINDER_URL=https://binder.example.org/v2/gh/a/b/HEAD
# a comment
RUN cd /tmp \\
    # a comment inside
 && wget -q https://example.org/a.tar.gz \\

 && ./appendix/run-appendix
ENV A=1 B="two words" PATH=/opt/bin:$PATH
USER $NB_USER
"""


def effect(text: str, **environment: str) -> AppendixEffect:
    return parse_appendix(text, file="--appendix").effect(
        environment={"PATH": "/usr/bin", **environment},
        arguments={"NB_USER": "jovyan", "NB_UID": "1000"},
        user="jovyan",
        working_folder="/home/jovyan",
    )


def test_what_binderhub_appends() -> None:
    found = effect(BINDERHUB)
    assert found.environment == {
        "BINDER_URL": "https://binder.example.org/v2/gh/a/b/HEAD",
        "A": "1",
        "B": "two words",
        "PATH": "/opt/bin:/usr/bin",
    }
    (step,) = found.steps
    script = "cd /tmp  && wget -q https://example.org/a.tar.gz  && ./appendix/run-appendix"
    assert step.arguments == ("/bin/sh", "-c", script)
    assert (step.user, step.working_folder, step.origin) == ("root", "/home/jovyan", Origin("--appendix", 4))
    assert step.environment["BINDER_URL"].startswith("https://")
    assert (step.environment["NB_UID"], "A" in step.environment) == ("1000", False)
    assert (found.user, found.working_folder) == ("jovyan", "/home/jovyan")


def test_nothing_is_appended() -> None:
    found = effect("\n# nothing\n")
    assert (found.environment, found.steps, found.user) == ({}, (), "jovyan")


def test_every_other_instruction() -> None:
    found = effect(
        'label a="1 2" b=$NB_UID\nWorkDir /srv\nWORKDIR repo\nEXPOSE 80 53/udp\nRUN ["make", "a b"]\nRUN [ -e x ]\n'
    )
    assert found.labels == {"a": "1 2", "b": "1000"}
    assert found.working_folder == "/srv/repo"
    assert found.ports == ("80/tcp", "53/udp")
    assert [(step.arguments, step.user) for step in found.steps] == [
        (("mkdir", "-p", "/srv"), "root"),
        (("mkdir", "-p", "/srv/repo"), "root"),
        (("make", "a b"), "jovyan"),
        (("/bin/sh", "-c", "[ -e x ]"), "jovyan"),
    ]
    assert found.steps[2].working_folder == "/srv/repo"


def test_the_older_form_of_env() -> None:
    assert effect("ENV A one two\nENV B $A three\n").environment == {"A": "one two", "B": "one two three"}


def test_values_of_one_env_see_the_variables_before_it() -> None:
    assert effect("ENV A=1\nENV A=2 B=$A\n").environment == {"A": "2", "B": "1"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM x", "--appendix:1: FROM cannot be followed"),
        ("USER root\n\nCOPY a b", "--appendix:3: COPY cannot be followed"),
        ("CMD a", "CMD cannot be followed"),
        ("RUN", "RUN without anything"),
        ("RUN --mount=type=cache,target=/x true", "options of RUN"),
        ("RUN <<EOF\ntrue\nEOF", "here-document"),
        ("ENV A", "ENV A has no value"),
        ("ENV A=1 B", "'B' is no NAME=VALUE"),
        ("LABEL =1", "'=1' is no NAME=VALUE"),
        ("EXPOSE http", "'http' is no port"),
        ("ENV A=${B%x}", "cannot be followed"),
        ('ENV A="x', "is missing"),
        ("ENV A=${B", "cannot be followed"),
        ('ENV A="${B:?is needed}"', "B: is needed"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(RepositoryError) as caught:
        effect(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith("--appendix:")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # The examples of "Environment replacement", and more of its rules.
        ("$A", "one"),
        ("${A}b", "oneb"),
        ("\\$A", "$A"),
        ("\\${A}", "${A}"),
        ("'$A'", "$A"),
        ('"$A"', "one"),
        ('"\\"$A\\n"', '"one\\n'),
        ("${NONE:-x}", "x"),
        ("${A:-x}", "one"),
        ("${A:+x}", "x"),
        ("${NONE:+x}", ""),
        ("${EMPTY-x}", ""),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY+x}", "x"),
        ("${NONE:-$A}", "one"),
        ("${NONE:-${NONE:-deep}}", "deep"),
        ("${A:?needed}", "one"),
        ("$", "$"),
        ("a$-b", "a$-b"),
        ("$NONE", ""),
        ("a\\ b", "a b"),
        ("", ""),
    ],
)
def test_variables(text: str, value: str) -> None:
    assert expanded(text, {"A": "one", "EMPTY": ""}, origin=Origin("f", 1)) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b", ["a", "b"]),
        ("a='b c' d", ["a='b c'", "d"]),
        ('a="b \\" c" d', ['a="b \\" c"', "d"]),
        ("a=b\\ c", ["a=b\\ c"]),
        ("  a\t b ", ["a", "b"]),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert split_words(text) == words
