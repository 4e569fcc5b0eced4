"""The tests that take seconds each, by file or by function: `-m "not slow"` leaves them out, CI runs all.

Measured on two cores: what is here takes 19 of the suite's 23 minutes. A file is named whole where nearly all of its
tests start pytest or a command in a process of its own.
"""

from __future__ import annotations

FILES = (
    "executors/test_bisect.py",
    "executors/test_collected.py",
    "executors/test_limits.py",
    "pytest_plugin/test_against.py",
    "pytest_plugin/test_bad_surroundings.py",
    "pytest_plugin/test_changed_content.py",
    "pytest_plugin/test_data_fixtures.py",
    "pytest_plugin/test_foreign_table.py",
    "pytest_plugin/test_gate.py",
    "pytest_plugin/test_good_citizen.py",
    "pytest_plugin/test_matrix_runs.py",
    "pytest_plugin/test_own_suite.py",
    "pytest_plugin/test_processes.py",
    "pytest_plugin/test_promoted.py",
    "pytest_plugin/test_results.py",
    "pytest_plugin/test_resume.py",
    "pytest_plugin/test_silent.py",
    "pytest_plugin/test_stored_times.py",
    "tasks/detection/test_hub.py",
    "tasks/detection/test_known_answers.py",
    "trainer/test_command.py",
    "trainer/test_train.py",
)
TESTS = (
    "commands/test_main.py::test_a_home_that_nobody_has",
    "core/test_contracts.py::test_our_own_models_and_tasks_pass",
    "gate/side_by_side/test_calibrate.py::test_a_broken_calibration_is_refused_and_then_replaced",
    "gate/side_by_side/test_timed.py::test_what_is_prepared_before_each_call_is_not_timed",
    "gate/test_offline.py::test_the_run_and_the_two_files_say_the_same",
    "gate/test_silent_passes.py::test_runs_end_with_this_verdict",
    "measuring/test_evaluate.py::test_wrong_answers_are_kept_in_bounds",
    "pytest_plugin/test_energy.py::test_a_model_is_an_estimate_of_its_own_that_is_never_gated",
    "pytest_plugin/test_progress.py::test_a_terminal_shows_the_phase_while_output_is_captured_and_pytests_dots_stay",
    "pytest_plugin/test_progress.py::test_quiet_is_quiet",
    "report/test_page_advice.py::test_the_command_knows_the_tasks_and_the_page_says_what_to_ship",
    "runtimes/onnx/test_causal_lm.py::test_logits_are_those_of_torch",
    "runtimes/test_contract.py::test_one_call_runtimes",
    "runtimes/test_contract.py::test_stepwise_runtimes",
    "runtimes/test_text2text.py::test_a_compressed_model_is_smaller_and_says_nearly_the_same",
    "runtimes/test_text2text.py::test_compiled_functions_say_the_same_and_count_their_graphs",
    "runtimes/test_text2text.py::test_fp32_says_what_eager_torch_says",
    "runtimes/test_text2text.py::test_the_random_models_say_something",
    "runtimes/torch/test_causal_lm.py::test_compiled_says_the_same",
    "runtimes/torch/test_causal_lm.py::test_memory_of_the_tiny_model",
    "runtimes/torch/test_classifier.py::test_bring_your_own",
    "runtimes/torch/test_loading.py::"
    "test_reading_takes_the_weights_size_in_private_memory_and_mapping_less_than_15_percent_of_it",
    "runtimes/torch/test_training_step.py::test_compiling_tells_graphs_breaks_and_recompiles",
    "runtimes/torch/test_training_step_ends.py::test_out_of_memory_in_any_part_lets_go_of_everything",
    "serving/test_end.py::test_a_signal_as_soon_as_it_says_where_it_listens_ends_it_with_zero",
    "serving/test_end.py::test_while_the_model_hangs_it_ends_with_zero",
    "serving/test_server.py::test_a_signal_under_load_ends_it_when_all_are_answered",
    "storage/test_journal.py::test_no_journal_breaks_a_run",
    "storage/test_stale_artifacts.py::test_what_changed_is_built_anew_and_its_content_is_another",
    "tasks/text2text/test_reformulation_data.py::test_no_held_out_target_is_a_target_or_a_turn_of_training",
    "test_ci_recipes.py::test_the_steps_for_github",
    "test_ci_recipes.py::test_the_steps_for_gitlab",
    "test_emulated.py::test_only_marked_tests_are_skipped_and_only_without_full",
    "test_examples.py::test_the_readmes_model_is_measured_and_held_against_its_first_run",
    "test_examples.py::test_its_commands_end_in_a_gated_run_and_what_is_worse_fails",
    "test_extending.py::test_all_of_it_runs",
    "test_readers_fuzz.py::test_a_damaged_file_is_read_or_refused",
    "test_readers_fuzz.py::test_annotations_with_things_wrong_are_read_or_refused",
    "test_results_fuzz.py::test_a_damaged_file_is_refused_or_used_without_a_traceback",
    "transforms/test_prune.py::test_every_runtime_measures_the_pruned_model",
)


def is_slow(node: str) -> bool:
    """Return if a test, named by its node id below `tests/`, is in the tables."""
    file, _, function = node.partition("::")
    return file in FILES or f"{file}::{function.partition('[')[0]}" in TESTS
