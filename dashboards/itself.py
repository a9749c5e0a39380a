"""Drover itself: whether it sees, decides and answers."""

from kit import (BACKEND, BLUE, GREEN, ORANGE, PURPLE, RED, SELF, YELLOW, annotation, board, graph, link, only, quantile, rate, row,
                 stat, steps, table, variables)


def s(family, more=""):
    return f"{family}{{{SELF}{', ' + more if more else ''}}}"


def b(family, more=""):
    return f"{family}{{{BACKEND}{', ' + more if more else ''}}}"


# "All" jobs are all that the Prometheus has: what is not named drover_ is taken only from where Drover is, or was today.
HERE = f"and on (instance) last_over_time({s('drover_build_info')}[1d])"


def here(family):
    return f"({s(family)} {HERE})"


def rate_here(family):
    return f"sum by (instance) (rate({s(family)}[$__rate_interval]) {HERE})"


NOW = row(
    "Now",
    stat("Answer", "Instances that Prometheus can scrape, each counted once for each job.", f"sum({here('up')})",
         thresholds=steps((1, GREEN), base=RED)),
    stat("Leader", "1 where one replica leads, or where there is no election.", f"max({s('drover_leader')})",
         thresholds=steps((1, GREEN), base=RED)),
    stat("Back ends down", "Back ends of which something does not answer.", f"count({b('drover_backend_up')} == 0) or vector(0)",
         thresholds=steps((1, RED))),
    stat("Holds", "Reasons for which automatic aborts are held.", f"sum({only(s('drover_abort_hold'))})", thresholds=steps((1, ORANGE))),
    stat("Configuration", "0 where the last reading failed and the one before is in force.",
         f"min({s('drover_config_last_reload_successful')})", thresholds=steps((1, GREEN), base=RED),
         mappings=[{"type": "value", "options": {"0": {"text": "bad", "index": 0}, "1": {"text": "read", "index": 1}}}]),
    stat("Configuration read", "When the one in force was read.",
         f"max({s('drover_config_last_reload_success_timestamp_seconds')}) * 1000", unit="dateTimeFromNow"),
    table("Back ends", "What each is, where it looks, the version found there, and the age of its oldest answer.",
          {"-": f"max by (instance, backend, type, endpoint, version) ({b('drover_backend_info')})",
           "up": f"max by (instance, backend) ({b('drover_backend_up')})",
           "age": f"max by (instance, backend) (timestamp({b('drover_backend_last_success_timestamp_seconds')}) "
                  f"- {b('drover_backend_last_success_timestamp_seconds')})"}, units={"age": "s"}, width=14),
    table("Instances", "The version of each, and since when it runs.",
          {"-": f"max by (instance, version, revision) ({s('drover_build_info')})",
           "started": f"max by (instance) {here('process_start_time_seconds')} * 1000"},
          units={"started": "dateTimeAsIso"}, width=10))

SEES = row(
    "Whether it sees",
    graph("Age of the oldest answer", "How old each back end's oldest answer was when it was scraped.", "s",
          (f"timestamp({b('drover_backend_last_success_timestamp_seconds')})\n  - "
           f"{b('drover_backend_last_success_timestamp_seconds')}", "{{backend}} {{instance}}"), low=0,
          thresholds=steps((60, RED))),
    graph("Age of samples", "The oldest counters of a running migration.", "s",
          (f"max by (backend) (time() - {only(b('drover_migration_sample_timestamp_seconds'))})", "{{backend}}"), low=0,
          thresholds=steps((30, RED))),
    graph("Errors", "Errors a minute of each back end, by kind.", "cpm",
          (f"60 * {rate(b('drover_backend_errors_total'), 'backend, kind')}", "{{backend}} {{kind}}"), low=0),
    graph("Collecting", "How long each back end's last collection took.", "s",
          (b("drover_collect_duration_seconds"), "{{backend}} {{instance}}"), low=0),
    graph("Requests to the API server", "Requests a second, by what was asked and answered.", "reqps",
          (rate(b("drover_kubernetes_requests_total"), "verb, resource, code"), "{{verb}} {{resource}} {{code}}"), low=0),
    graph("Migrations with series", "Running and lately ended ones, and those a minute that got no series because there were too many.",
          "short", (f"max({s('drover_tracked_migrations')})", "with series"),
          (f"60 * {rate(s('drover_dropped_migrations_total'))}", "dropped a minute"), low=0))

DECIDES = row(
    "What it decides",
    graph("Decisions", "Decisions a minute about aborts, by who asked and what was decided.", "cpm",
          (f"60 * {rate(s('drover_abort_decisions_total'), 'trigger, decision')}", "{{trigger}} {{decision}}"), low=0),
    graph("Aborts", "Aborts a minute that were sent, by what became of the migration.", "cpm",
          (f"60 * {rate(s('drover_aborts_total'), 'trigger, result')}", "{{trigger}} {{result}}"), low=0),
    graph("From the decision to the end", "How long it took until the migration was over.", "s",
          *[(quantile(part, "drover_abort_latency_seconds", SELF), f"p{part * 100:g}") for part in (0.5, 0.9)], low=0),
    graph("Holds", "Why automatic aborts are held.", "short", (f"max by (reason) ({s('drover_abort_hold')})", "{{reason}}"), low=0))

PROCESS = row(
    "Process",
    graph("CPU", "CPU time that each instance takes.", "percentunit",
          (rate_here("process_cpu_seconds_total"), "{{instance}}"), low=0, width=8),
    graph("Memory", "Resident memory.", "bytes", (f"max by (instance) {here('process_resident_memory_bytes')}", "{{instance}}"), low=0,
          width=8),
    graph("File descriptors", "Part of the descriptors that are in use.", "percentunit",
          (f"max by (instance) {here('process_open_fds')} / max by (instance) {here('process_max_fds')}", "{{instance}}"), low=0,
          width=8),
    graph("Network", "Bytes a second of the process' network namespace.", "Bps",
          (rate_here("process_network_receive_bytes_total"), "{{instance}} received"),
          (rate_here("process_network_transmit_bytes_total"), "{{instance}} sent"), low=0),
    graph("Scrapes", "How long Prometheus waits for each scrape.", "s",
          (here("scrape_duration_seconds"), "{{job}} {{instance}}"), low=0), collapsed=True)

BOARD = board(
    "drover-itself", "Drover / Drover itself", "Whether Drover sees, decides and answers.",
    variables(), [NOW, SEES, DECIDES, PROCESS],
    annotations=[
        annotation("Starts", f"max by (instance) {here('process_start_time_seconds')} * 1000", "Start", "{{instance}}", BLUE, True),
        annotation("Leader", f"sum by (instance) (changes({s('drover_leader')}[$__interval])) > 0", "Another leader", "{{instance}}",
                   PURPLE)],
    links=[link("Fleet", "drover-fleet"), link("Migration", "drover-migration"), link("Drain", "drover-drain")],
    refresh="30s", since="now-3h")
