//! The process itself, by the names that Prometheus' own client libraries give it
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).

use std::fs;

use prometheus::{Counter, IntGauge, Registry};

use super::{add, gauge};

pub(super) struct Process {
    cpu: Counter,
    resident: IntGauge,
    descriptors: IntGauge,
}

impl Process {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            cpu: add(
                registry,
                Counter::new("process_cpu_seconds_total", "Processor time, the user's and the system's."),
            ),
            resident: gauge(registry, "process_resident_memory_bytes", "Resident memory."),
            descriptors: gauge(registry, "process_open_fds", "Open file descriptors."),
        }
    }

    /// Reads `/proc`; where there is none the numbers stay.
    pub(super) fn look(&self) {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name of the program, in parentheses, may hold anything (proc_pid_stat(5)); after it, field 3 is first.
        let fields: Vec<u64> = stat
            .rsplit_once(") ")
            .map(|(_, rest)| rest.split(' ').map(|field| field.trim().parse().unwrap_or(0)).collect())
            .unwrap_or_default();
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
        let seconds = (field(14) + field(15)) as f64 / rustix::param::clock_ticks_per_second() as f64;
        self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
        let bytes = field(24) * rustix::param::page_size() as u64;
        self.resident.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One of them is the one that lists them.
            self.descriptors.set(i64::try_from(open.count().saturating_sub(1)).unwrap_or(i64::MAX));
        }
    }
}
