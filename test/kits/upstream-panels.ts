/** One line of a panel of Istio's dashboard of the control plane: what it sums up, by what, as it is or as it grows. */
export interface AskedOfUs {
  readonly metric: string;
  readonly by: readonly string[];
  readonly as: "value" | "rate";
}

const line = (metric: string, as: AskedOfUs["as"], ...by: readonly string[]): AskedOfUs => ({ metric, by, as });

/**
 * The panels of Istio's `pilot-dashboard` that mean something in an ambient mesh, by their titles, and what they ask of the
 * control plane: as it was read in a working copy of August 2026 (contract operations.md 1.4). Each must have something to draw.
 */
export const UPSTREAM_PANELS: Readonly<Record<string, readonly AskedOfUs[]>> = {
  "Pilot Versions": [line("istio_build", "value", "component", "tag")],
  "XDS Pushes": [line("pilot_xds_pushes", "rate", "type")],
  Events: [
    line("pilot_k8s_reg_events", "rate", "type", "event"),
    line("pilot_k8s_cfg_events", "rate", "type", "event"),
    line("pilot_push_triggers", "rate", "type"),
  ],
  Connections: [line("pilot_xds", "value")],
  "Push Errors": [line("pilot_total_xds_rejects", "value", "type"), line("pilot_total_xds_internal_errors", "value")],
  "Push Time": [line("pilot_xds_push_time_bucket", "rate", "le")],
  "Push Size": [line("pilot_xds_config_size_bytes_bucket", "rate", "le")],
};

/**
 * Its other panels, and who would have to feed them. Those of the kubelet have data as soon as it is scraped: it knows the
 * container by the names that our chart gives it.
 */
export const PANELS_OF_OTHERS: Readonly<Record<string, "the kubelet" | "Go's runtime" | "webhooks">> = {
  "Memory Usage": "the kubelet",
  "CPU Usage": "the kubelet",
  "Memory Allocations": "Go's runtime",
  Goroutines: "Go's runtime",
  Validation: "webhooks",
  Injection: "webhooks",
};

/** In PromQL. */
export const expressionOf = ({ metric, by, as }: AskedOfUs): string =>
  `sum by (${by.join(", ")}) (${as === "rate" ? `rate(${metric}[30s])` : metric})`;
