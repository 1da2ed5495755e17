from ocibuild.core.asks import Origin, StepAsk
from ocibuild.core.step import Step
from ocibuild.plan.steps import repository_steps


def test_steps_come_as_written_and_post_build_comes_last() -> None:
    asks = [
        StepAsk("one", ("true",), Origin("ocibuild.toml", 1)),
        StepAsk("two", ("id",), Origin("ocibuild.toml", 3), user="root", working_folder="/srv", network=False),
    ]
    steps = list(repository_steps(asks, post_build="binder/postBuild", user="jovyan", folder="/home/jovyan"))
    assert [step.name for step in steps] == ["one", "two", "postBuild"]
    assert steps[0] == Step(
        "one", ("true",), "ocibuild.toml:1", user="jovyan", working_folder="/home/jovyan", network=True
    )
    assert (steps[1].user, steps[1].working_folder, steps[1].network) == ("root", "/srv", False)
    assert steps[2].arguments[-1] == "./binder/postBuild"
    assert steps[2].user == "jovyan"


def test_a_repository_without_code_has_no_steps() -> None:
    assert list(repository_steps((), post_build=None, user="jovyan", folder="/")) == []
