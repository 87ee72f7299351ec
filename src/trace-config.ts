import type { Environment } from "./command.ts";
import { UsageError } from "./command.ts";

const DEFAULT_ENDPOINT = "http://localhost:4318";

/** Those of OpenTelemetry that count here (docs/tracing.md). */
export const TRACE_VARIABLES = [
  "OTEL_TRACES_EXPORTER",
  "OTEL_EXPORTER_OTLP_ENDPOINT",
  "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
  "OTEL_EXPORTER_OTLP_PROTOCOL",
  "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
  "OTEL_EXPORTER_OTLP_HEADERS",
  "OTEL_SERVICE_NAME",
  "OTEL_RESOURCE_ATTRIBUTES",
  "OTEL_TRACES_SAMPLER",
  "OTEL_TRACES_SAMPLER_ARG",
] as const;

const SAMPLERS = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
] as const;

const PROTOCOLS = ["http/protobuf", "http/json"] as const;

/** Where traces go, and which. */
export interface TraceConfig {
  readonly url: string;
  readonly protocol: (typeof PROTOCOLS)[number];
  readonly headers: Readonly<Record<string, string>>;
  readonly serviceName: string;
  readonly resource: Readonly<Record<string, string>>;
  readonly sampler: (typeof SAMPLERS)[number];
  /** Of the traces that begin here, from 0 to 1; for samplers by ratio. */
  readonly ratio: number;
}

/** @returns undefined unless traces are asked for. @throws UsageError naming the variable, and what would be right. */
export function traceConfig(environment: Environment): TraceConfig | undefined {
  const read = (name: (typeof TRACE_VARIABLES)[number]): string => environment[name]?.trim() ?? "";
  const exporter = read("OTEL_TRACES_EXPORTER") || "none";
  if (exporter === "none") return undefined;
  if (exporter !== "otlp") throw wrong("OTEL_TRACES_EXPORTER", exporter, ["otlp", "none"]);
  const resource = pairsOf("OTEL_RESOURCE_ATTRIBUTES", read("OTEL_RESOURCE_ATTRIBUTES"));
  const protocol = read("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") || read("OTEL_EXPORTER_OTLP_PROTOCOL");
  return {
    url: urlOf(read("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), read("OTEL_EXPORTER_OTLP_ENDPOINT")),
    protocol: oneOf("OTEL_EXPORTER_OTLP_PROTOCOL", protocol || "http/protobuf", PROTOCOLS),
    headers: pairsOf("OTEL_EXPORTER_OTLP_HEADERS", read("OTEL_EXPORTER_OTLP_HEADERS")),
    serviceName: read("OTEL_SERVICE_NAME") || (resource["service.name"] ?? "causeway"),
    resource,
    sampler: oneOf("OTEL_TRACES_SAMPLER", read("OTEL_TRACES_SAMPLER") || "parentbased_always_on", SAMPLERS),
    ratio: ratioOf(read("OTEL_TRACES_SAMPLER_ARG") || "1"),
  };
}

function urlOf(exact: string, base: string): string {
  const name = exact === "" ? "OTEL_EXPORTER_OTLP_ENDPOINT" : "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
  const text = exact || `${(base || DEFAULT_ENDPOINT).replace(/\/$/, "")}/v1/traces`;
  if (!URL.canParse(text) || !/^https?:/.test(text))
    throw new UsageError(`${name} must be a URL that begins with http:// or https://, as ${DEFAULT_ENDPOINT}`);
  return text;
}

function ratioOf(text: string): number {
  const ratio = Number(text);
  if (ratio >= 0 && ratio <= 1) return ratio;
  throw new UsageError(`OTEL_TRACES_SAMPLER_ARG is "${text}"; it must be a number from 0 to 1`);
}

function oneOf<T extends string>(name: string, value: string, known: readonly T[]): T {
  const found = known.find((each) => each === value);
  if (found === undefined) throw wrong(name, value, known);
  return found;
}

const wrong = (name: string, value: string, known: readonly string[]): UsageError =>
  new UsageError(`${name} is "${value}"; it must be one of ${known.join(", ")}`);

/** As `a=1,b=2`, with percent signs as in URLs; what is in it may be secret, and is in no error. */
function pairsOf(name: string, text: string): Readonly<Record<string, string>> {
  const pairs = text.split(",").filter((pair) => pair.trim() !== "");
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, key, value] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
      if (key === undefined || value === undefined)
        throw new UsageError(`${name} must be pairs as name=value, with commas between them`);
      return [key, decoded(name, value)];
    }),
  );
}

function decoded(name: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new UsageError(`${name} has a percent sign that encodes nothing; write %25 for one`);
  }
}
