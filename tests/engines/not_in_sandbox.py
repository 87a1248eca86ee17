"""The cases of the contract that do not run against the sandbox, each with its reason; docs/reference/sandbox.md tells
them to users. They are deselected, counted and printed, never silently skipped."""

from __future__ import annotations

_RIGHTS = "it knows no permissions: every user may do everything"
_JAVA = "the model runs Java, which the sandbox refuses at deployment"

NOT_IN_SANDBOX = {
    "test_a_worker_sees_no_tasks_of_tenants_that_it_does_not_belong_to": _RIGHTS,
    "test_a_fetch_without_rights_finds_nothing_and_says_nothing": _RIGHTS,
    "test_the_engine_tells_who_may_fetch": _RIGHTS,
    "test_the_engine_tells_what_else_we_may": _RIGHTS,
    "test_to_start_by_key_takes_the_right_to_read_the_definition_too": _RIGHTS,
    "test_a_refusal_names_the_permission_that_is_missing": _RIGHTS,
    "test_a_report_without_the_right_to_update_names_what_is_missing": _RIGHTS,
    "test_a_task_that_is_hidden_from_us_is_not_mistaken_for_one_that_is_gone": _RIGHTS,
    "test_on_the_wire_a_hidden_task_looks_like_one_that_is_gone": _RIGHTS,
    "test_the_worker_may_neither_read_definitions_nor_start_nor_deploy": _RIGHTS,
    "test_the_history_is_empty_and_no_error_without_the_right_to_read_it": _RIGHTS,
    "test_who_may_not_create_the_batch_deletes_nothing": _RIGHTS,
    "test_to_delete_instances_takes_the_right_to_create_a_batch": _RIGHTS,
    "test_after_a_wrong_password_the_engine_refuses_even_the_right_one_for_a_while": "it does not slow down guessing",
    "test_a_failing_next_step_refuses_the_completion_and_leaves_the_task_to_us": _JAVA,
    "test_a_completion_whose_answer_never_came_has_happened_and_is_not_found_afterwards": _JAVA,
    "test_what_java_serialised_is_refused_with_the_way_out": _JAVA,
    "test_of_two_completions_that_meet_at_a_join_one_conflicts_and_may_be_repeated": (
        "commands run one after the other, so none conflicts; and the model runs Java"
    ),
    "test_of_two_branches_that_write_one_variable_one_conflicts_and_may_be_repeated": (
        "commands run one after the other, so none conflicts; and the model runs Java"
    ),
    "test_a_new_poll_of_the_same_worker_ends_the_parked_one_with_unavailable": "polls of one worker live side by side",
    "test_a_full_queue_is_unavailable": "parked polls are threads; there is no queue that could be full",
}
"""Name of the case → why."""

REFUSED_MODELS = {
    "behind.bpmn": "next-step",
    "java.bpmn": "object",
    "join.bpmn": "slow-left",
    "branches.bpmn": "slow-left",
}
"""Models of the contract that the sandbox refuses → the element that it names first."""
