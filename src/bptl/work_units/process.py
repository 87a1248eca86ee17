"""Units that start other processes at the task's own engine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bptl.work_units.contract import Inputs, NeverAgain, Outputs, ProcessNotFound, Work, work_unit


class Subprocess(Inputs):
    """Which process to start, with which variables."""

    subprocessDefinition: str = Field(min_length=1, description="Key of the process definition to start.")
    subprocessDefinitionVersion: Literal["latest"] | Annotated[int, Field(ge=1)] = Field(
        "latest", description="Version of the definition."
    )
    variablesMapping: dict[str, str] = Field(
        default_factory=dict,
        description="Which variables to hand over: name here → name there. Empty hands over all, names unchanged.",
    )


class Called(Outputs):
    """What was started."""

    processInstanceId: str = Field(description="Id of the started process instance.")


@work_unit(
    "process.call_activity",
    replaces="bptl.work_units.camunda_api.tasks.CallActivity",
    rights=(
        "CREATE on process instance",
        "CREATE_INSTANCE on process definition",
        "READ on process definition",
        "READ_HISTORY on process definition (only to find a start whose answer was lost, when it has ended already)",
    ),
)
def call_activity(work: Work, inputs: Subprocess) -> Called:
    """Start a process with variables of this one, and go on without waiting for its end.

    A variable that the mapping names and this process lacks is skipped; the log says so. The started process has no
    business key and no link to this one but its variable bptlStartedBy, by which a start without an answer is found:
    hand over what it needs to find its way back.
    """
    key = inputs.subprocessDefinition
    fixed = inputs.subprocessDefinitionVersion
    version = None if fixed == "latest" else fixed
    mapping = inputs.variablesMapping
    parent = work.processes.variables(names=list(mapping) or None)
    if missing := sorted(set(mapping) - set(parent)):
        work.log.warning("variables.skipped", subprocess=key, missing=missing)
    if mapping:
        variables = {target: parent[source] for source, target in mapping.items() if source in parent}
    else:
        variables = dict(parent)
    try:
        started = work.processes.start(key=key, version=version, variables=variables)
    except ProcessNotFound as error:
        wanted = f"version {version}" if version else "any version"
        raise NeverAgain(
            f"cannot start a subprocess: the engine has no process definition {key!r} in {wanted} "
            "that is visible to BPTL; deploy it, correct subprocessDefinition in the model, or grant BPTL's user "
            "READ and CREATE_INSTANCE on Process Definition and CREATE on Process Instance"
        ) from error
    work.log.info("process.started", subprocess=key, version=fixed, started_instance=started)
    return Called(processInstanceId=started)
